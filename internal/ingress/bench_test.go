package ingress_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// BenchmarkDo asks what the door costs a request: admission, identity, waiting.
// The partition answers at once, or from another goroutine, as it does live;
// ctx has an end, as with HTTP, or none, as it may be in process.
func BenchmarkDo(b *testing.B) {
	ending, cancel := context.WithCancel(b.Context())
	defer cancel()
	answered := make(chan msg.Command, 64)
	go func() {
		for c := range answered {
			c.Waiter.Answer(msg.Reply{Found: true})
		}
	}()
	defer close(answered)
	inline := func(_ msg.Partition, c msg.Command) { c.Waiter.Answer(msg.Reply{Found: true}) }
	elsewhere := func(_ msg.Partition, c msg.Command) { answered <- c }
	for _, c := range []struct {
		name    string
		ctx     context.Context
		command func(msg.Partition, msg.Command)
	}{
		{"inline/endless", context.Background(), inline},
		{"inline/ending", ending, inline},
		{"elsewhere/endless", context.Background(), elsewhere},
		{"elsewhere/ending", ending, elsewhere},
	} {
		b.Run(c.name, func(b *testing.B) {
			door := newDoor(c.command)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := msg.Request{Operation: msg.OperationCall, Target: alice, Handler: "deposit"}
				for pb.Next() {
					r.Invocation = msg.InvocationID{}
					if reply := door.Do(c.ctx, &r); !reply.Found {
						b.Error(reply.Err)
						return
					}
				}
			})
		})
	}
}

func newDoor(command func(msg.Partition, msg.Command)) *ingress.Ingress {
	door := ingress.New(ingress.Config{
		Description: (&scriptedDoor{}).Describe(), Partitions: 8, Command: command,
		Room: func() error { return nil }, Now: func() msg.Time { return msg.TimeOf(time.Now()) }, Nonce: 7,
	})
	door.Open()
	return door
}
