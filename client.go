package holdfast

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Client is the typed door from outside. It is safe for concurrent use.
type Client struct{ conn client.Conn }

// NewClient wraps a connection.
func NewClient(c client.Conn) *Client { return &Client{c} }

// Dial gives a client over HTTP. It connects when it is used.
func Dial(url string) *Client { return NewClient(client.HTTP(url)) }

// Conn is the untyped connection, for gateways.
func (c *Client) Conn() client.Conn { return c.conn }

// With binds a context for deadline, cancellation and trace. The result is what
// handles take. The end of ctx ends the waiting, not the work.
func (c *Client) With(ctx context.Context) *ClientContext {
	return &ClientContext{Context: ctx, conn: c.conn}
}

// ClientContext is a client bound to a context.
type ClientContext struct {
	context.Context
	conn client.Conn
}

func (c *ClientContext) invoke(r client.Request) (client.Reply, error) {
	if c == nil || c.conn == nil {
		return client.Reply{}, ErrUnavailable.Withf("the context has no connection; make it with Client.With")
	}
	reply, err := c.conn.Invoke(c.Context, r)
	if err != nil {
		return reply, arrived(err, c.Err())
	}
	return reply, nil
}

func (c *ClientContext) canWait(r client.Request) ([]byte, error) {
	reply, err := c.invoke(r)
	return reply.Body, err
}

var _ Caller = (*ClientContext)(nil)

// Invocation says that a request is durable. Await waits for its result.
type Invocation[Out any] struct {
	ID string // of a workflow's run its own

	workflow string // its name
	output   *shape // nil: JSON
	answer   []byte // how it stood when it was handed over
}

// status asks how the invocation stands, once it has ended.
func (r Invocation[Out]) status(c *ClientContext) (a invocationAnswer, err error) {
	body := r.answer
	if r.workflow == "" || body == nil {
		request := client.Request{Operation: client.Result, InvocationID: r.ID, Wait: true}
		if r.workflow != "" {
			request = client.Request{Operation: client.Describe, Kind: r.workflow, Key: r.ID, Wait: true}
		}
		reply, err := c.invoke(request)
		if err != nil {
			return a, err
		}
		body = reply.Body
	}
	if err = json.Unmarshal(body, &a); err != nil {
		err = fmt.Errorf("decode the status of invocation %s: %w", r.ID, err)
	}
	return a, err
}

// Await waits for the result until the context ends. ErrNotFound if the server
// does not know the invocation, for instance because its retention is over.
func (r Invocation[Out]) Await(c *ClientContext) (out Out, err error) {
	for {
		answer, err := r.status(c)
		if err != nil {
			return out, err
		}
		r.answer = nil
		switch {
		case answer.Error != nil:
			return out, answer.failure()
		case answer.Status == msg.StatusCompleted.String():
			err = r.decode(answer.Result, &out)
			return out, err
		case c.Err() != nil:
			return out, fmt.Errorf("wait for invocation %s: %w", r.ID, context.Cause(c))
		}
	}
}

// invocationAnswer is the status of an invocation as the HTTP interface shows
// it.
type invocationAnswer struct {
	Status string
	Result json.RawMessage
	Error  *failureAnswer
}

type failureAnswer struct {
	Code         string          `json:"code"`
	Class        Class           `json:"class"`
	Message      string          `json:"message"`
	Detail       json.RawMessage `json:"detail,omitempty"`
	DetailBase64 []byte          `json:"detail_base64,omitempty"`
}

func (a *invocationAnswer) failure() *Error {
	e := &Error{Code: a.Error.Code, Class: a.Error.Class, Message: a.Error.Message, Detail: a.Error.Detail}
	if a.Error.DetailBase64 != nil {
		e.Detail = a.Error.DetailBase64
	}
	return e
}

func (r Invocation[Out]) decode(result json.RawMessage, out *Out) error {
	form := r.output
	if form == nil {
		form = new(shape)
		*form = shapeOf[Out]()
	}
	if form.void {
		return nil
	}
	payload, err := msg.Payload{Body: result}, error(nil)
	if form.codec != nil {
		payload, err = unwrapJSON(result)
	}
	if err == nil {
		err = form.decode(payload, out)
	}
	if err != nil {
		return fmt.Errorf("decode the result of invocation %s as %v: %w", r.ID, form.value, err)
	}
	return nil
}
