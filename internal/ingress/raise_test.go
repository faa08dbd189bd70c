package ingress_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an event comes to one partition, the same each time, and only if it can
// be raised; what is locked is shown and given back wherever it is. Method:
// partitions that note what they are told.

func raise(refs ...msg.Ref) *msg.Request {
	return &msg.Request{Operation: msg.OperationRaise, Handler: "moved", Refs: refs, Wait: true}
}

func TestAnEventComesToThePartitionOfItsFirstEntityInWhateverOrder(t *testing.T) {
	refs := []msg.Ref{{Kind: "cart", Key: "x"}, {Kind: "account", Key: "zoe"}, {Kind: "account", Key: "bob"}}
	for first := range refs {
		p := now(msg.Reply{Found: true})
		named := append(append([]msg.Ref{}, refs[first:]...), refs[:first]...)
		if reply := openIngress(p).Do(t.Context(), raise(named...)); reply.Err != nil {
			t.Fatal(reply.Err)
		}
		got := p.commands()[0]
		if got.Request.Target != refs[2] || got.partition != msg.PartitionOf(refs[2], "", partitionCount) || fmt.Sprint(got.Request.Refs) != "[account/bob account/zoe cart/x]" {
			t.Errorf("%v came to partition %d for %s as %v", named, got.partition, got.Request.Target, got.Request.Refs)
		}
	}
}

// Who raises an event with nothing but its payload leaves it to the program which
// entities it names.
func TestTheProgramSaysWhatAnEventNames(t *testing.T) {
	p := now(msg.Reply{Found: true})
	i := openIngress(p)
	if reply := i.Do(t.Context(), &msg.Request{Operation: msg.OperationRaise, Handler: "split", Payload: msg.Payload{Body: []byte("zoe")}}); reply.Err != nil {
		t.Fatal(reply.Err)
	}
	if got := p.commands()[0].Request.Refs; fmt.Sprint(got) != "[account/zoe]" {
		t.Errorf("it names %v, want account/zoe", got)
	}
	reply := i.Do(t.Context(), &msg.Request{Operation: msg.OperationRaise, Handler: "split"})
	if reply.Err == nil || reply.Err.Code != msg.CodeInvalidArgument || len(p.commands()) != 1 {
		t.Errorf("got %v, want what the program said, and nothing asked", reply.Err)
	}
}

func TestAnEventThatCannotBeRaisedIsRefused(t *testing.T) {
	many := make([]msg.Ref, msg.KeysMax+1)
	for n := range many {
		many[n] = msg.Ref{Kind: "account", Key: fmt.Sprint(n)}
	}
	large, unknown := raise(alice), raise(alice)
	large.Payload.Body = make([]byte, 1001)
	unknown.Handler = "gone"
	for name, c := range map[string]struct {
		request *msg.Request
		code    string
	}{
		"no entity":         {raise(), msg.CodeInvalidArgument},
		"an unknown kind":   {raise(alice, msg.Ref{Kind: "ghost", Key: "x"}), msg.CodeNotFound},
		"an empty key":      {raise(msg.Ref{Kind: "account"}), msg.CodeInvalidArgument},
		"too many entities": {raise(many...), msg.CodeResourceExhausted},
		"too large a body":  {large, msg.CodePayloadTooLarge},
		"an unknown event":  {unknown, msg.CodeNotFound},
	} {
		p := now(msg.Reply{})
		reply := openIngress(p).Do(t.Context(), c.request)
		if reply.Err == nil || reply.Err.Code != c.code || len(p.commands()) != 0 {
			t.Errorf("%s: got %v, want %s and nothing asked", name, reply.Err, c.code)
		}
	}
	p := now(msg.Reply{})
	p.full = errFull
	if reply := openIngress(p).Do(t.Context(), raise(alice)); reply.Err == nil || reply.Err.Code != msg.CodeResourceExhausted {
		t.Errorf("without room: got %v", reply.Err)
	}
}

// Who waits for an event gives it the time that he has; one that nobody waits
// for has that of its own.
func TestAnEventHasTheDeadlineOfWhoWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, wait := range []bool{true, false} {
		p := now(msg.Reply{})
		r := raise(alice)
		r.Wait = wait
		openIngress(p).Do(ctx, r)
		if got := p.commands()[0].Request.Deadline > 0; got != wait {
			t.Errorf("wait %v: a deadline was given: %v", wait, got)
		}
	}
}

func TestLocksAreListedInOrderAndCut(t *testing.T) {
	p := &partitions{answer: func(p msg.Partition, c msg.Command) (msg.Reply, bool) {
		return msg.Reply{Found: true, Locks: []msg.Lock{{Key: msg.Ref{Kind: "account", Key: fmt.Sprint(9 - p)}}}}, true
	}}
	reply := openIngress(p).Do(t.Context(), &msg.Request{Operation: msg.OperationLocks, Limit: 3})
	var keys []string
	for _, l := range reply.Locks {
		keys = append(keys, l.Key.Key)
	}
	if got := strings.Join(keys, " "); got != "6 7 8" {
		t.Fatalf("got %s, want 6 7 8", got)
	}
	page, next := ingress.PageOfLocks(reply.Locks, 2)
	if place, err := ingress.ParseCursor(next); err != nil || len(page) != 2 || place != page[1].Place() {
		t.Errorf("got a page of %d and next %q", len(page), next)
	}
	if page, next := ingress.PageOfLocks(reply.Locks, 3); len(page) != 3 || next != "" {
		t.Errorf("got a last page of %d and next %q", len(page), next)
	}
}

func TestALockIsGivenBackByKindOrAffinity(t *testing.T) {
	for kind, code := range map[string]string{"cart": "", "customer": "", "account": "", "ghost": msg.CodeNotFound} {
		p := now(msg.Reply{Found: true})
		target := msg.Ref{Kind: kind, Key: "x"}
		reply := openIngress(p).Do(t.Context(), &msg.Request{Operation: msg.OperationRelease, Target: target})
		if (reply.Err == nil) != (code == "") || reply.Err != nil && reply.Err.Code != code {
			t.Errorf("%s: got %v, want %q", kind, reply.Err, code)
		}
		if kind == "cart" || kind == "customer" {
			if got, want := p.commands()[0].partition, msg.PartitionOf(target, "customer", partitionCount); got != want {
				t.Errorf("%s came to partition %d, want %d", kind, got, want)
			}
		}
	}
}
