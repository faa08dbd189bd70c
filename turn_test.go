package holdfast_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// These tests run turns as the engine does: through app.Program().Turn.

func run(t *testing.T, app *holdfast.App, turn *msg.Turn) *msg.Outcome {
	t.Helper()
	if err := app.Validate(); err != nil {
		t.Fatalf("the app does not validate: %v", err)
	}
	o := app.Program().Turn(context.Background(), turn)
	if o.Run != turn.Run {
		t.Errorf("outcome of run %d, want %d", o.Run, turn.Run)
	}
	return o
}

// undone checks that an outcome is an error and nothing else.
func undone(t *testing.T, o *msg.Outcome, code, message string) {
	t.Helper()
	if o.Err == nil || o.Err.Code != code || !strings.Contains(o.Err.Message, message) {
		t.Fatalf("got error %v and fault %q, want code %s with %q", o.Err, o.Fault, code, message)
	}
	if o.Root != nil || o.Changes != nil || o.Sends != nil || o.Tail != nil || o.Remind != nil || o.Forget != nil || o.Delete || o.Output.Body != nil {
		t.Errorf("something is left beside the error: %+v", o)
	}
}

// captured gives what fn logs.
func captured(t *testing.T, fn func()) string {
	t.Helper()
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	defer slog.SetDefault(before)
	fn()
	return b.String()
}

func TestTurnGivesOutputAndState(t *testing.T) {
	o := run(t, bankApp(), turnOf("withdraw", `4`, `{"Owner":"ann","Balance":10}`))
	if o.Err != nil || string(o.Output.Body) != `6` || string(o.Root.Body) != `{"Owner":"ann","Balance":6}` {
		t.Errorf("got output %s, root %v, error %v", o.Output.Body, o.Root, o.Err)
	}
}

func TestTurnOfMissingEntityBeginsWithTheZeroState(t *testing.T) {
	o := run(t, bankApp(), turnOf("deposit", `4`, ``))
	if string(o.Output.Body) != `4` || string(o.Root.Body) != `{"Owner":"","Balance":4}` {
		t.Errorf("got output %s, root %s", o.Output.Body, o.Root.Body)
	}
}

func TestReadChangesNothing(t *testing.T) {
	turn := turnOf("balance", ``, `{"Balance":10}`)
	turn.Mode = msg.ModeRead
	o := run(t, bankApp(), turn)
	if string(o.Output.Body) != `10` || o.Root != nil || o.Changes != nil {
		t.Errorf("got %+v, want output 10 and no state", o)
	}
}

func TestReadWorksOnACopy(t *testing.T) {
	spoiling := holdfast.NewEntity[map[string]int]("tally")
	spoil := holdfast.NewRead[holdfast.Void, int](spoiling, "spoil")
	app := holdfast.NewApp("a", spoil.Handle(func(ctx *holdfast.ReadContext[map[string]int], _ holdfast.Void) (int, error) {
		ctx.State["x"]++
		return ctx.State["x"], nil
	}))
	turn := turnOn("tally", "spoil", ``, `{"x":1}`)
	turn.Mode = msg.ModeRead
	for range 2 {
		if o := run(t, app, turn); string(o.Output.Body) != `2` {
			t.Fatalf("got %s, want 2 each time", o.Output.Body)
		}
	}
}

func TestUpdateCannotRunAsARead(t *testing.T) {
	turn := turnOf("deposit", `1`, ``)
	turn.Mode = msg.ModeRead
	undone(t, run(t, bankApp(), turn), "invalid_argument", "account/deposit is an update")
}

func TestErrorUndoesTheTurn(t *testing.T) {
	o := run(t, bankApp(), turnOf("withdraw", `11`, `{"Balance":10}`))
	undone(t, o, "insufficient_funds", "balance 10")
	if o.Err.Class != msg.ClassConflict {
		t.Errorf("class %d, want conflict", o.Err.Class)
	}
}

func TestErrorsAsOutcomes(t *testing.T) {
	detailed := *errInsufficient
	detailed.Detail = []byte(`{"left":1}`)
	var typedNil *holdfast.Error
	for name, c := range map[string]struct {
		err                   error
		code, message, detail string
		class                 msg.Class
		keep                  bool
	}{
		"a plain error has code failed":          {err: io.EOF, code: "failed", message: "EOF"},
		"a wrapped error keeps its code":         {err: fmt.Errorf("move: %w", errInsufficient), code: "insufficient_funds", message: "move: insufficient_funds", class: msg.ClassConflict},
		"a detail travels":                       {err: &detailed, code: "insufficient_funds", detail: `{"left":1}`, class: msg.ClassConflict},
		"a message can wrap":                     {err: errInsufficient.Withf("at %w", io.EOF), code: "insufficient_funds", message: "at EOF", class: msg.ClassConflict},
		"keep keeps":                             {err: holdfast.Keep(errInsufficient), code: "insufficient_funds", class: msg.ClassConflict, keep: true},
		"keep keeps when it is wrapped":          {err: fmt.Errorf("so: %w", holdfast.Keep(errInsufficient)), code: "insufficient_funds", message: "so: insufficient_funds", class: msg.ClassConflict, keep: true},
		"a nil pointer in an error is an error":  {err: typedNil, code: "failed", message: "return nil itself"},
		"an error without a code has one anyway": {err: &holdfast.Error{}, code: "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			app := holdfast.NewApp("bank", depositing.Handle(func(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
				ctx.State.Balance += n
				depositing.Send(ctx, "bob", 1)
				return 0, c.err
			}))
			o := app.Program().Turn(context.Background(), turnOf("deposit", `1`, ``))
			want := msg.Error{Code: c.code, Class: c.class, Message: c.message, Detail: []byte(c.detail)}
			if o.Err == nil || o.Err.Code != want.Code || o.Err.Class != want.Class || !strings.Contains(o.Err.Message, c.message) || string(o.Err.Detail) != c.detail {
				t.Fatalf("got %+v, want %+v", o.Err, want)
			}
			if o.Keep != c.keep || (o.Root != nil) != c.keep || (len(o.Sends) == 1) != c.keep {
				t.Errorf("keep %v: root %v, sends %v; want all of it or nothing", o.Keep, o.Root, o.Sends)
			}
		})
	}
	if holdfast.Keep(nil) != nil {
		t.Error("Keep(nil) is not nil")
	}
}

func TestInputThatDoesNotDecodeIsRefused(t *testing.T) {
	for _, c := range []struct{ handler, input, message string }{
		{"deposit", `"ten"`, "account/deposit expects int64 as input"},
		{"deposit", `1.5`, "expects int64"},
		{"deposit", `1e400`, "expects int64"},
		{"deposit", `9223372036854775808`, "expects int64"},
		{"deposit", `01`, "expects int64"},
		{"deposit", `-`, "expects int64"},
		{"deposit", `1 2`, "expects int64"},
		{"deposit", ``, "the body is empty"},
		{"deposit", `null`, "the body is null"},
		{"deposit", `{`, "expects int64"},
		{"transfer", `{"To":5}`, "expects holdfast_test.move"},
		{"transfer", `{"To":"bob"`, "expects holdfast_test.move"},
		{"transfer", `[]`, "expects holdfast_test.move"},
		{"balance", `5`, "expects nothing"},
	} {
		o := run(t, bankApp(), turnOf(c.handler, c.input, `{"Balance":10}`))
		t.Run(c.handler+" "+c.input, func(t *testing.T) {
			undone(t, o, "invalid_argument", c.message)
			if o.Err.Class != msg.ClassInvalidArgument {
				t.Errorf("class %d", o.Err.Class)
			}
		})
	}
}

func TestInputsThatAreAccepted(t *testing.T) {
	for _, c := range []struct{ handler, input, output string }{
		{"deposit", ` 5 `, `15`},
		{"deposit", `-3`, `7`},
		{"deposit", `9007199254740993`, `9007199254741003`}, // beyond 2^53
		{"transfer", `{"To":"bob","Amount":3,"Unknown":[]}`, `7`},
		{"balance", ``, `10`},
		{"balance", `null`, `10`},
		{"balance", `{}`, `10`},
	} {
		o := run(t, bankApp(), turnOf(c.handler, c.input, `{"Balance":10}`))
		if o.Err != nil || string(o.Output.Body) != c.output {
			t.Errorf("%s %s gives %s and %v, want %s", c.handler, c.input, o.Output.Body, o.Err, c.output)
		}
	}
}

func TestPanicIsAnOutcomeWithTheStackInTheLog(t *testing.T) {
	app := holdfast.NewApp("bank", depositing.Handle(func(*holdfast.UpdateContext[account], int64) (int64, error) {
		var m map[string]int
		m["x"] = 1
		return 0, nil
	}))
	var o *msg.Outcome
	log := captured(t, func() { o = app.Program().Turn(context.Background(), turnOf("deposit", `1`, ``)) })
	undone(t, o, "panic", "panic in account/deposit: assignment to entry in nil map")
	if !o.Panicked {
		t.Error("not marked as a panic")
	}
	for _, want := range []string{"level=ERROR", "kind=account", "key=alice", "handler=deposit", "invocation=", "turn_test.go"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
}

func TestGoexitEndsTheContextAndIsLogged(t *testing.T) {
	var kept *holdfast.UpdateContext[account]
	app := holdfast.NewApp("bank", depositing.Handle(func(ctx *holdfast.UpdateContext[account], _ int64) (int64, error) {
		kept = ctx
		runtime.Goexit()
		return 0, nil
	}))
	log := captured(t, func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			app.Program().Turn(context.Background(), turnOf("deposit", `1`, ``))
		}()
		<-done
	})
	if !strings.Contains(log, "runtime.Goexit") {
		t.Errorf("the log says nothing about Goexit: %s", log)
	}
	mustPanic(t, "account/deposit used after the handler returned", func() { kept.Key() })
}

// mustPanic runs fn, which must panic with a text that contains want.
func mustPanic(t *testing.T, want string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), want) {
			t.Errorf("got panic %v, want one with %q", p, want)
		}
	}()
	fn()
}

func TestContextUsedAfterItsHandlerReturnedPanics(t *testing.T) {
	var update *holdfast.UpdateContext[account]
	var read *holdfast.ReadContext[account]
	app := holdfast.NewApp("bank",
		withdrawing.Handle(func(ctx *holdfast.UpdateContext[account], _ int64) (int64, error) { update = ctx; return 0, nil }),
		reading.Handle(func(ctx *holdfast.ReadContext[account], _ holdfast.Void) (int64, error) { read = ctx; return 0, nil }))
	program := app.Program()
	program.Turn(context.Background(), turnOf("withdraw", `1`, ``))
	program.Turn(context.Background(), turnOf("balance", ``, ``))
	for name, use := range map[string]func(){
		"Key": func() { update.Key() }, "Now": func() { update.Now() }, "Header": func() { update.Header("a") },
		"Info": func() { update.Info() }, "Context": func() { update.Context() }, "Buffered": func() { update.Buffered() },
		"Delete": update.Delete, "CancelReminder": func() { update.CancelReminder("r") },
		"Send":        func() { depositing.Send(update, "bob", 1) },
		"Tail":        func() { _, _ = depositing.Tail(update, "bob", 1) },
		"Remind":      func() { depositing.Remind(update, "r", holdfast.After(1), 1) },
		"AddressSend": func() { depositing.To("bob").Send(update, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			mustPanic(t, "context of account/withdraw used after the handler returned", use)
		})
	}
	mustPanic(t, "context of account/balance used after", func() { read.Key() })
	mustPanic(t, "holdfasttest.Turn", func() { new(holdfast.UpdateContext[account]).Key() })
}

func TestStateThatCannotBeUsedIsAFault(t *testing.T) {
	versioned := func(o holdfast.EntityOptions[account]) *holdfast.App {
		return holdfast.NewApp("bank", bankApp(), accounts.Options(o))
	}
	migrate := func(int, []byte) (account, error) { return account{}, errors.New("no such luck") }
	explode := func(int, []byte) (account, error) { panic("boom") }
	for name, c := range map[string]struct {
		app     *holdfast.App
		state   string
		version uint32
		want    []string
	}{
		"it is of another type":         {bankApp(), `{"Balance":"x"}`, 0, []string{"state of account/alice", "version 0", "cannot be read", "string"}},
		"it is no JSON":                 {bankApp(), `garbage`, 0, []string{"invalid character"}},
		"it is newer":                   {versioned(holdfast.EntityOptions[account]{Version: 1}), `{}`, 2, []string{"version 2", "code of version 1", "newer code"}},
		"it is older and cannot":        {versioned(holdfast.EntityOptions[account]{Version: 1}), `{}`, 0, []string{"older code", "Migrate"}},
		"Migrate gives an error":        {versioned(holdfast.EntityOptions[account]{Version: 2, Migrate: migrate}), `{}`, 1, []string{"migrate: no such luck"}},
		"Migrate panics":                {versioned(holdfast.EntityOptions[account]{Version: 2, Migrate: explode}), `{}`, 1, []string{"panic: boom"}},
		"Activate gives an error":       {versioned(holdfast.EntityOptions[account]{Activate: func(*account) error { return io.EOF }}), `{}`, 0, []string{"activate: EOF"}},
		"Initial panics":                {versioned(holdfast.EntityOptions[account]{Initial: func(string) account { panic("boom") }}), ``, 0, []string{"panic: boom"}},
		"the handler is not there":      {holdfast.NewApp("bank", depositing.Handle(deposit)), `{}`, 0, []string{"no handler withdraw"}},
		"the kind is not served at all": {holdfast.NewApp("bank"), `{}`, 0, []string{"serves no kind account"}},
	} {
		t.Run(name, func(t *testing.T) {
			turn := turnOf("withdraw", `0`, c.state)
			turn.State.StateVersion = c.version
			var o *msg.Outcome
			captured(t, func() { o = c.app.Program().Turn(context.Background(), turn) })
			if o.Err != nil || o.Root != nil {
				t.Errorf("a fault has no other outcome: %+v", o)
			}
			for _, want := range c.want {
				if !strings.Contains(o.Fault, want) {
					t.Errorf("fault %q lacks %q", o.Fault, want)
				}
			}
		})
	}
}

func TestMigrateReadsOlderStates(t *testing.T) {
	app := holdfast.NewApp("bank", bankApp(), accounts.Options(holdfast.EntityOptions[account]{
		Version: 3,
		Migrate: func(version int, state []byte) (account, error) {
			var old struct{ Cents int64 }
			err := json.Unmarshal(state, &old)
			return account{Owner: fmt.Sprint("from ", version), Balance: old.Cents}, err
		},
	}))
	turn := turnOf("withdraw", `1`, `{"Cents":5}`)
	turn.State.StateVersion = 2
	o := run(t, app, turn)
	if string(o.Root.Body) != `{"Owner":"from 2","Balance":4}` || o.Version != 3 {
		t.Errorf("got version %d, %s", o.Version, o.Root.Body)
	}
	turn = turnOf("withdraw", `1`, string(o.Root.Body))
	turn.State.StateVersion = o.Version
	if o = run(t, app, turn); string(o.Root.Body) != `{"Owner":"from 2","Balance":3}` {
		t.Errorf("the present version went through Migrate: %s", o.Root.Body)
	}
}

func TestInitialMakesTheFirstState(t *testing.T) {
	app := holdfast.NewApp("bank", bankApp(), accounts.Options(holdfast.EntityOptions[account]{
		Initial: func(key string) account { return account{Owner: key, Balance: 100} },
	}))
	if o := run(t, app, turnOf("withdraw", `1`, ``)); string(o.Root.Body) != `{"Owner":"alice","Balance":99}` {
		t.Errorf("got %s", o.Root.Body)
	}
	if o := run(t, app, turnOf("withdraw", `1`, `{"Balance":5}`)); string(o.Root.Body) != `{"Owner":"","Balance":4}` {
		t.Errorf("Initial had a say in a state that exists: %s", o.Root.Body)
	}
}

// lively has volatile fields of every sort.
type lively struct {
	N      int
	cache  map[string]int `holdfast:"volatile"`
	Notify func() int     `holdfast:"volatile"`
	Events chan int       `holdfast:"volatile"`
	Plain  int            `holdfast:"volatile"`
	Last   string         `json:"last"`
}

func TestVolatileFieldsAreRebuiltAndNotStored(t *testing.T) {
	kind := holdfast.NewEntity[lively]("lively")
	poke := holdfast.NewUpdate[holdfast.Void, int](kind, "poke")
	app := holdfast.NewApp("a",
		kind.Options(holdfast.EntityOptions[lively]{Activate: func(s *lively) error {
			s.cache, s.Notify, s.Plain = map[string]int{"n": s.N}, func() int { return 30 }, 4
			return nil
		}}),
		poke.Handle(func(ctx *holdfast.UpdateContext[lively], _ holdfast.Void) (int, error) {
			s := &ctx.State
			s.N++
			s.Last = "x"
			return s.cache["n"] + s.Notify() + s.Plain, nil
		}))
	o := run(t, app, turnOn("lively", "poke", ``, `{"N":1,"last":"w","Plain":1000}`))
	if o.Err != nil || string(o.Output.Body) != `35` || string(o.Root.Body) != `{"N":2,"last":"x"}` {
		t.Fatalf("got output %s, root %v, error %v", o.Output.Body, o.Root, o.Err)
	}
}

func TestWhatCannotBeEncodedFailsTheTurn(t *testing.T) {
	kind := holdfast.NewEntity[struct{ F float64 }]("number")
	type state = struct{ F float64 }
	set := holdfast.NewUpdate[string, float64](kind, "set")
	other := holdfast.NewUpdate[float64, holdfast.Void](kind, "other")
	app := holdfast.NewApp("a",
		other.Handle(func(*holdfast.UpdateContext[state], float64) (holdfast.Void, error) { return holdfast.None, nil }),
		set.Handle(func(ctx *holdfast.UpdateContext[state], what string) (float64, error) {
			nan := math.NaN()
			switch what {
			case "output":
				return nan, nil
			case "state":
				ctx.State.F = nan
			case "send":
				other.Send(ctx, "b", nan)
			case "tail":
				return 0, func() error { _, err := other.Tail(ctx, "b", nan); return err }()
			case "remind":
				other.Remind(ctx, "r", holdfast.After(time.Second), nan)
			case "address":
				other.To("b").Send(ctx, nan)
			}
			return 0, nil
		}))
	for what, message := range map[string]string{
		"output": "number/set: encode the output, a float64", "state": "number/set: encode the state",
		"send": "encode the input of number/other", "tail": "encode the input of number/other",
		"remind": "encode the input of number/other", "address": "NaN",
	} {
		undone(t, run(t, app, turnOn("number", "set", `"`+what+`"`, ``)), "failed", message)
	}
}

func TestVoidOutputHasNoBody(t *testing.T) {
	kind := holdfast.NewEntity[account]("account")
	touch := holdfast.NewUpdate[holdfast.Void, holdfast.Void](kind, "touch")
	app := holdfast.NewApp("a", touch.Handle(holdfast.Plain(func(ctx *holdfast.UpdateContext[account]) error { return nil })))
	if o := run(t, app, turnOf("touch", ``, ``)); o.Err != nil || o.Output.Body != nil {
		t.Errorf("got %s, %v", o.Output.Body, o.Err)
	}
}

func TestAdapters(t *testing.T) {
	kind := holdfast.NewEntity[account]("account")
	set := holdfast.NewUpdate[int64, holdfast.Void](kind, "set")
	get := holdfast.NewRead[holdfast.Void, int64](kind, "get")
	app := holdfast.NewApp("a",
		set.Handle(holdfast.NoResult(func(ctx *holdfast.UpdateContext[account], n int64) error { ctx.State.Balance = n; return nil })),
		get.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[account]) (int64, error) { return ctx.State.Balance, nil })))
	o := run(t, app, turnOf("set", `8`, ``))
	if o = run(t, app, turnOf("get", ``, string(o.Root.Body))); string(o.Output.Body) != `8` {
		t.Errorf("got %s", o.Output.Body)
	}
}

func TestTurnsRunInParallel(t *testing.T) {
	program := bankApp().Program()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				o := program.Turn(context.Background(), turnOf("transfer", `{"To":"bob","Amount":4}`, `{"Balance":10}`))
				if o.Err != nil || string(o.Output.Body) != `6` || len(o.Sends) != 1 {
					t.Errorf("got %s, %v", o.Output.Body, o.Err)
				}
			}
		})
	}
	group.Wait()
}

type unprintable struct{ error }

func (unprintable) Error() string  { panic("no text") }
func (unprintable) String() string { panic("no text") }

func TestPanicsAndErrorsThatCannotBePrinted(t *testing.T) {
	for _, value := range []any{unprintable{}, (*time.Time)(nil), 7, nil} {
		app := act(func(*holdfast.UpdateContext[account]) (int64, error) { panic(value) })
		var o *msg.Outcome
		captured(t, func() { o = run(t, app, turnOf("deposit", `1`, ``)) })
		undone(t, o, "panic", "panic in account/deposit: ")
	}
	o := run(t, act(func(*holdfast.UpdateContext[account]) (int64, error) { return 0, unprintable{} }), turnOf("deposit", `1`, ``))
	undone(t, o, "failed", "cannot be printed")
}
