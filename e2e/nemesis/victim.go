// Whom a fault meets: mostly the holder of a record, because it is the one that signs.

package nemesis

import (
	"context"
	"errors"
	"math/rand/v2"
)

type victim struct {
	who  string
	find func(context.Context, *Target) (replica, error)
}

func drawVictim(random *rand.Rand, keys int) victim {
	key, which := random.IntN(keys), random.IntN(100)
	if random.IntN(3) > 0 {
		return victim{"the holder", func(ctx context.Context, f *Target) (replica, error) { return f.holder(ctx, f.Keys[key]) }}
	}
	return victim{"another replica", func(ctx context.Context, f *Target) (replica, error) {
		holder, err := f.holder(ctx, f.Keys[key])
		if err != nil {
			return replica{}, err
		}
		others := f.otherReplicas(holder)
		if len(others) == 0 {
			return replica{}, errors.New("there is no other replica")
		}
		return others[which%len(others)], nil
	}}
}
