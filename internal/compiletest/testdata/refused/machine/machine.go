// Package machine tries what a machine must not do.
package machine

import "github.com/holdfast-io/holdfast"

type light struct{ On bool }
type door struct{ Open bool }
type account struct{ Balance int64 }

var (
	lights = holdfast.NewMachine[light]("light")
	off    = lights.State("off")
	press  = holdfast.NewMessage[int](lights, "press")
	doors  = holdfast.NewMachine[door]("door")
	shut   = doors.State("shut")
	knock  = holdfast.NewMessage[string](doors, "knock")

	accounts = holdfast.NewEntity[account]("account")
	deposit  = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	balance  = holdfast.NewRead[holdfast.Void, int64](accounts, "balance")
)

var (
	_ = holdfast.NewUpdate[int, int](lights, "update") // want "type holdfast.Machine[string, light] of lights does not match inferred type holdfast.Entity[string, light]"
	_ = holdfast.NewMessage[int](accounts, "message")  // want "type holdfast.Entity[string, account] of accounts does not match inferred type holdfast.Machine[string, account]"
	_ = off.When(knock.Defer())                        // want "cannot use knock.Defer()"
	_ = off.When(press.Do(opens))                      // want "cannot use opens"
	_ = off.When(knock.Do(knocked))                    // want "cannot use knock.Do(knocked)"
	_ = off.When(holdfast.Entry(enters))               // want "cannot use holdfast.Entry(enters)"
	_ = off.When(press.Do(named))                      // want "cannot use named"
	_ = lights.Handle(shut.When())                     // want "cannot use shut.When()"
	_ = lights.Handle()                                // want "not enough arguments in call to lights.Handle"
	_ = lights.Options(holdfast.EntityOptions[door]{}) // want "cannot use holdfast.EntityOptions[door]{}"
)

func opens(m *holdfast.MachineContext[door], n int) error      { return nil }
func knocked(m *holdfast.MachineContext[door], s string) error { return nil }
func enters(m *holdfast.MachineContext[door]) error            { return nil }
func named(m *holdfast.MachineContext[light], s string) error  { return nil }

func reacts(m *holdfast.MachineContext[light], n int) error {
	m.Goto(shut)                                 // want "cannot use shut"
	m.Push(shut)                                 // want "cannot use shut"
	m.Goto("off")                                // want "cannot use \"off\""
	knock.Raise(m, "x")                          // want "as *holdfast.MachineContext[door] value in argument to knock.Raise"
	knock.Remind(m, "r", holdfast.After(1), "x") // want "as *holdfast.MachineContext[door] value in argument to knock.Remind"
	press.Send(m, "a", "x")                      // want "cannot use \"x\""
	press.To("a").Send(m, "x")                   // want "cannot use \"x\""
	deposit.Remind(m, "r", holdfast.After(1), 1) // want "as *holdfast.UpdateContext[account] value in argument to deposit.Remind"
	_, _ = deposit.Call(m, "bob", 1)             // want "*holdfast.MachineContext[light] does not implement holdfast.Caller (missing method canWait)"
	_, _ = balance.Call(m, "bob", holdfast.None) // want "does not implement holdfast.Caller (missing method canWait)"
	_ = press.Submit(m, "a", 1)                  // want "as *holdfast.ClientContext value in argument to press.Submit"
	_, _, _ = lights.Inspect(m, "a")             // want "as *holdfast.ClientContext value in argument to lights.Inspect"
	return nil
}

func updates(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
	press.Raise(ctx, 1)            // want "as *holdfast.MachineContext[light] value in argument to press.Raise"
	_, _ = press.Call(ctx, "a", 1) // want "press.Call undefined"
	return press.Tail(ctx, "a", 1) // want "press.Tail undefined"
}

func reads(ctx *holdfast.ReadContext[account], _ holdfast.Void) (int64, error) {
	press.Send(ctx, "a", 1) // want "*holdfast.ReadContext[account] does not implement holdfast.Sender (missing method canSend)"
	return 0, nil
}
