package race

import (
	"errors"
	"testing"

	"signer.tezos.io/e2e/octez"
)

func TestTwoSignedPayloadsBreakThePromise(t *testing.T) {
	type answer struct {
		payload, signature string
		err                error
	}
	refused := answer{"c", "", &octez.AnswerError{Status: 409}}
	for name, c := range map[string]struct {
		answers []answer
		ok      bool
	}{
		"one signed":             {[]answer{{"a", "s1", nil}, refused}, true},
		"none signed":            {[]answer{refused, {"b", "", errors.New("refused connection")}}, true},
		"two signed":             {[]answer{{"a", "s1", nil}, {"b", "s2", nil}, refused}, false},
		"one signed twice":       {[]answer{{"a", "s1", nil}, {"a", "s2", nil}}, false},
		"one with a bad verdict": {[]answer{{"a", "s1", nil}, {"b", "s2", errors.New("does not verify")}}, false},
	} {
		result := &Result{Answers: map[string]int{}, Signed: map[string][]string{}}
		for _, a := range c.answers {
			result.add([]byte(a.payload), a.signature, a.err)
		}
		if result.OK() != c.ok {
			t.Errorf("%s: %+v", name, result)
		}
	}
}
