package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"

	"github.com/holdfast-io/holdfast"
)

// operation is what a caller does again and again.
type operation func() error

// callers says how many callers there are, one line for each number.
func (w *workload) callers(numbers []int) []int {
	switch {
	case len(numbers) > 0:
		return numbers
	case w.special != nil:
		return []int{64}
	case w.operations > 1:
		return []int{1, fanOutMany}
	}
	return []int{1, 64, 256}
}

// workload is one way to use a server.
type workload struct {
	name       string
	begin      func(ctx context.Context, e *environment, random *rand.Rand) operation
	operations uint64 // that one call is counted as; 0: 1
	oneKey     bool
	chain      bool
	oneWay     bool // an answer does not say that the work is done
	beside     bool // updates are measured in turn with the work
	http       bool
	hidden     bool

	special func(ctx context.Context, b *bench, callers int) error // a workload of its own kind; nil: it is not
}

// workloads lists them in the order of "all".
func workloads() []*workload {
	return []*workload{
		{name: "update", begin: beginUpdate},
		{name: "hot", begin: beginUpdate, oneKey: true},
		{name: "read", begin: beginRead},
		{name: "send", begin: beginSend, oneWay: true},
		{name: "chain", begin: beginChain, chain: true, beside: true},
		{name: "http", begin: beginHTTP, http: true},
		{name: "http-send", begin: beginHTTPSend, http: true, oneWay: true},
		{name: "workflow5", begin: beginRuns(hello, greetedInTurn), beside: true},
		{name: "local5", begin: beginRuns(helloLocal, greetedInTurn), beside: true},
		{name: "fanout", begin: beginRuns(spread, greetedAtOnce), operations: fanOut},
		{name: "pingpong", begin: beginRally, operations: rallyHits},
		{name: "lock2", begin: beginPairs(lockPair), beside: true},
		{name: "event2", begin: beginPairs(raisePair), beside: true},
		{name: "sleep", special: runSleep},
		{name: "entities", special: runEntities},
		{name: "kar-actor", special: runKAR("kar-actor", karActor, false)},
		{name: "kar-service", special: runKAR("kar-service", karService, false)},
		{name: "kar-tell", special: runKAR("kar-tell", karTell, true)},
		{name: "kar-session", special: runKARSession},
		{name: workloadKARSide, special: runKARSide, hidden: true},
		{name: workloadKARNull, special: runKARNull, hidden: true},
		{name: workloadKARApp, special: runKARApp, hidden: true},
		{name: workloadLoad, special: loadEntities, hidden: true},
		{name: workloadRecover, special: recoverEntities, hidden: true},
	}
}

// beginUpdate adds to a random entity, through the typed client.
func beginUpdate(ctx context.Context, e *environment, random *rand.Rand) operation {
	c := e.typed.With(ctx)
	return func() error {
		_, err := add.Call(c, e.keys[random.IntN(len(e.keys))], 1)
		return err
	}
}

// beginRead reads a random entity.
func beginRead(ctx context.Context, e *environment, random *rand.Rand) operation {
	c := e.typed.With(ctx)
	return func() error {
		_, err := get.Call(c, e.keys[random.IntN(len(e.keys))], holdfast.None)
		return err
	}
}

// beginSend submits an addition.
func beginSend(ctx context.Context, e *environment, random *rand.Rand) operation {
	c := e.typed.With(ctx)
	return func() error {
		_, err := add.Submit(c, e.keys[random.IntN(len(e.keys))], 1)
		return err
	}
}

// beginChain calls the first link of a random chain; the last one answers.
func beginChain(ctx context.Context, e *environment, random *rand.Rand) operation {
	c := e.typed.With(ctx)
	return func() error {
		chain := random.IntN(len(e.app.chains))
		_, err := passOn.Call(c, e.app.chains[chain][0], hop{Chain: chain})
		return err
	}
}

func beginHTTP(ctx context.Context, e *environment, random *rand.Rand) operation {
	return beginPost(ctx, e.web, e.base, e.keys, "/add", http.StatusOK, random)
}

func beginHTTPSend(ctx context.Context, e *environment, random *rand.Rand) operation {
	return beginPost(ctx, e.web, e.base, e.keys, "/add/send", http.StatusAccepted, random)
}

// beginPost posts a 1 to a random entity. The bare echo gets the same requests.
func beginPost(ctx context.Context, web *http.Client, base string, keys []string, handler string, want int, random *rand.Rand) operation {
	base += "/v1/entities/tally/"
	body := []byte("1")
	return func() error {
		url := base + keys[random.IntN(len(keys))] + handler
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := web.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if response.StatusCode != want {
			return fmt.Errorf("POST %s was answered %s: %.200s", url, response.Status, answer)
		}
		return nil
	}
}

// fill makes the entities exist.
func (w *workload) fill(ctx context.Context, e *environment) error {
	c := e.typed.With(ctx)
	if err := fill(ctx, len(e.app.chains), func(i int) error {
		_, err := passOn.Call(c, e.app.chains[i][0], hop{Chain: i})
		return err
	}); err != nil {
		return err
	}
	return fill(ctx, len(e.keys), func(i int) error {
		_, err := add.Call(c, e.keys[i], 1)
		return err
	})
}

// sizes says how many entities and chains there are.
func (w *workload) sizes(keys int) (entities, chains int) {
	switch {
	case keys == 0 && w.special != nil:
		keys = keysDefaultMany
	case keys == 0:
		keys = keysDefault
	}
	switch {
	case w.oneKey:
		return 1, 0
	case w.chain:
		return keys, max(1, keys/chainLinks)
	}
	return keys, 0
}
