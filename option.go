package holdfast

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// delayMax bounds how far ahead a message or reminder may lie: a hundred years.
// Times are nanoseconds in 64 bits and end in the year 2262.
const delayMax = 100 * 365 * 24 * time.Hour

// CallOption configures Call.
type CallOption interface{ forCall(*client.Request) }

// SendOption configures Send and Submit.
type SendOption interface{ forSend(*client.Request) }

// Option is good for Call, Send and Submit.
type Option interface {
	CallOption
	SendOption
}

type option func(*client.Request)

func (o option) forCall(r *client.Request) { o(r) }
func (o option) forSend(r *client.Request) { o(r) }

// IdempotencyKey makes repeats of this request one request: a request with the
// same target, handler and key is done once, and all get the same answer, for
// as long as the server keeps keys (24 h unless configured). The same key with
// another input is ErrUnprocessable.
func IdempotencyKey(key string) Option {
	return option(func(r *client.Request) { r.IdempotencyKey = key })
}

// Header attaches metadata that the handler reads with ctx.Header. Names have
// no upper case.
func Header(name, value string) Option {
	return option(func(r *client.Request) {
		if r.Header == nil {
			r.Header = map[string]string{}
		}
		r.Header[strings.ToLower(name)] = value
	})
}

// Deadline makes the request fail with ErrDeadline if it has not begun by t. A
// message that nobody waits for is dropped then.
func Deadline(t time.Time) Option {
	return option(func(r *client.Request) { r.Deadline = t })
}

// Delay says when a message is handled, at the earliest: made by After and At.
// It is a SendOption and a Schedule. A call cannot be delayed: that does not
// compile.
type Delay struct {
	after time.Duration
	at    time.Time // zero: after counts
}

// After is no earlier than d from now; at once if d is 0. A negative d, or one
// above a hundred years, is refused when it is used.
func After(d time.Duration) Delay { return Delay{after: d} }

// At is no earlier than t; at once if t has passed.
func At(t time.Time) Delay { return Delay{at: t} }

func (d Delay) forSend(r *client.Request) { r.Delay, r.NotBefore = d.after, d.at }

func (d Delay) schedule(now msg.Time) (due msg.Time, repeat msg.Schedule, err error) {
	due, err = dueAt(now, d.after, d.at)
	return max(due, now), repeat, err
}

// dueAt gives the time that a delay or an absolute time means; 0 is at once.
func dueAt(now msg.Time, after time.Duration, at time.Time) (msg.Time, error) {
	switch {
	case after < 0:
		return 0, fmt.Errorf("delay %v is negative", after)
	case after > delayMax, at.Sub(now.Std()) > delayMax:
		return 0, fmt.Errorf("the time is more than a hundred years ahead")
	case after > 0:
		return now + msg.Time(after), nil
	case at.IsZero(), at.Before(now.Std()):
		return 0, nil
	default:
		return msg.TimeOf(at), nil
	}
}

func (d Delay) text() string {
	if d.at.IsZero() {
		return "after " + d.after.String()
	}
	return "at " + d.at.UTC().Format(time.RFC3339Nano)
}

// Schedule says when a reminder fires, or a run of a workflow begins: After, At,
// Every or Cron.
type Schedule interface {
	schedule(now msg.Time) (due msg.Time, repeat msg.Schedule, err error)
	text() string // the same for equal schedules, and for no others
}

// repeating is what Every and Cron make.
type repeating msg.Schedule

// Every repeats with period d, first d from now, at absolute due times: the
// time that a turn takes does not add up. d is at least a millisecond.
func Every(d time.Duration) Schedule { return repeating{Every: d} }

// Cron repeats by the calendar, in UTC: minute, hour, day of the month, month
// and day of the week, as in "0 3 * * *". What is no such text fails the turn
// that uses it.
func Cron(spec string) Schedule { return repeating{Cron: spec} }

func (r repeating) schedule(now msg.Time) (msg.Time, msg.Schedule, error) {
	s := msg.Schedule(r)
	if s.IsZero() {
		return 0, s, fmt.Errorf("Every needs a period of at least %v, and Cron a text with five fields", msg.EveryMin)
	}
	if err := s.Validate(); err != nil {
		return 0, s, err
	}
	if s.Every > delayMax {
		return 0, s, fmt.Errorf("period %v is more than a hundred years", s.Every)
	}
	if s.Every > 0 {
		return now + msg.Time(s.Every), s, nil
	}
	return s.Next(now, 0), s, nil
}

func (r repeating) text() string {
	if r.Cron != "" {
		return "cron " + r.Cron
	}
	return "every " + r.Every.String()
}

// HandleOption configures a declaration; it is part of the contract.
type HandleOption interface{ declare(*contract) }

// contract is what handle options say about an entity or a handler.
type contract struct {
	doc     string
	codec   Codec
	aliases []string
	creates bool
}

type handleOption func(*contract)

func (o handleOption) declare(c *contract) { o(c) }

func newContract(opts []HandleOption) (c contract) {
	for _, o := range opts {
		if o != nil {
			o.declare(&c)
		}
	}
	return c
}

// WithCodec encodes the input and output of a handler, or the state of an
// entity, with c. JSON is the default. Handlers accept JSON as well.
func WithCodec(c Codec) HandleOption {
	return handleOption(func(to *contract) { to.codec = c })
}

// Doc is text for people, shown in the OpenAPI document.
func Doc(text string) HandleOption {
	return handleOption(func(to *contract) { to.doc = text })
}

// Creates says of an update that it creates a missing entity of a Strict kind.
func Creates() HandleOption {
	return handleOption(func(to *contract) { to.creates = true })
}

// Alias keeps an old name of a handler alive: messages and callers that use it
// reach the handler.
func Alias(name string) HandleOption {
	return handleOption(func(to *contract) { to.aliases = append(to.aliases, name) })
}
