// An operator edits a record while it is used: suspends a key and lifts that, raises a
// floor, sets a ceiling, or changes what does not matter, so that the signer's next write
// is refused. By the break-glass group, or as the project's own operator does it.

package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

// A patch of the API server's is tried again where it meets another write; a PUT of the
// operator's is tried here.
const maxPutAttempts = 20

func drawEdit(random *rand.Rand, keys int) fault {
	key, by, ahead := random.IntN(keys), breakGlass, int32(random.IntN(6))
	if random.IntN(3) == 0 {
		by = operator
	}
	change := []history.Change{history.Suspend, history.Floor, history.Ceiling, history.Touch}[random.IntN(4)]
	f := fault{what: fmt.Sprintf("%s by %s", change, by.name)}
	if change == history.Touch {
		f.what, by = "a write to the record by break-glass", breakGlass
	}
	if change == history.Suspend || change == history.Ceiling {
		f.duration = between(random, 300*time.Millisecond, 2500*time.Millisecond)
	}
	f.begin = func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		level := t.levels[key].Load() + ahead
		err := t.edit(ctx, t.target.Keys[key], change, level, by)
		lift := lifts[change]
		if lift == "" {
			return nil, t.target.Keys[key].Hash(), err
		}
		end := func(ctx context.Context) error { return t.edit(ctx, t.target.Keys[key], lift, 0, breakGlass) }
		return end, t.target.Keys[key].Hash(), err
	}
	return f
}

// lifts says by which change another one ends.
var lifts = map[history.Change]history.Change{history.Suspend: history.Unsuspend, history.Ceiling: history.NoCeiling}

// rowsOf are the rows that a change writes; nil takes one away.
func rowsOf(change history.Change, level int32) map[string]any {
	switch change {
	case history.Suspend:
		return map[string]any{"suspend": "true"}
	case history.Unsuspend:
		return map[string]any{"suspend": nil}
	case history.Ceiling:
		return map[string]any{"ceiling": fmt.Sprint(level)}
	case history.NoCeiling:
		return map[string]any{"ceiling": nil}
	case history.Floor:
		rows := map[string]any{}
		for _, kind := range payload.Kinds {
			rows[kind] = fmt.Sprintf("%d %d - -", level, math.MaxInt32)
		}
		return rows
	}
	return nil
}

// edit makes a change and logs what became of it.
func (t *historyRun) edit(ctx context.Context, key *octezclient.PublicKey, change history.Change, level int32, by identity) error {
	event := &history.Edit{What: change, Key: key.Hash(), Level: level, By: by.name}
	var status int
	var answer []byte
	var err error
	if by.name == operator.name {
		status, answer, err = t.put(ctx, key, change, level, event)
	} else {
		status, answer, err = t.patch(ctx, key, change, level, event)
	}
	now := t.clock.Now()
	switch {
	case err == nil && status < 300:
		event.Acknowledged = &now
	case err == nil && status < 500:
		event.Refused = true
		err = fmt.Errorf("refused: %d %.300s", status, answer)
	case err == nil:
		err = fmt.Errorf("%d %.300s", status, answer)
	}
	if err != nil {
		event.Error = err.Error()
	}
	t.log.write(history.Event{Edit: event})
	return err
}

func (t *historyRun) patch(ctx context.Context, key *octezclient.PublicKey, change history.Change, level int32, event *history.Edit) (int, []byte, error) {
	patch := map[string]any{"data": rowsOf(change, level)}
	if change == history.Touch {
		patch = map[string]any{"metadata": map[string]any{"annotations": map[string]string{"nemesis": t.clock.Now().String()}}}
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return 0, nil, err
	}
	event.Sent = t.clock.Now()
	return t.target.api.call(ctx, http.MethodPatch, recordPath(key), "application/merge-patch+json", body, breakGlass)
}

// put writes what it has read, with the change, until nobody wrote in between.
func (t *historyRun) put(ctx context.Context, key *octezclient.PublicKey, change history.Change, level int32, event *history.Edit) (status int, answer []byte, err error) {
	for range maxPutAttempts {
		var record map[string]any
		event.Sent = t.clock.Now()
		if err := t.target.api.get(ctx, recordPath(key), &record); err != nil {
			event.Refused = true // nothing was sent
			return 0, nil, err
		}
		data, _ := record["data"].(map[string]any)
		if data == nil {
			return 0, nil, fmt.Errorf("the record of %s has no data", key.Hash())
		}
		maps.Copy(data, rowsOf(change, level))
		body, err := json.Marshal(record)
		if err != nil {
			return 0, nil, err
		}
		event.Sent = t.clock.Now()
		status, answer, err = t.target.api.call(ctx, http.MethodPut, recordPath(key), "application/json", body, operator)
		if err != nil || status != http.StatusConflict {
			return status, answer, err
		}
	}
	return status, answer, err
}
