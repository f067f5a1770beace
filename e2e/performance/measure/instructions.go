// Instructions of a signature: how many the signer's own program executes for one, counted by callgrind. The token's library and the C library
// are other objects, which are not counted. Such a count is the same on a busy machine.

package measure

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	fewVotes, manyVotes = 50, 350
	endsWithin          = time.Minute
)

// Instructions is their number for one signature of a tz3 key, from its request to its answer, with the record in a file. It is the difference of
// two runs, so that start and end of the process are in neither.
func Instructions(ctx context.Context, options Options) (float64, error) {
	b, err := newBench(options)
	defer b.close()
	if err != nil {
		return 0, err
	}
	var counted [2]int64
	for i, votes := range []int{fewVotes, manyVotes} {
		b.say("%d votes under callgrind", votes)
		if counted[i], err = b.instructionsOf(ctx, votes); err != nil {
			return 0, err
		}
	}
	return float64(counted[1]-counted[0]) / (manyVotes - fewVotes), nil
}

// instructionsOf a process that signs so many votes.
func (b *Bench) instructionsOf(ctx context.Context, votes int) (int64, error) {
	records, err := newDirectory(b.memory, fmt.Sprint("instructions-", votes))
	if err != nil {
		return 0, err
	}
	out := filepath.Join(b.work, fmt.Sprint("callgrind-", votes))
	hsm := b.hsmSection("/usr/lib/softhsm/libsofthsm2.so")
	hsm["sessions"] = 1
	s, err := b.start(ctx, setup{
		program: b.Program, keys: b.tz3[:1], records: records,
		config: object{"hsm": hsm, "requestDeadlineMilliseconds": 60_000},
		under:  []string{"valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=" + out},
	})
	if err != nil {
		return 0, err
	}
	defer s.kill()
	v := newVoter(b.tz3[0])
	if err := v.connect(s); err != nil {
		return 0, err
	}
	if _, err := v.votes(votes); err != nil {
		return 0, err
	}
	v.close()
	if err := s.terminate(); err != nil {
		return 0, err
	}
	select {
	case <-s.ended:
	case <-time.After(endsWithin):
		return 0, fmt.Errorf("the signer does not end: %s", s.lastLog())
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	profile, err := os.Open(out)
	if err != nil {
		return 0, fmt.Errorf("callgrind wrote nothing: %w: %s", err, s.lastLog())
	}
	defer profile.Close()
	return countedIn(bufio.NewScanner(profile), filepath.Base(b.Program))
}

// countedIn sums what an object of that name executed itself, in a profile of callgrind.
func countedIn(profile *bufio.Scanner, object string) (sum int64, err error) {
	names := map[string]bool{} // by the number that stands for a name after its first use
	inside, isCall := false, false
	profile.Buffer(nil, 1<<20)
	for profile.Scan() {
		line := profile.Text()
		switch {
		case strings.HasPrefix(line, "ob="):
			number, name, named := strings.Cut(line[len("ob="):], " ")
			if named {
				names[number] = filepath.Base(name) == object
			}
			inside = names[number]
		case strings.HasPrefix(line, "cob="): // an object that is called: it may be named here first
			if number, name, named := strings.Cut(line[len("cob="):], " "); named {
				names[number] = filepath.Base(name) == object
			}
		case strings.HasPrefix(line, "calls="):
			isCall = true // the next line is what the called function cost
		case line != "" && strings.ContainsRune("0123456789+-*", rune(line[0])):
			if inside && !isCall {
				_, cost, _ := strings.Cut(line, " ")
				n, err := strconv.ParseInt(cost, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("a line of callgrind's profile: %q: %w", line, err)
				}
				sum += n
			}
			isCall = false
		}
	}
	if sum == 0 && profile.Err() == nil {
		return 0, fmt.Errorf("callgrind's profile has nothing of %s", object)
	}
	return sum, profile.Err()
}
