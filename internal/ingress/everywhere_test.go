package ingress_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: what is asked of all partitions has one answer. Method: partitions that
// answer differently.

func TestListsAreMergedInOrderAndCut(t *testing.T) {
	keys := [partitionCount][]string{{"b", "e"}, {}, {"a", "c", "g"}, {"d", "f"}}
	for limit, want := range map[int][]string{
		1: {"a"}, 3: {"a", "b", "c"}, 7: {"a", "b", "c", "d", "e", "f", "g"}, 100: {"a", "b", "c", "d", "e", "f", "g"},
	} {
		p := &partitions{answer: func(p msg.Partition, c msg.Command) (msg.Reply, bool) {
			return msg.Reply{Found: true, Keys: keys[p][:min(len(keys[p]), c.Request.Limit)]}, true
		}}
		i := openIngress(p)
		reply := i.Do(t.Context(), &msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, After: "A", Limit: limit})
		if reply.Err != nil || !reply.Found || !slices.Equal(reply.Keys, want) {
			t.Errorf("limit %d: got %v, error %v, want %v", limit, reply.Keys, reply.Err, want)
		}
		checkEveryPartition(t, p, func(r *msg.Request) bool {
			return r.Operation == msg.OperationList && r.Target.Kind == "account" && r.After == "A" && r.Limit == limit
		})
		checkInflight(t, i, 0)
	}
}

// checkEveryPartition checks that each was asked once, and by a request of its
// own.
func checkEveryPartition(t *testing.T, p *partitions, expected func(*msg.Request) bool) {
	t.Helper()
	requests := map[*msg.Request]bool{}
	for n, c := range p.commands() {
		if int(c.partition) != n || c.Request.Invocation.Partition() != c.partition || !expected(c.Request) {
			t.Errorf("partition %d was asked %+v", c.partition, c.Request)
		}
		requests[c.Request] = true
	}
	if len(requests) != partitionCount {
		t.Errorf("%d requests, want one to each of %d partitions", len(requests), partitionCount)
	}
}

func TestAnEmptyListIsAnAnswer(t *testing.T) {
	reply := openIngress(now(msg.Reply{Found: true})).Do(t.Context(),
		&msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, Limit: 5})
	if reply.Err != nil || !reply.Found || len(reply.Keys) != 0 {
		t.Errorf("got %+v, want an empty list", reply)
	}
}

func TestParkedAndDeadLettersOfAllPartitionsAreMergedInOrderAndCut(t *testing.T) {
	p := &partitions{answer: func(p msg.Partition, _ msg.Command) (msg.Reply, bool) {
		if p == 2 {
			return msg.Reply{Found: true}, true
		}
		return msg.Reply{
			Found: true, Parked: []msg.Parked{parkedAt(4 - int(p)), parkedAt(14 - int(p))},
			DeadLetters: []msg.DeadLetter{deadAt(4 - int(p))},
		}, true
	}}
	parked := []msg.Parked{parkedAt(1), parkedAt(3), parkedAt(4), parkedAt(11), parkedAt(13), parkedAt(14)}
	letters := []msg.DeadLetter{deadAt(1), deadAt(3), deadAt(4)}
	for _, operation := range []msg.Operation{msg.OperationParked, msg.OperationDeadLetters} {
		for limit, want := range map[int]msg.Reply{
			0: {Found: true, Parked: parked, DeadLetters: letters},
			2: {Found: true, Parked: parked[:2], DeadLetters: letters[:2]},
			9: {Found: true, Parked: parked, DeadLetters: letters},
		} {
			p.told = nil
			reply := openIngress(p).Do(t.Context(), &msg.Request{Operation: operation, After: "x", Limit: limit})
			if !reflect.DeepEqual(reply, want) {
				t.Errorf("operation %d, limit %d: got %+v, want %+v", operation, limit, reply, want)
			}
			checkEveryPartition(t, p, func(r *msg.Request) bool {
				return r.Operation == operation && r.After == "x" && r.Limit == limit
			})
		}
	}
}

func parkedAt(n int) msg.Parked {
	return msg.Parked{Target: msg.Ref{Kind: "account", Key: fmt.Sprintf("%02d", n)}}
}

func deadAt(n int) msg.DeadLetter { return msg.DeadLetter{ID: msg.NewInvocationID(0, 0, uint64(n))} }

// TestOnePartitionThatFailsFailsTheWhole: half an answer would look like a whole
// one. The others are heard to the end, so that nothing is left.
func TestOnePartitionThatFailsFailsTheWhole(t *testing.T) {
	failure := msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "partition 2 is not well")
	for _, operation := range []msg.Operation{msg.OperationList, msg.OperationParked, msg.OperationDeadLetters} {
		p := &partitions{answer: func(p msg.Partition, _ msg.Command) (msg.Reply, bool) {
			if p == 2 {
				return msg.Reply{Err: failure}, true
			}
			return msg.Reply{Found: true, Keys: []string{"a"}, Parked: make([]msg.Parked, 1)}, true
		}}
		i := openIngress(p)
		reply := i.Do(t.Context(), &msg.Request{Operation: operation, Target: msg.Ref{Kind: "account"}, Limit: 5})
		if want := (msg.Reply{Err: failure}); !reflect.DeepEqual(reply, want) {
			t.Errorf("operation %d: got %+v, want %+v", operation, reply, want)
		}
		checkInflight(t, i, 0)
	}
}

// TestOnePartitionThatDoesNotAnswerIsLeft when the context ends, as are all
// that have not.
func TestOnePartitionThatDoesNotAnswerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &partitions{answer: func(p msg.Partition, _ msg.Command) (msg.Reply, bool) {
			return msg.Reply{Found: true}, p%2 == 0
		}}
		i := openIngress(p)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		reply := i.Do(ctx, &msg.Request{Operation: msg.OperationParked})
		if reply.Err == nil || reply.Err.Code != msg.CodeDeadlineExceeded {
			t.Errorf("got %v, want %s", reply.Err, msg.CodeDeadlineExceeded)
		}
		var left []msg.Partition
		for _, c := range p.commands()[partitionCount:] {
			if c.Kind == msg.CommandLeave {
				left = append(left, c.partition)
			}
		}
		if !slices.Equal(left, []msg.Partition{1, 3}) {
			t.Errorf("left %v, want [1 3]", left)
		}
		checkInflight(t, i, 0)
	})
}

// TestParkedEntitiesOfKindsThatAreNotServedAreLookedFor: how they are placed is
// not known any more, so every partition is asked, and the one that has it
// answers.
func TestParkedEntitiesOfKindsThatAreNotServedAreLookedFor(t *testing.T) {
	gone := msg.Ref{Kind: "gone", Key: "alice"}
	missing := msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "gone/alice is not parked")
	unwell := msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "partition 1 is not well")
	for _, c := range []struct {
		name    string
		replies [partitionCount]*msg.Error
		want    *msg.Error
	}{
		{"one has it", [...]*msg.Error{missing, missing, nil, missing}, nil},
		{"one has it and one does not answer", [...]*msg.Error{missing, unwell, nil, missing}, nil},
		{"none has it", [...]*msg.Error{missing, missing, missing, missing}, missing},
		{"it may be where nobody answers", [...]*msg.Error{missing, unwell, missing, missing}, unwell},
	} {
		for _, operation := range []msg.Operation{msg.OperationResume, msg.OperationSkip} {
			p := &partitions{answer: func(p msg.Partition, _ msg.Command) (msg.Reply, bool) {
				return msg.Reply{Found: c.replies[p] == nil, Err: c.replies[p]}, true
			}}
			i := openIngress(p)
			reply := i.Do(t.Context(), &msg.Request{Operation: operation, Target: gone})
			if reply.Err != c.want || reply.Found != (c.want == nil) {
				t.Errorf("%s, operation %d: got %+v, want error %v", c.name, operation, reply, c.want)
			}
			checkEveryPartition(t, p, func(r *msg.Request) bool { return r.Operation == operation && r.Target == gone })
			checkInflight(t, i, 0)
		}
	}
	for _, key := range []string{"", "..", "\xff"} {
		p := never()
		reply := openIngress(p).Do(t.Context(), &msg.Request{Operation: msg.OperationResume, Target: msg.Ref{Kind: "gone", Key: key}})
		if reply.Err == nil || reply.Err.Code != msg.CodeInvalidArgument || len(p.commands()) > 0 {
			t.Errorf("key %q: got %v, want %s before anybody is asked", key, reply.Err, msg.CodeInvalidArgument)
		}
	}
}
