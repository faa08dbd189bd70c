package holdfast_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// act makes an app in which update deposit does what fn says.
func act(fn func(ctx *holdfast.UpdateContext[account]) (int64, error)) *holdfast.App {
	return holdfast.NewApp("bank", withdrawing.Handle(withdraw), transferring.Handle(transfer), reading.Handle(balance),
		depositing.Handle(func(ctx *holdfast.UpdateContext[account], _ int64) (int64, error) { return fn(ctx) }))
}

func TestSendCarriesItsOptions(t *testing.T) {
	deadline := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	app := act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		withdrawing.Send(ctx, "bob", 1, holdfast.After(time.Second), holdfast.IdempotencyKey("k"),
			holdfast.Header("B-Name", "2"), holdfast.Header("a", "1"), holdfast.Deadline(deadline))
		transferring.Send(ctx, "eve", move{"bob", 2}, holdfast.At(deadline))
		depositing.To("zoë/1").Send(ctx, 3)
		return 0, nil
	})
	turn := turnOf("deposit", `1`, ``)
	o := run(t, app, turn)
	want := []msg.Outgoing{
		{
			Target: msg.Ref{Kind: "account", Key: "bob"}, Handler: "withdraw", Payload: msg.Payload{Body: []byte(`1`)},
			Headers:   []msg.Header{{Name: "a", Value: "1"}, {Name: "b-name", Value: "2"}},
			NotBefore: turn.Now + msg.Time(time.Second), Deadline: msg.TimeOf(deadline),
			Identity: msg.Identity{IdempotencyKey: "k"},
		},
		{
			Target: msg.Ref{Kind: "account", Key: "eve"}, Handler: "transfer",
			Payload: msg.Payload{Body: []byte(`{"To":"bob","Amount":2}`)}, NotBefore: msg.TimeOf(deadline),
		},
		{Target: msg.Ref{Kind: "account", Key: "zoë/1"}, Handler: "deposit", Payload: msg.Payload{Body: []byte(`3`)}},
	}
	if !reflect.DeepEqual(o.Sends, want) {
		t.Errorf("got  %+v\nwant %+v", o.Sends, want)
	}
}

func TestTimesThatHavePassedAreAtOnce(t *testing.T) {
	app := act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		withdrawing.Send(ctx, "bob", 1, holdfast.After(0))
		withdrawing.Send(ctx, "bob", 1, holdfast.At(ctx.Now().Add(-time.Hour)))
		return 0, nil
	})
	for _, s := range run(t, app, turnOf("deposit", `1`, ``)).Sends {
		if s.NotBefore != 0 {
			t.Errorf("not before %v", s.NotBefore.Std())
		}
	}
}

func TestWhatCannotBeSentFailsTheTurn(t *testing.T) {
	for name, c := range map[string]struct {
		send func(ctx *holdfast.UpdateContext[account])
		want string
	}{
		"empty key":      {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Send(ctx, "", 1) }, "key is empty"},
		"key with dots":  {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Send(ctx, "..", 1) }, ".."},
		"long key":       {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Send(ctx, strings.Repeat("x", 1025), 1) }, "1025"},
		"negative delay": {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Send(ctx, "b", 1, holdfast.After(-1)) }, "negative"},
		"absurd delay":   {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Send(ctx, "b", 1, holdfast.After(1<<63-1)) }, "hundred years"},
		"absurd time": {func(ctx *holdfast.UpdateContext[account]) {
			withdrawing.Send(ctx, "b", 1, holdfast.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
		}, "hundred years"},
		"tail to an empty key": {func(ctx *holdfast.UpdateContext[account]) { _, _ = withdrawing.Tail(ctx, "", 1) }, "key is empty"},
		"reminder without a name": {func(ctx *holdfast.UpdateContext[account]) {
			withdrawing.Remind(ctx, "", holdfast.After(1), 1)
		}, "no name"},
		"reminder without a schedule": {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Remind(ctx, "r", nil, 1) }, "no schedule"},
		"reminder every nothing":      {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Remind(ctx, "r", holdfast.Every(0), 1) }, "period"},
		"reminder every nanosecond":   {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Remind(ctx, "r", holdfast.Every(1), 1) }, "shortest period"},
		"reminder by a bad calendar":  {func(ctx *holdfast.UpdateContext[account]) { withdrawing.Remind(ctx, "r", holdfast.Cron("x"), 1) }, "cron"},
		"reminder by an empty calendar": {func(ctx *holdfast.UpdateContext[account]) {
			withdrawing.Remind(ctx, "r", holdfast.Cron(""), 1)
		}, "five fields"},
	} {
		t.Run(name, func(t *testing.T) {
			o := run(t, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
				ctx.State.Balance = 5
				c.send(ctx)
				return 1, nil
			}), turnOf("deposit", `1`, ``))
			undone(t, o, "failed", c.want)
		})
	}
}

func TestReminderOfAnotherKindFailsTheTurn(t *testing.T) {
	others := holdfast.NewEntity[account]("other")
	wake := holdfast.NewUpdate[int64, int64](others, "wake")
	o := run(t, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		wake.Remind(ctx, "r", holdfast.After(time.Second), 1)
		return 0, nil
	}), turnOf("deposit", `1`, ``))
	undone(t, o, "failed", "other/wake is no handler of kind account")
}

func TestTailPassesTheCallerOn(t *testing.T) {
	o := run(t, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		ctx.State.Balance = 5
		return withdrawing.Tail(ctx, "bob", 3)
	}), turnOf("deposit", `1`, ``))
	if o.Err != nil || o.Tail == nil || o.Tail.Handler != "withdraw" || o.Tail.Target.Key != "bob" || string(o.Tail.Payload.Body) != `3` {
		t.Fatalf("got tail %+v, error %v", o.Tail, o.Err)
	}
	if o.Output.Body != nil || o.Root == nil {
		t.Errorf("output %s, root %v; a tail call has no output and keeps the state", o.Output.Body, o.Root)
	}
}

func TestTailThatIsNotReturnedIsAnError(t *testing.T) {
	const hint = "return withdraw.Tail(ctx, key, in)"
	for name, c := range map[string]struct {
		fn         func(ctx *holdfast.UpdateContext[account]) (int64, error)
		code, want string
	}{
		"dropped": {func(ctx *holdfast.UpdateContext[account]) (int64, error) {
			_, _ = withdrawing.Tail(ctx, "b", 1)
			return 1, nil
		}, "failed", hint},
		"wrapped": {func(ctx *holdfast.UpdateContext[account]) (int64, error) {
			_, err := withdrawing.Tail(ctx, "b", 1)
			return 1, fmt.Errorf("so: %w", err)
		}, "failed", hint},
		"twice": {func(ctx *holdfast.UpdateContext[account]) (int64, error) {
			_, _ = withdrawing.Tail(ctx, "b", 1)
			return withdrawing.Tail(ctx, "b", 1)
		}, "failed", "Tail was used twice"},
		"kept": {func(ctx *holdfast.UpdateContext[account]) (int64, error) {
			_, _ = withdrawing.Tail(ctx, "b", 1)
			return 0, holdfast.Keep(errInsufficient)
		}, "failed", hint},
		"followed by an error, which undoes it": {func(ctx *holdfast.UpdateContext[account]) (int64, error) {
			_, _ = withdrawing.Tail(ctx, "b", 1)
			return 0, errInsufficient
		}, "insufficient_funds", ""},
	} {
		t.Run(name, func(t *testing.T) { undone(t, run(t, act(c.fn), turnOf("deposit", `1`, ``)), c.code, c.want) })
	}
}

func TestTailOfAnotherTurnIsAnError(t *testing.T) {
	var stolen error
	app := act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		if stolen != nil {
			return 0, stolen
		}
		_, err := withdrawing.Tail(ctx, "b", 1)
		stolen = err
		return 0, err
	})
	run(t, app, turnOf("deposit", `1`, ``))
	undone(t, run(t, app, turnOf("deposit", `1`, ``)), "failed", "result of Tail")
}

func TestRemindersSetAndCancelled(t *testing.T) {
	daily := holdfast.Cron("0 3 * * *")
	app := act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		withdrawing.Remind(ctx, "once", holdfast.After(time.Hour), 1)
		withdrawing.Remind(ctx, "often", holdfast.Every(time.Minute), 2)
		withdrawing.Remind(ctx, "daily", daily, 3)
		withdrawing.Remind(ctx, "past", holdfast.At(ctx.Now().Add(-time.Hour)), 4)
		ctx.CancelReminder("old")
		withdrawing.Remind(ctx, "gone", daily, 4)
		ctx.CancelReminder("gone")
		ctx.CancelReminder("back")
		withdrawing.Remind(ctx, "back", daily, 5)
		withdrawing.Remind(ctx, "twice", daily, 6)
		withdrawing.Remind(ctx, "twice", holdfast.After(time.Second), 7)
		return 0, nil
	})
	turn := turnOf("deposit", `1`, ``)
	o := run(t, app, turn)
	at := func(d time.Duration) msg.Time { return turn.Now + msg.Time(d) }
	three := msg.TimeOf(time.Date(2023, 11, 15, 3, 0, 0, 0, time.UTC)) // now is 2023-11-14 22:13:20
	body := func(s string) msg.Payload { return msg.Payload{Body: []byte(s)} }
	cron := msg.Schedule{Cron: "0 3 * * *"}
	want := []msg.Reminder{
		{Name: "once", Handler: "withdraw", Payload: body(`1`), Due: at(time.Hour)},
		{Name: "often", Handler: "withdraw", Payload: body(`2`), Due: at(time.Minute), Schedule: msg.Schedule{Every: time.Minute}},
		{Name: "daily", Handler: "withdraw", Payload: body(`3`), Due: three, Schedule: cron},
		{Name: "past", Handler: "withdraw", Payload: body(`4`), Due: turn.Now},
		{Name: "back", Handler: "withdraw", Payload: body(`5`), Due: three, Schedule: cron},
		{Name: "twice", Handler: "withdraw", Payload: body(`7`), Due: at(time.Second)},
	}
	if !reflect.DeepEqual(o.Remind, want) {
		t.Errorf("got  %+v\nwant %+v", o.Remind, want)
	}
	if got := fmt.Sprint(o.Forget); got != "[old gone]" {
		t.Errorf("forgot %v, want old and gone", got)
	}
}

func TestDeleteLeavesOnlyWhatWasSent(t *testing.T) {
	o := run(t, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		ctx.State.Balance = 9
		withdrawing.Remind(ctx, "r", holdfast.After(time.Hour), 1)
		withdrawing.Send(ctx, "bob", 1)
		ctx.Delete()
		return 4, nil
	}), turnOf("deposit", `1`, `{"Balance":1}`))
	if !o.Delete || o.Root != nil || o.Remind != nil || len(o.Sends) != 1 || string(o.Output.Body) != `4` {
		t.Errorf("got %+v", o)
	}
}

func TestContextSaysWhatIsKnownOfTheRequest(t *testing.T) {
	turn := turnOf("deposit", `1`, ``)
	turn.Attempt = 3
	turn.Message.Headers = []msg.Header{{Name: "Tenant", Value: "t1"}}
	turn.Message.Invocation = msg.NewInvocationID(5, 6, 7)
	run(t, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		if ctx.Key() != "alice" || accounts.Key(ctx) != "alice" {
			t.Errorf("key %q", ctx.Key())
		}
		if !ctx.Now().Equal(turn.Now.Std()) {
			t.Errorf("now %v", ctx.Now())
		}
		if ctx.Header("tenant") != "t1" || ctx.Header("TENANT") != "t1" || ctx.Header("other") != "" {
			t.Errorf("header %q", ctx.Header("tenant"))
		}
		want := holdfast.InvocationInfo{
			ID: turn.Message.Invocation.String(), Target: holdfast.Ref{Kind: "account", Key: "alice"},
			Handler: "deposit", Attempt: 3, Header: map[string]string{"tenant": "t1"},
		}
		if got := ctx.Info(); !reflect.DeepEqual(got, want) {
			t.Errorf("info %+v, want %+v", got, want)
		}
		return 0, nil
	}), turn)
}

func TestBufferedGivesWhatHasBeenSent(t *testing.T) {
	run(t, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		if n := len(ctx.Buffered()); n != 0 {
			t.Errorf("%d messages before the first", n)
		}
		withdrawing.Send(ctx, "bob", 1, holdfast.After(time.Second), holdfast.Header("a", "b"), holdfast.Deadline(ctx.Now().Add(time.Hour)))
		r := ctx.Buffered()[0]
		if r.Kind != "account" || r.Key != "bob" || r.Handler != "withdraw" || string(r.Body) != `1` || r.Header["a"] != "b" ||
			!r.NotBefore.Equal(ctx.Now().Add(time.Second)) || !r.Deadline.Equal(ctx.Now().Add(time.Hour)) {
			t.Errorf("got %+v", r)
		}
		return 0, nil
	}), turnOf("deposit", `1`, ``))
}

func TestAffinityIsSentAlong(t *testing.T) {
	type id string
	owners := holdfast.NewAffinity[id]("owner")
	wallets := holdfast.NewEntityIn[account](owners, "wallet")
	fill := holdfast.NewUpdate[int64, int64](wallets, "fill")
	app := holdfast.NewApp("a", fill.Handle(func(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
		fill.Send(ctx, wallets.Key(ctx), n)
		fill.To("x").Send(ctx, n)
		return n, nil
	}))
	o := run(t, app, turnOn("wallet", "fill", `1`, ``))
	for _, s := range o.Sends {
		if s.Affinity != "owner" {
			t.Errorf("affinity %q of %v", s.Affinity, s.Target)
		}
	}
	if owners.Ref("k") != (holdfast.Ref{Kind: "owner", Key: "k"}) || wallets.Ref("k") != (holdfast.Ref{Kind: "wallet", Key: "k"}) {
		t.Error("refs are wrong")
	}
	if app.Program().Describe().Kinds[0].Affinity != "owner" {
		t.Error("the description lacks the affinity")
	}
}

func TestErrorsCompareByCode(t *testing.T) {
	if !errors.Is(errInsufficient.Withf("x"), errInsufficient) || errors.Is(errInsufficient, holdfast.ErrNotFound) {
		t.Error("errors.Is compares something else than codes")
	}
	if !errors.Is(fmt.Errorf("a: %w", errInsufficient.Withf("x")), holdfast.NewError("insufficient_funds", holdfast.Failed)) {
		t.Error("an error declared elsewhere with the same code is another one")
	}
	if errInsufficient.Message != "" {
		t.Error("Withf changed the declared error")
	}
}
