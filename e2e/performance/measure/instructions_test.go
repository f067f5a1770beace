package measure

import (
	"bufio"
	"strings"
	"testing"
)

// A profile as callgrind 3.19 writes it.
const profile = `# callgrind format
events: Ir

ob=(1) /usr/lib/x86_64-linux-gnu/libc.so.6
fl=(1) ???
fn=(1) malloc
0 1000
cob=(2) /opt/tezos-signer
cfn=(2) sign
calls=3 0
0 500000

ob=(2)
fn=(2)
0 20
+3 4
calls=1 0
* 999
* 6
cob=(1)
cfn=(1)
calls=1 0
0 77

ob=(3) /usr/lib/softhsm/libsofthsm2.so
fn=(3) C_Sign
0 4000

totals: 5030
`

func TestOnlyWhatTheProgramItselfExecutesCounts(t *testing.T) {
	if sum, err := countedIn(bufio.NewScanner(strings.NewReader(profile)), "tezos-signer"); err != nil || sum != 30 {
		t.Errorf("%d: %v", sum, err)
	}
	if _, err := countedIn(bufio.NewScanner(strings.NewReader(profile)), "another"); err == nil {
		t.Error("a program that is not in the profile passed")
	}
}
