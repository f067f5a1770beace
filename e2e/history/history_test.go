package history

import "testing"

func TestBrokenPromisesAreFound(t *testing.T) {
	signed := func(level int32, payload, signature string) Entry {
		return Entry{Key: "tz3", Kind: "block", Level: level, Payload: payload, Status: 200, Signature: signature}
	}
	again := signed(1, "a", "s1")
	again.Again = true
	for name, c := range map[string]struct {
		entries []Entry
		broken  int
	}{
		"rising, and one again":    {[]Entry{signed(1, "a", "s1"), again, signed(2, "b", "s2")}, 0},
		"no answer, 502, then it":  {[]Entry{signed(1, "a", "s1"), {Again: true}, {Again: true, Status: 502}, again}, 0},
		"two payloads":             {[]Entry{signed(1, "a", "s1"), signed(1, "b", "s2")}, 1},
		"two signatures":           {[]Entry{signed(1, "a", "s1"), signed(1, "a", "s2")}, 1},
		"again, but refused":       {[]Entry{signed(1, "a", "s1"), {Again: true, Status: 409}}, 1},
		"a signature of something": {[]Entry{{Status: 200, Signature: "s", Error: "does not verify"}}, 1},
	} {
		if broken, _ := Check(c.entries); len(broken) != c.broken {
			t.Errorf("%s: %q", name, broken)
		}
	}
}
