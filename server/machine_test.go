package server

import (
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast"
)

// passage is the data of a gate: who has passed.
type passage struct{ Passed []string }

var (
	gates  = holdfast.NewMachine[passage]("gate")
	closed = gates.State("closed")
	opened = gates.State("opened")
	pass   = holdfast.NewMessage[string](gates, "pass")
	open   = holdfast.NewMessage[holdfast.Void](gates, "open")
	ring   = holdfast.NewMessage[holdfast.Void](gates, "ring")
	end    = holdfast.NewMessage[holdfast.Void](gates, "end")
)

// gateParts is a machine that keeps who comes waiting until it is opened.
func gateParts() holdfast.Part {
	return gates.Handle(
		closed.When(pass.Defer(), open.Do(func(m *holdfast.MachineContext[passage], _ holdfast.Void) error {
			m.Goto(opened)
			return nil
		})),
		opened.When(
			pass.Do(func(m *holdfast.MachineContext[passage], name string) error {
				m.Data.Passed = append(m.Data.Passed, name)
				return nil
			}),
			ring.Ignore(),
			end.Do(func(m *holdfast.MachineContext[passage], _ holdfast.Void) error {
				m.Halt()
				return nil
			})))
}

// again kills the process and starts another on the same data.
func (m *mortal) again(dir string) *mortal {
	m.t.Helper()
	if err := m.process.Process.Kill(); err != nil {
		m.t.Error(err)
	}
	<-m.ended
	return startMortal(m.t.(*testing.T), dir)
}

// TestAMachineOverHTTPSurvivesKills: what it defers, and what it has no use for,
// outlives its process.
func TestAMachineOverHTTPSurvivesKills(t *testing.T) {
	const path = "/v1/entities/gate/north"
	dir := t.TempDir()
	m := startMortal(t, dir)
	shows := func(what string) {
		t.Helper()
		waitUntil(t, what, func() bool {
			_, state := m.ask("GET", path, "")
			return strings.Contains(state, `"state":`+what)
		})
	}
	status, refusal := m.ask("POST", path+"/pass", `"ann"`)
	if status != 400 || !strings.Contains(refusal, "pass is a message of machine gate, which answers nobody: it can be sent, not called") {
		t.Errorf("a call: got %d %s", status, refusal)
	}
	for _, name := range []string{`"ann"`, `"bob"`, `"cyd"`} {
		m.expect("POST", path+"/pass/send", name, 202, "")
	}
	shows(`{"stack":["closed"],"data":{"Passed":null}}`)
	m = m.again(dir)
	shows(`{"stack":["closed"],"data":{"Passed":null}}`)
	m.expect("POST", path+"/ring/send", "", 202, "") // nobody hears it
	m.expect("POST", path+"/open/send", "", 202, "")
	shows(`{"stack":["opened"],"data":{"Passed":["ann","bob","cyd"]}}`)
	m = m.again(dir)
	shows(`{"stack":["opened"],"data":{"Passed":["ann","bob","cyd"]}}`)
	m.expect("POST", path+"/ring/send", "", 202, "")
	_, letters := m.ask("GET", "/v1/dead-letters", "")
	for _, part := range []string{`"handler":"ring"`, "machine gate has no reaction to ring in state [closed]", `"state":{"stack":["closed"],"data":{"Passed":null}}`} {
		if strings.Count(letters, part) == 0 {
			t.Errorf("dead letters do not say %s: %s", part, letters)
		}
	}
	if strings.Count(letters, `"id"`) != 1 {
		t.Errorf("want one dead letter: %s", letters)
	}
	m.expect("POST", path+"/end/send", "", 202, "")
	waitUntil(t, "the machine has halted", func() bool { status, _ := m.ask("GET", path, ""); return status == 404 })
	if err := m.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-m.ended
}
