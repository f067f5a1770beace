// What clients ask while all that happens: of any replica and of the Service, the same
// payload at once and others for its level and round, later again, and below what was
// signed. Some go away half way, some wait until the end.

package nemesis

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/vectors"
)

const (
	maxPending      = 300 // requests that hang somewhere; no more are sent then
	clientTimeout   = 2500 * time.Millisecond
	positionTimeout = 400 * time.Millisecond // for one position; then the next one is asked for
)

// unknownKey is one that no signer of a test has: a mainnet baker's.
var unknownKey = sync.OnceValue(func() *octezclient.PublicKey {
	key, err := octezclient.ParsePublicKey(vectors.Get("attestation-2244610").PublicKey)
	if err != nil {
		panic("a recorded key: " + err.Error())
	}
	return key
})

type clients struct {
	run      *historyRun
	untilEnd context.Context // of those who wait until the end
	asking   context.Context
	stop     context.CancelFunc
	loops    sync.WaitGroup
	pending  sync.WaitGroup
	slots    chan struct{}

	lock  sync.Mutex
	byURL map[string]*octezclient.Client
}

// endpoint is an address that clients ask.
type endpoint struct{ name, url string }

// startClients asks for all keys, until stop.
func (t *historyRun) startClients(patient context.Context, random *rand.Rand) *clients {
	c := &clients{run: t, untilEnd: patient, slots: make(chan struct{}, maxPending), byURL: map[string]*octezclient.Client{}}
	c.asking, c.stop = context.WithCancel(patient)
	for i := range t.target.Keys {
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
	level := c.run.levels[key]
	hash := c.run.target.Keys[key].Hash()
	var before []history.Request // what was asked, to be asked again
	for c.asking.Err() == nil && level.Load() < c.run.first+clientLevels {
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
		case <-time.After(positionTimeout):
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
// decides about the position is reported to the channel.
func (c *clients) send(random *rand.Rand, r history.Request, decided chan<- struct{}) {
	key := c.run.target.key(r.Key)
	to, anew := c.endpoint(random)
	wait := between(random, 0, 20*time.Millisecond)
	give := clientTimeout
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
		ctx, cancel := context.WithTimeout(c.untilEnd, give)
		defer cancel()
		client := c.client(to.url)
		if anew {
			client = octezclient.NewClient(to.url)
			defer client.Close()
		}
		r.Replica = to.name
		r = c.run.ask(r, func(raw []byte) (string, error) { return client.RequestOnce(ctx, key, raw) })
		if r.Status != 0 && r.Status != 502 {
			select {
			case decided <- struct{}{}:
			default: // reported already, or no channel
			}
		}
	})
}

// endpoint is a replica, or the Service. The Service is asked by a connection of its own
// each time, so that it may lead to any of them.
func (c *clients) endpoint(random *rand.Rand) (to endpoint, anew bool) {
	replicas := c.run.target.replicas()
	which := random.IntN(len(replicas) + 1)
	if which == len(replicas) {
		return endpoint{"the service", c.run.target.Service}, true
	}
	return endpoint{replicas[which].name, replicas[which].url()}, random.IntN(4) == 0
}

func (c *clients) client(url string) *octezclient.Client {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.byURL[url] == nil {
		c.byURL[url] = octezclient.NewClient(url)
	}
	return c.byURL[url]
}

// ask sends a request and logs what became of it.
func (t *historyRun) ask(r history.Request, send func(payload []byte) (string, error)) history.Request {
	r = t.clock.Ask(r, send)
	t.log.write(history.Event{Request: &r})
	return r
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
