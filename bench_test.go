package holdfast_test

import (
	"context"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// How much does a turn of a small struct cost, decoding and encoding included?
// The aim is 1.5 µs.
func BenchmarkTurn(b *testing.B) {
	program := bankApp().Program()
	t := turnOf("withdraw", `1`, `{"Owner":"alice","Balance":1000000}`)
	b.ReportAllocs()
	for b.Loop() {
		if o := program.Turn(context.Background(), t); o.Err != nil || o.Fault != "" {
			b.Fatal(o.Err, o.Fault)
		}
	}
}

// The same for a read.
func BenchmarkTurnRead(b *testing.B) {
	program := bankApp().Program()
	t := turnOf("balance", ``, `{"Owner":"alice","Balance":1000000}`)
	t.Mode = msg.ModeRead
	b.ReportAllocs()
	for b.Loop() {
		if o := program.Turn(context.Background(), t); o.Err != nil || o.Fault != "" {
			b.Fatal(o.Err, o.Fault)
		}
	}
}

// How much does a send add?
func BenchmarkTurnWithSend(b *testing.B) {
	program := bankApp().Program()
	t := turnOf("transfer", `{"To":"bob","Amount":1}`, `{"Owner":"alice","Balance":1000000}`)
	b.ReportAllocs()
	for b.Loop() {
		if o := program.Turn(context.Background(), t); o.Err != nil || len(o.Sends) != 1 {
			b.Fatal(o.Err)
		}
	}
}

// How much does an interceptor add?
func BenchmarkTurnIntercepted(b *testing.B) {
	app := holdfast.NewApp("bank", bankApp(), holdfast.Intercept(
		func(ctx context.Context, _ holdfast.InvocationInfo, next func(context.Context) error) error {
			return next(ctx)
		}))
	program := app.Program()
	t := turnOf("withdraw", `1`, `{"Owner":"alice","Balance":1000000}`)
	b.ReportAllocs()
	for b.Loop() {
		if o := program.Turn(context.Background(), t); o.Err != nil {
			b.Fatal(o.Err)
		}
	}
}
