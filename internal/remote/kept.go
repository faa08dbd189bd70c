package remote

// This file has what the server keeps of programs in other processes: roots and
// entries of entities. It never leaves the log.

// Actor is the root of an actor, and of a service while it runs.
type Actor struct {
	Flow    string   // that holds the actor; empty: none
	Active  []Active // in the order in which they entered
	Next    uint64   // place of the next one that has to wait
	Waiting uint32   // how many wait
}

// IsIdle reports whether nothing is under way.
func (a *Actor) IsIdle() bool { return len(a.Active) == 0 && a.Waiting == 0 }

// Find is the place of a request among those that are active, or -1.
func (a *Actor) Find(request string) int {
	for n := range a.Active {
		if a.Active[n].Request == request {
			return n
		}
	}
	return -1
}

// Active is an invocation that is attempted.
type Active struct {
	Request  string
	Kind     InvocationKind
	Sequence uint32
	To       Address
	Calls    uint32    // that are under way
	Settling []Address // are told when no call is

	SentBytes uint64    // of results of calls that were remembered, or not for lack of room
	Ending    []Address // are told when it is not attempted any more
}

// Sent is what is remembered of something that an invocation has sent.
type Sent struct {
	Pending bool // a call that has not ended
	Result  Result
	Waiters []Address // are told the result
}

// Told carries the outcome of an invocation to who waits for it.
type Told struct {
	Request string
	Call    Call
	Result  Result
}

// Promise is the root of a promise.
type Promise struct {
	Ended   bool
	Result  Result
	Waiters []Address
}

// Topic is the root of a topic.
type Topic struct {
	Next  uint64 // number of the next event
	First uint64 // the oldest event that is kept
	Bytes uint64 // of the events that are kept
}

// Event is an event of a topic, on its way to a subscriber or kept.
type Event struct {
	Topic        string
	Subscription string // whose it is; empty: kept
	Number       uint64
	ContentType  string
	Body         []byte
}

// Subscriber asks a topic for its events, or for none any more.
type Subscriber struct {
	Actor        string // its key
	ID           string
	Subscription Subscription
}

func (a *Actor) fields(v *visitor) {
	v.text(1, &a.Flow)
	repeated(v, 2, &a.Active)
	number(v, 3, 64, &a.Next)
	number(v, 4, 32, &a.Waiting)
}

func (a *Active) fields(v *visitor) {
	v.text(1, &a.Request)
	kind(v, 2, "InvocationKind", InvocationDelete, &a.Kind)
	number(v, 3, 32, &a.Sequence)
	v.sub(4, &a.To)
	number(v, 5, 32, &a.Calls)
	repeated(v, 6, &a.Settling)
	number(v, 7, 64, &a.SentBytes)
	repeated(v, 8, &a.Ending)
}

func (s *Sent) fields(v *visitor) {
	v.truth(1, &s.Pending)
	v.sub(2, &s.Result)
	repeated(v, 3, &s.Waiters)
}

func (t *Told) fields(v *visitor) {
	v.text(1, &t.Request)
	v.sub(2, &t.Call)
	v.sub(3, &t.Result)
}

func (p *Promise) fields(v *visitor) {
	v.truth(1, &p.Ended)
	v.sub(2, &p.Result)
	repeated(v, 3, &p.Waiters)
}

func (t *Topic) fields(v *visitor) {
	number(v, 1, 64, &t.Next)
	number(v, 2, 64, &t.First)
	number(v, 3, 64, &t.Bytes)
}

func (e *Event) fields(v *visitor) {
	v.text(1, &e.Topic)
	v.text(2, &e.Subscription)
	number(v, 3, 64, &e.Number)
	v.text(4, &e.ContentType)
	v.bytes(5, &e.Body)
}

func (s *Subscriber) fields(v *visitor) {
	v.text(1, &s.Actor)
	v.text(2, &s.ID)
	v.sub(3, &s.Subscription)
}
