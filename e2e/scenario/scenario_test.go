package scenario

import (
	"errors"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
)

func TestOnlyTheExpectedAnswerIsOK(t *testing.T) {
	refused := func(status int) error { return &octezclient.AnswerError{Status: status} }
	for name, c := range map[string]struct {
		expect                expectation
		remembered, signature string
		err                   error
		ok                    bool
	}{
		"signed":                      {signed, "", "sig1", nil, true},
		"signed, but refused":         {signed, "", "", refused(409), false},
		"signed, but a bad signature": {signed, "", "sig1", errors.New("wrong signature"), false},
		"the same":                    {replayed, "sig1", "sig1", nil, true},
		"the same, but another":       {replayed, "sig1", "sig2", nil, false},
		"the same, but unknown":       {replayed, "", "sig1", nil, false},
		"the same, but refused":       {replayed, "sig1", "", refused(409), false},
		"refused":                     {watermark, "", "", refused(409), true},
		"refused, but signed":         {watermark, "", "sig1", nil, false},
		"refused, but otherwise":      {watermark, "", "", refused(403), false},
		"refused, but unreachable":    {watermark, "", "", errors.New("connection refused"), false},
	} {
		if got, ok := check(c.expect, c.remembered, c.signature, c.err); ok != c.ok {
			t.Errorf("%s: %q is OK=%v", name, got, ok)
		}
	}
}

func TestTheTableIsAlignedAndShowsFailuresInFull(t *testing.T) {
	long := strings.Repeat("x", 200)
	var out strings.Builder
	(&Result{Rows: []Row{{Key: "tz3", What: "a", Expected: "409", Got: long, OK: true}, {Key: "tz2", What: "block", Expected: "409", Got: long}}}).Write(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || strings.Index(lines[0], "GOT") != strings.Index(lines[2], "xxx") || strings.Contains(lines[1], long) || !strings.Contains(lines[2], long) {
		t.Errorf("table:\n%s", out.String())
	}
}
