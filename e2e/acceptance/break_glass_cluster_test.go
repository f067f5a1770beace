package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// checkBreakGlassEdits changes the record of a signer that runs by `tezos-signer
// watermarks`, with the kubeconfig that docs/record.md shows. Each change is obeyed by
// the next request; without the group nothing is changed. It returns the next level.
func checkBreakGlassEdits(t *testing.T, s *fixture.Signer, friend *octezclient.ClientKey, level int32) int32 {
	t.Helper()
	key := s.Keys[0].Parsed()
	host := newHostSigner(t, s.Keys[0])
	watermarks := func(args ...string) string {
		t.Helper()
		output, err := host.command(t, host.breakGlass, append([]string{"watermarks"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("watermarks %v: %v: %s", args, err, output)
		}
		return string(output)
	}
	var clients []*octezclient.Client // of both replicas
	for _, pod := range pods(t, s.Name) {
		clients = append(clients, octezclient.NewClient(podURL(pod)).With(friend))
	}
	signs := func(level int32) {
		t.Helper()
		client := clients[int(level)%len(clients)]
		if _, err := client.Sign(t.Context(), key, newBlock(t, level)); err != nil {
			t.Errorf("level %d: %v", level, err)
		}
	}
	signsSoon := func(level int32) { // what is lifted is seen with the next renewal of the lease
		t.Helper()
		err := kubectl.Await(t.Context(), leaseDuration, func() (bool, error) {
			_, err := clients[0].Sign(t.Context(), key, newBlock(t, level))
			return err == nil, nil
		})
		if err != nil {
			t.Errorf("level %d, after it was lifted: %v", level, err)
		}
	}
	refuses := func(status int, because string, level int32) {
		t.Helper()
		for _, client := range clients {
			if _, err := client.Sign(t.Context(), key, newBlock(t, level)); !refusedWith(err, status) || !strings.Contains(err.Error(), because) {
				t.Errorf("level %d: expected %d %s: %v", level, status, because, err)
			}
		}
	}

	floor, above := fmt.Sprint(level+10), fmt.Sprint(level+20)
	for _, args := range [][]string{{"suspend"}, {"ceiling", "--level", above}, {"raise", "--level", floor}} {
		for who, kubeconfig := range map[string]string{"an administrator": host.plain, "nobody in particular": host.nobody} {
			output, err := host.command(t, kubeconfig, append([]string{"watermarks"}, args...)...).CombinedOutput()
			t.Logf("watermarks %s, %s: %s", args[0], who, output)
			if err == nil || !strings.Contains(string(output), "tezos-signer:break-glass") {
				t.Errorf("watermarks %s, %s, must say that break-glass is needed: %v", args[0], who, err)
			}
		}
	}
	signs(level)

	watermarks("suspend")
	refuses(403, "suspended", level+1)
	watermarks("suspend", "--lift")
	signsSoon(level + 1)
	watermarks("raise", "--level", floor)
	refuses(409, "below the watermark", level+10)
	signs(level + 11)
	watermarks("ceiling", "--level", above)
	refuses(409, "above the ceiling", level+21)
	signs(level + 20)
	shown := watermarks("show")
	for _, word := range []string{holderOf(t, key), above, key.Hash()} {
		if !strings.Contains(shown, word) {
			t.Errorf("watermarks show does not say %s:\n%s", word, shown)
		}
	}
	watermarks("ceiling", "--remove", "--no-other-signer")
	signsSoon(level + 21)
	return level + 22
}
