package holdfasttest_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

type account struct {
	Balance int64
	Tags    map[string]int
	Items   holdfast.Map[string, int]
	Log     holdfast.List[string]
	hook    func() int `holdfast:"volatile"`
}

var (
	accounts   = holdfast.NewEntity[account]("account")
	deposits   = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	errRefused = holdfast.NewError("refused", holdfast.Denied)
)

func deposit(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
	ctx.State.Balance += n
	return ctx.State.Balance, nil
}

func TestTurnGivesEverythingThatHappened(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := holdfasttest.Turn(func(ctx *holdfast.UpdateContext[account], n int64) (string, error) {
		deposits.Send(ctx, "bob", n, holdfast.After(time.Minute))
		deposits.Remind(ctx, "r", holdfast.Every(time.Hour), 2)
		ctx.CancelReminder("old")
		ctx.State.Items.Put("a", 1)
		ctx.State.Log.Append("x")
		ctx.State.Balance = int64(ctx.State.hook())
		ctx.Delete()
		return fmt.Sprint(ctx.Key(), ctx.Now().Year(), ctx.Header("Tenant"), ctx.Info().Attempt), nil
	}, account{hook: func() int { return 9 }}, 5,
		holdfasttest.Key("alice"), holdfasttest.Now(now), holdfasttest.Header("tenant", "t"), holdfasttest.Attempt(2))
	if r.Err != nil || r.Out != "alice2030t2" || !r.Deleted || r.State.Balance != 9 {
		t.Errorf("got %+v", r)
	}
	if len(r.Sent) != 1 || r.Sent[0].Key != "bob" || string(r.Sent[0].Body) != "5" || !r.Sent[0].NotBefore.Equal(now.Add(time.Minute)) {
		t.Errorf("sent %+v", r.Sent)
	}
	if v, ok := r.State.Items.Get("a"); !ok || v != 1 || r.State.Log.Len() != 1 {
		t.Errorf("maps and lists of the state are not there: %+v", r.State)
	}
}

func TestRemindersAndTail(t *testing.T) {
	r := holdfasttest.Turn(func(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
		deposits.Remind(ctx, "r", holdfast.Every(time.Hour), 2)
		ctx.CancelReminder("old")
		return deposits.Tail(ctx, "bob", n)
	}, account{}, 5)
	want := []holdfast.Reminder{{Name: "r", Handler: "deposit", Due: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC), Every: time.Hour}}
	if r.Err != nil || !reflect.DeepEqual(r.Reminders, want) || fmt.Sprint(r.Cancelled) != "[old]" {
		t.Errorf("got %+v", r)
	}
	if r.Tail == nil || r.Tail.Kind != "account" || r.Tail.Key != "bob" || r.Tail.Handler != "deposit" || string(r.Tail.Body) != "5" {
		t.Errorf("tail %+v", r.Tail)
	}
}

func TestErrorUndoesTheTurnAndStaysAsItIs(t *testing.T) {
	before := account{Balance: 5, Tags: map[string]int{"a": 1}}
	before.Items.Put("a", 1)
	spoil := func(ctx *holdfast.UpdateContext[account]) {
		deposits.Send(ctx, "bob", 1)
		ctx.State.Balance, ctx.State.Tags["a"] = 0, 7
		ctx.State.Items.Put("a", 7)
	}
	cause := fmt.Errorf("wrapped: %w", io.EOF)
	r := holdfasttest.Turn(func(ctx *holdfast.UpdateContext[account], _ int64) (int64, error) { spoil(ctx); return 3, cause }, before, 1)
	if r.Err != cause || r.Sent != nil || r.Out != 0 {
		t.Errorf("got %+v", r)
	}
	if v, _ := r.State.Items.Get("a"); r.State.Balance != 5 || r.State.Tags["a"] != 1 || v != 1 {
		t.Errorf("the state has changed: %+v, item %d", r.State, v)
	}
	r = holdfasttest.Turn(func(ctx *holdfast.UpdateContext[account], _ int64) (int64, error) {
		spoil(ctx)
		return 0, holdfast.Keep(errRefused)
	}, account{Tags: map[string]int{}}, 1)
	if !errors.Is(r.Err, errRefused) || len(r.Sent) != 1 || r.State.Tags["a"] != 7 {
		t.Errorf("Keep keeps nothing: %+v", r)
	}
}

func TestFailuresThatTheHandlerDidNotReturn(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	for want, fn := range map[string]func(ctx *holdfast.UpdateContext[account], _ int64) (float64, error){
		"panic in holdfasttest_test.": func(*holdfast.UpdateContext[account], int64) (float64, error) { panic("boom") },
		"encode the output":           func(*holdfast.UpdateContext[account], int64) (float64, error) { return math.NaN(), nil },
		"key is empty": func(ctx *holdfast.UpdateContext[account], _ int64) (float64, error) {
			deposits.Send(ctx, "", 1)
			return 0, nil
		},
		"Tail was used and its result": func(ctx *holdfast.UpdateContext[account], _ int64) (float64, error) {
			_, _ = deposits.Tail(ctx, "b", 1)
			return 0, nil
		},
	} {
		r := holdfasttest.Turn(fn, account{Balance: 5}, 1)
		if r.Err == nil || !strings.Contains(r.Err.Error(), want) || r.State.Balance != 5 {
			t.Errorf("got %v, want %q", r.Err, want)
		}
	}
	r := holdfasttest.Turn(func(*holdfast.UpdateContext[account], int64) (int64, error) { panic("boom") }, account{}, 1)
	if !errors.Is(r.Err, holdfast.ErrPanic) {
		t.Errorf("a panic is %v", r.Err)
	}
}

func TestContextIsDeadAfterTheTurn(t *testing.T) {
	var kept *holdfast.UpdateContext[account]
	holdfasttest.Turn(func(ctx *holdfast.UpdateContext[account], _ int64) (int64, error) { kept = ctx; return 0, nil }, account{}, 1)
	defer func() {
		if p := recover(); !strings.Contains(fmt.Sprint(p), "used after the handler returned") {
			t.Errorf("got panic %v", p)
		}
	}()
	kept.Key()
}

func TestReadLooks(t *testing.T) {
	state := account{Balance: 5, hook: func() int { return 2 }}
	state.Items.Put("a", 1)
	look := func(ctx *holdfast.ReadContext[account], n int64) (int64, error) {
		v, _ := ctx.State.Items.Get("a")
		return ctx.State.Balance*n + int64(v+ctx.State.hook()), nil
	}
	if out, err := holdfasttest.Read(look, state, 2); out != 13 || err != nil {
		t.Errorf("got %d, %v", out, err)
	}
	if _, err := holdfasttest.Read(func(*holdfast.ReadContext[account], int64) (int64, error) { return 0, errRefused }, state, 2); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	change := func(ctx *holdfast.ReadContext[account], _ int64) (int64, error) {
		ctx.State.Items.Put("b", 1)
		return 0, nil
	}
	if _, err := holdfasttest.Read(change, state, 2); !errors.Is(err, holdfast.ErrPanic) || !strings.Contains(err.Error(), "a read may only look") {
		t.Errorf("got %v", err)
	}
}

func ExampleTurn() {
	r := holdfasttest.Turn(deposit, account{Balance: 40}, 2)
	fmt.Println(r.Out, r.State.Balance, r.Err)
	// Output: 42 42 <nil>
}

func TestAnEventIsTakenOrRefused(t *testing.T) {
	type pot struct{ N int }
	pots := holdfast.NewEntity[pot]("pot")
	tell := holdfast.NewUpdate[int, holdfast.Void](pots, "tell")
	more := func(ctx *holdfast.EventContext[pot], n int) error {
		if ctx.State.N += n; ctx.State.N > 5 {
			return holdfast.ErrConflict.Withf("%s is full", ctx.Key())
		}
		tell.Send(ctx, "all", n)
		return nil
	}
	if r := holdfasttest.Take(more, pot{2}, 3); r.Err != nil || r.State.N != 5 || len(r.Sent) != 1 || r.Sent[0].Key != "all" {
		t.Errorf("got %+v, want 5 and one message", r)
	}
	r := holdfasttest.Take(more, pot{2}, 4, holdfasttest.Key("red"))
	if !errors.Is(r.Err, holdfast.ErrConflict) || !strings.Contains(r.Err.Error(), "red is full") || r.State.N != 2 || r.Sent != nil {
		t.Errorf("got %+v, want a refusal that changes nothing", r)
	}
}
