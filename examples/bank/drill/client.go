package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// amountMax and openingBalance are such that some transfers are refused:
	// those answers must be remembered, too.
	amountMax      = 100_000
	openingBalance = 250_000

	// attemptTimeMax ends an attempt that the server does not answer.
	attemptTimeMax = 10 * time.Second
	// attemptPause is between two attempts at a server that is there.
	attemptPause = 5 * time.Millisecond

	// workflowEvery makes every so manieth transfer a workflow, and another an
	// event.
	workflowEvery = 4
	// loseEvery makes every so manieth answer one that a client pretends not to
	// have got: it asks again and must be told the same.
	loseEvery = 20
	// rememberedMax is how many of the last requests are repeated after a kill.
	rememberedMax = 5
)

// accountPath is where accounts are, under /v1.
const accountPath = "/entities/account/"

func accountName(i int) string { return fmt.Sprintf("account-%03d", i) }

// request is one that is repeated until it is answered.
type request struct {
	key  string // idempotency key, or the id of a workflow
	path string // under /v1; empty for the workflow
	body []byte
}

// url is where to post a request. The id of a workflow is its idempotency key.
func (r request) url(base string) string {
	if r.path == "" {
		return base + "/v1/workflows/transfer/" + r.key + "?wait=" + (attemptTimeMax / 2).String()
	}
	return base + "/v1" + r.path
}

func (r request) String() string { return r.url("") + " " + string(r.body) }

// answer is what the server said: the new balance, or that there is too little.
type answer struct {
	status int
	body   string
}

// client asks one thing after another.
type client struct {
	drill  *drill
	name   string
	random *rand.Rand
	web    *http.Client
	sent   int

	done   []transfer
	recent []answered // the last ones, for repetition
	life   *life      // that answered last
	counts *counts
}

type answered struct {
	request request
	answer  answer
}

// counts is what all clients have done.
type counts struct{ transfers, repeats, different atomic.Int64 }

func (d *drill) newClient(name string, number uint64) *client {
	return &client{
		drill: d, name: name, counts: &d.counts,
		random: rand.New(rand.NewPCG(d.config.seed, number)),
		web:    &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}, Timeout: attemptTimeMax},
	}
}

// work transfers until it is told to stop. It stops between transfers, so that
// every transfer has an answer.
func (c *client) work(ctx context.Context, stop <-chan struct{}) error {
	defer c.web.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := c.transfer(ctx); err != nil {
			return err
		}
	}
}

// transfer moves a random amount between two random accounts.
func (c *client) transfer(ctx context.Context) error {
	accounts := c.drill.config.accounts
	t := transfer{from: c.random.IntN(accounts), to: c.random.IntN(accounts - 1), amount: 1 + c.random.Int64N(amountMax)}
	if t.to >= t.from {
		t.to++
	}
	t.way = way(c.random.IntN(workflowEvery))
	r := c.request(t)
	before := c.life
	got, err := c.ask(ctx, r)
	if err != nil {
		return err
	}
	t.refused = got.status == http.StatusConflict
	c.done = append(c.done, t)
	c.counts.transfers.Add(1)
	if before != nil && c.life != before {
		err = c.repeat(ctx, c.recent)
	}
	c.recent = append(c.recent, answered{r, got})
	if err == nil && c.random.IntN(loseEvery) == 0 {
		err = c.repeat(ctx, c.recent[len(c.recent)-1:])
	}
	c.recent = c.recent[max(0, len(c.recent)-rememberedMax):]
	return err
}

func (c *client) request(t transfer) request {
	from, to := accountName(t.from), accountName(t.to)
	payment := fmt.Appendf(nil, `{"from":%q,"to":%q,"amount":%d}`, from, to, t.amount)
	switch t.way {
	case byWorkflow:
		return request{key: c.nextKey(), body: payment}
	case byEvent:
		return request{key: c.nextKey(), path: "/events/moved", body: payment}
	}
	return request{key: c.nextKey(), path: accountPath + from + "/transfer", body: fmt.Appendf(nil, `{"to":%q,"amount":%d}`, to, t.amount)}
}

// repeat asks again what has been answered: the answers must be the same.
func (c *client) repeat(ctx context.Context, list []answered) error {
	for _, first := range list {
		c.counts.repeats.Add(1)
		again, err := c.ask(ctx, c.again(first.request))
		if err != nil {
			return err
		}
		if again != first.answer {
			c.counts.different.Add(1)
			c.drill.differs(first, again)
		}
	}
	return nil
}

func (c *client) nextKey() string {
	c.sent++
	return c.name + "-" + strconv.Itoa(c.sent)
}

// again is the same request once more; under the hidden flag another one.
func (c *client) again(r request) request {
	if c.drill.config.freshKeys {
		r.key = c.nextKey()
	}
	return r
}

// ask sends a request until there is a definite answer.
func (c *client) ask(ctx context.Context, r request) (answer, error) {
	for {
		life, err := c.drill.door.enter(ctx)
		if err != nil {
			return answer{}, err
		}
		got, err := c.attempt(ctx, life, r)
		if err == nil {
			c.life = life
			life.answer()
			return got, nil
		}
		var unexpected *unexpectedError
		if errors.As(err, &unexpected) {
			return answer{}, err
		}
		c.counts.repeats.Add(1)
		if err := c.pause(ctx, life); err != nil {
			return answer{}, err
		}
		r = c.again(r)
	}
}

// pause lasts until the server is known to be gone, or a little.
func (c *client) pause(ctx context.Context, l *life) error {
	timer := time.NewTimer(attemptPause)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// unexpectedError is an answer that no server should give to a drill.
type unexpectedError struct {
	request request
	answer  answer
}

func (e *unexpectedError) Error() string {
	return fmt.Sprintf("%v was answered %d %s", e.request, e.answer.status, e.answer.body)
}

// attempt sends a request once. An error that is not an unexpectedError means
// that what became of the request is not known.
func (c *client) attempt(ctx context.Context, l *life, r request) (answer, error) {
	got, err := c.post(ctx, l, r)
	if err == nil && r.path == "" {
		got, err = got.outcome()
	}
	if err != nil {
		return answer{}, err
	}
	switch {
	case got.status == http.StatusOK, got.code() == "insufficient_funds":
		return got, nil
	case got.status == http.StatusServiceUnavailable, got.status == http.StatusTooManyRequests:
		return answer{}, fmt.Errorf("refused for now: %s", got.body)
	}
	return answer{}, &unexpectedError{r, got}
}

func (c *client) post(ctx context.Context, l *life, r request) (answer, error) {
	c.drill.door.inFlight.Add(1)
	defer c.drill.door.inFlight.Add(-1)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url(l.base), bytes.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	post.Header.Set("Content-Type", "application/json")
	if r.key != "" && r.path != "" {
		post.Header.Set("Idempotency-Key", r.key)
	}
	response, err := c.web.Do(post)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, string(bytes.TrimSpace(body))}, nil
}

// outcome gives how a run stands the form of what an update answers. An error
// means that it has not ended.
func (a answer) outcome() (answer, error) {
	if a.status != http.StatusOK && a.status != http.StatusAccepted {
		return a, nil
	}
	var run struct {
		Status        string
		Result, Error json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &run); err != nil {
		return a, fmt.Errorf("read how a workflow stands: %w", err)
	}
	switch run.Status {
	case "completed":
		return answer{http.StatusOK, string(run.Result)}, nil
	case "failed":
		return answer{http.StatusConflict, `{"error":` + string(run.Error) + `}`}, nil
	case "running":
		return a, errors.New("the workflow runs")
	}
	return answer{http.StatusInternalServerError, a.body}, nil
}

// code is that of an error answer.
func (a answer) code() string {
	var said struct{ Error struct{ Code string } }
	if json.Unmarshal([]byte(a.body), &said) != nil {
		return ""
	}
	return said.Error.Code
}

// number is the output of deposit, withdraw, transfer and balance.
func (a answer) number() (int64, error) { return strconv.ParseInt(a.body, 10, 64) }
