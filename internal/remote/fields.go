package remote

import "github.com/holdfast-io/holdfast/internal/msg"

// This file says which fields the nouns have. The numbers are on the wire and in
// the log, and never change.

type (
	header  msg.Header
	ref     msg.Ref
	replyTo msg.ReplyTo
)

func (h *header) fields(v *visitor) {
	v.text(1, &h.Name)
	v.text(2, &h.Value)
}

func (r *ref) fields(v *visitor) {
	v.text(1, &r.Namespace)
	v.text(2, &r.Kind)
	v.text(3, &r.Key)
}

func (r *replyTo) fields(v *visitor) {
	number(v, 1, 16, &r.Origin)
	v.fingerprint(2, (*msg.Fingerprint)(&r.Invocation))
	v.sub(3, (*ref)(&r.Target))
	number(v, 4, 64, &r.Run)
	number(v, 5, 64, &r.Step)
}

func (t *Target) fields(v *visitor) {
	v.text(1, &t.App)
	v.text(2, &t.Type)
	v.text(3, &t.ID)
}

func (c *Call) fields(v *visitor) {
	v.fingerprint(1, &c.Hash)
	number(v, 2, 32, &c.Occurrence)
}

func (a *Address) fields(v *visitor) {
	v.sub(1, (*replyTo)(&a.Reply))
	v.sub(2, (*ref)(&a.Entity))
	v.text(3, &a.Request)
	v.sub(4, &a.Call)
}

func (i *Invocation) fields(v *visitor) {
	v.text(1, &i.Request)
	v.text(2, &i.Flow)
	number(v, 3, 32, &i.Sequence)
	kind(v, 4, "InvocationKind", InvocationDelete, &i.Kind)
	v.sub(5, &i.Target)
	v.text(6, &i.Method)
	v.text(7, &i.Path)
	v.headers(8, &i.Headers)
	v.text(9, &i.ContentType)
	v.bytes(10, &i.Body)
	v.sub(11, &i.To)
	v.duration(12, &i.BusyTimeout)
	v.duration(13, &i.StartWithin)
	v.time(14, &i.StartBy)
	v.text(15, &i.Parent)
	v.text(16, &i.CancelWith)
}

func (r *Result) fields(v *visitor) {
	number(v, 1, 16, &r.Status)
	v.text(2, &r.ContentType)
	v.headers(3, &r.Headers)
	v.bytes(4, &r.Body)
	v.text(5, &r.Failure)
}

func (c *Change) fields(v *visitor) {
	kind(v, 1, "ChangeKind", ChangeReset, &c.Kind)
	v.text(2, &c.Field)
	v.text(3, &c.Key)
	v.bytes(4, &c.Value)
}

func (o *Outgoing) fields(v *visitor) {
	v.sub(1, &o.Call)
	v.sub(2, &o.Invocation)
	v.text(3, &o.Topic)
	repeated(v, 4, &o.Changes)
}

func (r *Reminder) fields(v *visitor) {
	v.text(1, &r.Path)
	v.time(2, &r.Due)
	v.duration(3, &r.Period)
	v.bytes(4, &r.Data)
}

func (s *Subscription) fields(v *visitor) {
	v.text(1, &s.Path)
	v.text(2, &s.Topic)
	v.text(3, &s.ContentType)
	v.text(4, &s.Group)
	v.truth(5, &s.Oldest)
}

func (a *Assignment) fields(v *visitor) {
	number(v, 1, 64, &a.Token)
	number(v, 2, 32, &a.Attempt)
	v.sub(3, &a.Invocation)
	repeated(v, 4, &a.State)
	v.truth(5, &a.Whole)
}

func (c *Completion) fields(v *visitor) {
	number(v, 1, 64, &c.Token)
	number(v, 2, 32, &c.Attempt)
	v.text(3, &c.Request)
	v.sub(4, &c.Result)
	optional(v, 5, &c.Tail)
	v.truth(6, &c.Release)
	repeated(v, 7, &c.Changes)
	repeated(v, 8, &c.Sends)
	v.text(9, &c.Lost)
}

func (r *Request) fields(v *visitor) {
	kind(v, 1, "RequestKind", requestKindLast, &r.Kind)
	number(v, 2, 32, &r.Lane)
	number(v, 3, 64, &r.Number)
	v.sub(4, &r.Target)
	optional(v, 5, &r.Invocation)
	v.text(6, &r.Name)
	number(v, 7, 64, &r.Token)
	number(v, 8, 32, &r.Attempt)
	repeated(v, 9, &r.Sends)
	repeated(v, 10, &r.Changes)
	v.sub(11, &r.Query)
	v.bytes(12, &r.Body)
}

func (q *Query) fields(v *visitor) {
	kind(v, 1, "QueryKind", QueryCount, &q.Kind)
	v.text(2, &q.Field)
	v.text(3, &q.Key)
}

func (e *Entry) fields(v *visitor) {
	v.text(1, &e.Field)
	v.text(2, &e.Key)
	v.bytes(3, &e.Value)
}

func (a *Answer) fields(v *visitor) {
	number(v, 1, 32, &a.Lane)
	number(v, 2, 64, &a.Number)
	v.sub(3, &a.Result)
	v.truth(4, &a.Found)
	repeated(v, 5, &a.Entries)
	number(v, 6, 64, &a.Count)
	v.numbers(7, &a.Counts)
}

func (h *Hello) fields(v *visitor) {
	number(v, 1, 32, &h.Version)
	v.text(2, &h.Session)
	v.text(3, &h.App)
	v.texts(4, &h.Services)
	v.texts(5, &h.Types)
	number(v, 6, 32, &h.Port)
	repeated(v, 7, &h.Live)
	repeated(v, 8, &h.Actors)
	v.text(9, &h.Run)
}

func (a *Attempt) fields(v *visitor) {
	number(v, 1, 64, &a.Token)
	number(v, 2, 32, &a.Attempt)
	v.text(3, &a.Request)
}

func (w *Welcome) fields(v *visitor) {
	number(v, 1, 32, &w.Version)
	v.text(2, &w.Server)
	v.duration(3, &w.Lease)
	number(v, 4, 32, &w.BytesMax)
	number(v, 5, 32, &w.Window)
	v.text(6, &w.Refused)
	v.text(7, &w.Run)
	v.truth(8, &w.Stale)
}

func (c *Credit) fields(v *visitor)   { number(v, 1, 32, &c.Bytes) }
func (g *Goodbye) fields(v *visitor)  { v.text(1, &g.Reason) }
func (i *Inactive) fields(v *visitor) { v.sub(1, &i.Actor) }
