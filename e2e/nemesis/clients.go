// What clients ask while all that happens: of any replica and of the Service, the same
// payload at once and others for its level and round, later again, and below what was
// signed. Some go away half way, some wait until the end.

package nemesis

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/vectors"
)

const (
	mostAtOnce  = 300 // requests that hang somewhere; no more are sent then
	patience    = 2500 * time.Millisecond
	longestWait = 400 * time.Millisecond // for one position; then the next one is asked for
)

// unknownKey is one that no signer of a test has: a mainnet baker's.
var unknownKey = sync.OnceValue(func() *octez.PublicKey {
	key, err := octez.ParsePublicKey(vectors.Get("attestation-2244610").PublicKey)
	if err != nil {
		panic("a recorded key: " + err.Error())
	}
	return key
})

type clients struct {
	trial   *trial
	patient context.Context // of those who wait until the end
	asking  context.Context
	stop    context.CancelFunc
	loops   sync.WaitGroup
	pending sync.WaitGroup
	slots   chan struct{}

	lock  sync.Mutex
	byURL map[string]*octez.Client
}

// target is somebody to ask.
type target struct{ name, url string }

// startClients asks for all keys, until stop.
func (t *trial) startClients(patient context.Context, random *rand.Rand) *clients {
	c := &clients{trial: t, patient: patient, slots: make(chan struct{}, mostAtOnce), byURL: map[string]*octez.Client{}}
	c.asking, c.stop = context.WithCancel(patient)
	for i := range t.field.Keys {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		c.loops.Go(func() { c.loop(i, own) })
	}
	return c
}

// wait is for the answers that are still to come.
func (c *clients) wait() {
	c.loops.Wait()
	c.pending.Wait()
	for _, client := range c.byURL {
		client.Close()
	}
}

func (c *clients) loop(key int, random *rand.Rand) {
	level := c.trial.levels[key]
	hash := c.trial.field.Keys[key].Hash()
	var before []history.Request // what was asked, to be asked again
	for c.asking.Err() == nil && level.Load() < c.trial.first+lastOfClients {
		at := history.Request{Key: hash, Kind: payload.Kinds[random.IntN(len(payload.Kinds))], Level: level.Add(1), Round: int32(max(0, random.IntN(6)-3))}
		one, other := withPayload(at), withPayload(at)
		decided := make(chan struct{}, 1)
		for range 4 + random.IntN(4) {
			if random.IntN(5) < 3 {
				c.send(random, one, decided)
			} else {
				c.send(random, other, decided)
			}
		}
		before = append(before, one, other)
		before = before[max(0, len(before)-12):]
		if random.IntN(3) == 0 {
			c.send(random, before[random.IntN(len(before))], nil)
		}
		if random.IntN(6) == 0 {
			below := at
			below.Level -= 1 + int32(random.IntN(4))
			c.send(random, withPayload(below), nil)
		}
		if random.IntN(20) == 0 {
			c.send(random, notToBeSigned(random, one), nil)
		}
		// No faster than it can be answered, or little else than 502 would be seen.
		select {
		case <-decided:
		case <-time.After(longestWait):
		case <-c.asking.Done():
		}
		pause(c.asking, between(random, 30*time.Millisecond, 120*time.Millisecond))
	}
}

func withPayload(r history.Request) history.Request {
	made, err := payload.New(r.Kind, r.Level, r.Round)
	if err != nil {
		panic("a kind of its own list: " + err.Error())
	}
	r.Payload = hex.EncodeToString(made)
	return r
}

// notToBeSigned is half of a payload, or one for a key that nobody has.
func notToBeSigned(random *rand.Rand, r history.Request) history.Request {
	if random.IntN(2) == 0 {
		r.Payload = r.Payload[:len(r.Payload)/4*2]
	} else {
		r.Key = unknownKey().Hash()
	}
	r.Kind = history.NotToBeSigned
	return r
}

// send asks somebody, in a moment, and does not wait for the answer. An answer that
// decides about the position is told.
func (c *clients) send(random *rand.Rand, r history.Request, decided chan<- struct{}) {
	key := c.trial.field.key(r.Key)
	to, anew := c.target(random)
	wait := between(random, 0, 20*time.Millisecond)
	give := patience
	switch random.IntN(8) {
	case 0:
		give = between(random, 0, 40*time.Millisecond) // gone half way
	case 1, 2:
		give = time.Hour // until the end
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return
	}
	c.pending.Go(func() {
		defer func() { <-c.slots }()
		pause(c.asking, wait)
		ctx, cancel := context.WithTimeout(c.patient, give)
		defer cancel()
		client := c.client(to.url)
		if anew {
			client = octez.NewClient(to.url)
			defer client.Close()
		}
		r.Replica = to.name
		r = c.trial.ask(r, func(raw []byte) (string, error) { return client.RequestOnce(ctx, key, raw) })
		if r.Status != 0 && r.Status != 502 {
			select {
			case decided <- struct{}{}:
			default: // told already, or nobody wants to know
			}
		}
	})
}

// target is a replica, or the Service. The Service is asked by a connection of its own
// each time, so that it may lead to any of them.
func (c *clients) target(random *rand.Rand) (to target, anew bool) {
	replicas := c.trial.field.replicas()
	which := random.IntN(len(replicas) + 1)
	if which == len(replicas) {
		return target{"the service", c.trial.field.Service}, true
	}
	return target{replicas[which].name, replicas[which].url()}, random.IntN(4) == 0
}

func (c *clients) client(url string) *octez.Client {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.byURL[url] == nil {
		c.byURL[url] = octez.NewClient(url)
	}
	return c.byURL[url]
}

// ask sends a request and logs what became of it.
func (t *trial) ask(r history.Request, send func(payload []byte) (string, error)) history.Request {
	raw, err := hex.DecodeString(r.Payload)
	if err != nil {
		panic("a payload that this package wrote itself: " + err.Error())
	}
	r.Asked = t.now()
	r.Signature, err = send(raw)
	r.Answered = t.now()
	var answer *octez.AnswerError
	var unreadable *octez.UnreadableAnswer
	switch {
	case errors.As(err, &answer):
		r.Status, r.Error = answer.Status, answer.Message()
	case errors.As(err, &unreadable):
		r.Status, r.Unreadable, r.Error = unreadable.Status, true, unreadable.Why
	case err != nil:
		r.Error = err.Error()
	default:
		r.Status = 200
	}
	t.log.write(history.Event{Request: &r})
	return r
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
