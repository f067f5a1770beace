package nemesis

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func plans(seed uint64) (text string, longest time.Duration) {
	var all strings.Builder
	for number := range uint64(200) {
		plan := draw(rand.New(rand.NewPCG(seed, number)), 2)
		for _, p := range plan {
			all.WriteString(p.what + "\n")
		}
		longest = max(longest, planDuration(plan))
	}
	return all.String(), longest
}

func TestWhatIsDisruptiveIsLeftOutAndNothingElse(t *testing.T) {
	all, kept := 0, 0
	for number := range uint64(200) {
		plan := draw(rand.New(rand.NewPCG(1, number)), 2)
		all += len(plan)
		for _, p := range withoutDisruptive(plan) {
			kept++
			if strings.HasPrefix(p.what, "SIGKILL etcd") || strings.HasPrefix(p.what, "SIGTERM") {
				t.Errorf("%q was kept", p.what)
			}
		}
	}
	if kept == all || kept < all*9/10 {
		t.Errorf("of %d faults %d were kept", all, kept)
	}
}

func TestASeedDrawsTheSameAgainAndAllKinds(t *testing.T) {
	text, longest := plans(1)
	if again, _ := plans(1); again != text {
		t.Error("one seed made two plans")
	}
	if other, _ := plans(2); other == text {
		t.Error("two seeds made one plan")
	}
	for _, what := range []string{
		"SIGKILL the holder", "SIGKILL another replica", "SIGSTOP the holder", "SIGSTOP another replica", "SIGSTOP etcd", "SIGSTOP kube-apiserver",
		"SIGKILL etcd", "SIGTERM etcd", "SIGKILL kube-apiserver", "SIGTERM kube-apiserver", "is deleted\n", "is deleted by force",
		"answers between the holder and the API server: drop", "requests between the holder and the API server: reject", "all replicas and the API server",
		"between the holder and its peers: drop", "between the holder and its peers: reject",
		"suspend by break-glass", "suspend by system:", "floor by", "ceiling by", "a write to the record",
	} {
		if !strings.Contains(text, what) {
			t.Errorf("200 histories never had %q", what)
		}
	}
	if longest > 12*time.Second {
		t.Errorf("the longest takes %s before it is healed", longest)
	}
}
