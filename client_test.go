package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
)

// conn is the in-memory twin of a server: it notes requests, and answers with
// what the test put there, one answer after the other.
type conn struct {
	requests []client.Request
	replies  []client.Reply
	err      error
}

func (c *conn) Invoke(_ context.Context, r client.Request) (client.Reply, error) {
	c.requests = append(c.requests, r)
	if c.err != nil || len(c.replies) == 0 {
		return client.Reply{}, c.err
	}
	reply := c.replies[0]
	c.replies = c.replies[1:]
	return reply, nil
}

// answering gives a connection that answers with the bodies.
func answering(bodies ...string) (*conn, *holdfast.ClientContext) {
	c := &conn{}
	for _, b := range bodies {
		c.replies = append(c.replies, client.Reply{Body: []byte(b), InvocationID: "0123"})
	}
	return c, holdfast.NewClient(c).With(context.Background())
}

func (c *conn) last() client.Request { return c.requests[len(c.requests)-1] }

func TestCallsCarryTypesAndOptions(t *testing.T) {
	c, with := answering(`12`, `13`, `14`, `15`)
	deadline := time.Now().Add(time.Hour)
	n, err := depositing.Call(with, "alice", 5, holdfast.IdempotencyKey("k"), holdfast.Header("Tenant", "t"), holdfast.Deadline(deadline))
	want := client.Request{
		Kind: "account", Key: "alice", Handler: "deposit", Body: []byte(`5`),
		IdempotencyKey: "k", Header: map[string]string{"tenant": "t"}, Deadline: deadline,
	}
	if err != nil || n != 12 || !reflect.DeepEqual(c.last(), want) {
		t.Errorf("got %d, %v, request %+v, want %+v", n, err, c.last(), want)
	}
	n, err = reading.Call(with, "alice", holdfast.None)
	if err != nil || n != 13 || c.last().Operation != client.Call || c.last().Body != nil {
		t.Errorf("read: %d, %v, request %+v", n, err, c.last())
	}
	n, err = reading.Peek(with, "alice", holdfast.None)
	if err != nil || n != 14 || c.last().Operation != client.Peek {
		t.Errorf("peek: %d, %v, request %+v", n, err, c.last())
	}
	run, err := depositing.Submit(with, "alice", 5, holdfast.After(time.Minute))
	if err != nil || run.ID != "0123" || c.last().Operation != client.Submit || c.last().Delay != time.Minute {
		t.Errorf("submit: %v, %v, request %+v", run, err, c.last())
	}
}

func TestErrorsSurviveTheWire(t *testing.T) {
	c, with := answering()
	c.err = &client.Error{Code: "insufficient_funds", Class: 3, Message: "balance 3", Detail: []byte("d"), Unknown: true}
	_, err := withdrawing.Call(with, "alice", 5)
	var typed *holdfast.Error
	var raw *client.Error
	if !errors.Is(err, errInsufficient) || !errors.As(err, &typed) || !errors.As(err, &raw) {
		t.Fatalf("got %v", err)
	}
	if typed.Class != holdfast.Conflict || typed.Message != "balance 3" || string(typed.Detail) != "d" || !raw.Unknown {
		t.Errorf("got %+v", typed)
	}
	if err.Error() != "insufficient_funds: balance 3" {
		t.Errorf("text %q", err)
	}
}

func TestEndOfTheContextIsPartOfTheError(t *testing.T) {
	c := &conn{err: &client.Error{Code: "unavailable", Unknown: true}}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := withdrawing.Call(holdfast.NewClient(c).With(ctx), "alice", 5)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, holdfast.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	c.err = fmt.Errorf("wait: %w", context.Canceled)
	if _, err = withdrawing.Call(holdfast.NewClient(c).With(ctx), "alice", 5); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAnswerOfAnotherTypeIsAnError(t *testing.T) {
	_, with := answering(`"text"`)
	if _, err := reading.Call(with, "alice", holdfast.None); err == nil || !strings.Contains(err.Error(), "decode the answer of account/balance as int64") {
		t.Errorf("got %v", err)
	}
}

func TestContextWithoutConnection(t *testing.T) {
	if _, err := reading.Call(&holdfast.ClientContext{Context: context.Background()}, "alice", holdfast.None); !errors.Is(err, holdfast.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAwaitWaitsForTheResult(t *testing.T) {
	c, with := answering(`{"invocation_id":"0123"}`, `{"id":"0123","status":"pending"}`, `{"id":"0123","status":"completed","result":42}`,
		`{"status":"failed","error":{"code":"insufficient_funds","message":"m","detail":{"a":1}}}`,
		`{"status":"failed","error":{"code":"insufficient_funds","message":"m","detail_base64":"AAE="}}`, `garbage`, `{"status":"completed","result":"x"}`)
	run, err := depositing.Submit(with, "alice", 5)
	if err != nil {
		t.Fatal(err)
	}
	n, err := run.Await(with)
	if err != nil || n != 42 || len(c.requests) != 3 {
		t.Errorf("got %d, %v after %d requests", n, err, len(c.requests))
	}
	if r := c.last(); r.Operation != client.Result || r.InvocationID != "0123" || !r.Wait {
		t.Errorf("asked %+v", r)
	}
	for _, detail := range []string{`{"a":1}`, "\x00\x01"} {
		var typed *holdfast.Error
		if _, err = run.Await(with); !errors.Is(err, errInsufficient) || !errors.As(err, &typed) || string(typed.Detail) != detail {
			t.Errorf("got %v, want detail %q", err, detail)
		}
	}
	for _, want := range []string{"decode the status", "as int64"} {
		if _, err = run.Await(with); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	_, with = answering(`{"status":"completed","result":7}`, `{"status":"completed","result":null}`)
	if n, err := (holdfast.Invocation[int64]{ID: "1"}).Await(with); n != 7 || err != nil {
		t.Errorf("an id from elsewhere: %d, %v", n, err)
	}
	if _, err := (holdfast.Invocation[holdfast.Void]{ID: "1"}).Await(with); err != nil {
		t.Errorf("void: %v", err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := &conn{replies: []client.Reply{{Body: []byte(`{"status":"pending"}`)}}}
	if _, err := (holdfast.Invocation[int]{ID: "1"}).Await(holdfast.NewClient(c).With(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestQuestionsAboutEntities(t *testing.T) {
	c, with := answering(`true`, ``, `{"version":9,"state":{"Owner":"ann","Balance":3}}`,
		`{"reminders":[{"name":"a","handler":"expire","due":"2026-03-01T12:00:00Z","every":"1m0s"},{"name":"b","handler":"h","due":"2026-03-01T12:00:00Z","cron":"0 3 * * *"}]}`,
		`{"reminders":[{"every":"x"}]}`, `garbage`)
	if exists, err := accounts.Exists(with, "alice"); !exists || err != nil || c.last().Operation != client.Exists || c.last().Key != "alice" {
		t.Errorf("exists: %v, %v", exists, err)
	}
	if err := accounts.Delete(with, "alice"); err != nil || c.last().Operation != client.Delete {
		t.Errorf("delete: %v", err)
	}
	s, version, err := accounts.Inspect(with, "alice")
	if s != (account{"ann", 3}) || version != 9 || err != nil {
		t.Errorf("inspect: %+v, %d, %v", s, version, err)
	}
	due := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := []holdfast.Reminder{
		{Name: "a", Handler: "expire", Due: due, Every: time.Minute}, {Name: "b", Handler: "h", Due: due, Cron: "0 3 * * *"},
	}
	if got, err := accounts.Reminders(with, "alice"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("reminders: %+v, %v", got, err)
	}
	if _, err := accounts.Reminders(with, "alice"); err == nil {
		t.Error("a period that is none is accepted")
	}
	if _, err := accounts.Exists(with, "alice"); err == nil || !strings.Contains(err.Error(), "exists of account/alice") {
		t.Errorf("got %v", err)
	}
}

func TestInspectGivesMapsAndLists(t *testing.T) {
	baskets := holdfast.NewEntity[basket]("basket")
	_, with := answering(`{"version":1,"state":{"Note":"n","items":{"a":1},"Log":["x"]}}`, `{"version":1,"state":{"Note":1}}`)
	b, _, err := baskets.Inspect(with, "k")
	if v, ok := b.Items.Get("a"); err != nil || !ok || v != 1 || b.Log.Len() != 1 || b.Note != "n" {
		t.Errorf("got %+v, %v", b, err)
	}
	if _, _, err = baskets.Inspect(with, "k"); err == nil || !strings.Contains(err.Error(), "decode the state of basket/k") {
		t.Errorf("got %v", err)
	}
}

func TestValuesOfOtherCodecsTravelInJSON(t *testing.T) {
	kind := holdfast.NewEntity[account]("account", holdfast.WithCodec(upper{}))
	u := holdfast.NewUpdate[string, string](kind, "u", holdfast.WithCodec(upper{}))
	const wrapped = `{"content_type":"text/upper","base64":"QU5O"}` // ANN
	c, with := answering(`{"version":1,"state":`+wrapped+`}`, `ANN`, ``, `{"status":"completed","result":`+wrapped+`}`)
	if s, _, err := kind.Inspect(with, "k"); s.Owner != "ann" || err != nil {
		t.Errorf("inspect: %+v, %v", s, err)
	}
	if out, err := u.Call(with, "k", "bob"); out != "ann" || err != nil || string(c.last().Body) != "BOB" || c.last().ContentType != "text/upper" {
		t.Errorf("call: %q, %v, request %+v", out, err, c.last())
	}
	run, err := u.Submit(with, "k", "bob")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run.Await(with); out != "ann" || err != nil {
		t.Errorf("await: %q, %v", out, err)
	}
	if _, err := u.Call(with, "k", "refuse"); err == nil || !strings.Contains(err.Error(), "encode the input of account/u") {
		t.Errorf("got %v", err)
	}
	if _, err := u.Submit(with, "k", "refuse"); err == nil {
		t.Error("a request that cannot be encoded was submitted")
	}
}

func TestListGoesThroughAllPages(t *testing.T) {
	c, with := answering(`{"entities":["a","b"],"next":"b"}`, `{"entities":["c"],"next":""}`)
	var keys []string
	for key, err := range accounts.List(with, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if fmt.Sprint(keys) != "[a b c]" || c.requests[0].After != "" || c.requests[1].After != "b" || c.last().Limit == 0 {
		t.Errorf("got %v with %+v", keys, c.requests)
	}
	c, with = answering(`{"entities":["a","b"],"next":"b"}`)
	for range accounts.List(with, "") {
		break
	}
	if len(c.requests) != 1 {
		t.Errorf("%d requests after a break", len(c.requests))
	}
	c.err = &client.Error{Code: "unavailable"}
	for key, err := range accounts.List(with, "x") {
		if key != "" || !errors.Is(err, holdfast.ErrUnavailable) {
			t.Errorf("got %q, %v", key, err)
		}
	}
}

func TestDialIsLazy(t *testing.T) {
	c := holdfast.Dial("http://127.0.0.1:1")
	if c.Conn() == nil {
		t.Error("no connection")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := reading.Call(c.With(ctx), "alice", holdfast.None); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, holdfast.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
