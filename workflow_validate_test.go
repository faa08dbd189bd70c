package holdfast_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

func TestMistakesInWorkflowsAndActivities(t *testing.T) {
	w := holdfast.NewWorkflow[chan int, func()]("w", holdfast.Alias("old"))
	same := holdfast.NewWorkflow[void, void]("w")
	entity := holdfast.NewEntity[account]("taken")
	taken := holdfast.NewWorkflow[void, void]("taken")
	holdfast.NewSignal[func()](w, "s")
	holdfast.NewSignal[void](w, "twice")
	holdfast.NewQuery[void, void](w, "twice")
	holdfast.NewQuery[void, void](w, "run")
	holdfast.NewSignal[void](w, "bad name")
	var zero holdfast.Workflow[void, void]
	var none holdfast.Activity[void, void]
	a := holdfast.NewActivity[void, chan int]("a", holdfast.Creates())
	again := holdfast.NewActivity[void, void]("a")
	do := func(*holdfast.WorkflowContext, void) (void, error) { return void{}, nil }
	act := func(context.Context, void) (void, error) { return void{}, nil }
	wants(t, holdfast.NewApp("app",
		w.Handle(func(*holdfast.WorkflowContext, chan int) (func(), error) { return nil, nil }).Retain(-1),
		same.Handle(do), zero.Handle(do), taken.Handle(nil), taken.Handle(do),
		holdfast.NewUpdate[void, void](entity, "u").Handle(update),
		holdfast.NewLoop[void]("loop").Handle(nil),
		a.Handle(nil, holdfast.Timeout(-1), holdfast.Concurrency(0), holdfast.Retry{Factor: 0.5}, holdfast.Retry{Attempts: -1},
			holdfast.Retry{First: -1}, holdfast.Retry{Never: []*holdfast.Error{nil}}, holdfast.Within(200*365*24*time.Hour)),
		again.Handle(act), wfScore.Handle(score), wfScore.Handle(score), none.Handle(act), holdfast.NewActivity[void, void]("bad name").Handle(act)),
		"workflow w: input chan int: chan int cannot be stored or sent", "workflow w: output func(): func() cannot",
		"signal w/s: input func(): func() cannot", "kind w: Creates and Alias are options of handlers, not of entities and workflows",
		`query w/twice: the name "twice" is taken by the signal declared at`, `query w/run: "run" is the workflow's function`,
		"signal w/bad name: ", "workflow w: Retain is -1ns", "kind w is declared twice", "kind taken is declared twice",
		"of an undeclared kind: its Workflow is a zero value; declare it with NewWorkflow",
		"workflow taken is bound to a nil function", "workflow taken is bound twice", "workflow loop is bound to a nil function",
		"activity a is bound to a nil function", "activity a: output chan int: chan int cannot", "activity a: Creates and Alias",
		"activity a: Timeout is -1ns", "activity a: Concurrency is 0", "activity a: Retry.Factor is 0.5", "activity a: Retry.Attempts is -1",
		"activity a: Retry pauses for -1ns", "activity a: Retry.Never has an error without a code", "activity a: Within is 1752000h0m0s",
		"activity a is declared twice", "activity score is bound twice", "an undeclared activity is bound", `activity "bad name"`)
}

func TestWorkflowsAndActivitiesAreDescribed(t *testing.T) {
	w := holdfast.NewWorkflow[int, string]("w", holdfast.Doc("does it"))
	holdfast.NewSignal[bool](w, "s")
	holdfast.NewQuery[void, int](w, "q")
	a := holdfast.NewActivity[void, void]("b", holdfast.Doc("acts"))
	app := holdfast.NewApp("app", a.Handle(func(context.Context, void) (void, error) { return void{}, nil }, holdfast.Concurrency(3)),
		w.Handle(func(*holdfast.WorkflowContext, int) (string, error) { return "", nil }).Retain(time.Hour).Tombstones().PanicFails(),
		wfScore.Handle(score))
	wants(t, app)
	d := app.Program().Describe()
	integer := []byte(`{"format":"int64","type":"integer"}`)
	want := []msg.Kind{{Name: "w", Form: msg.FormWorkflow, Doc: "does it", Retention: time.Hour, Tombstones: true, Handlers: []msg.Handler{
		{Name: "q", Mode: msg.ModeQuery, Output: integer},
		{Name: "run", Mode: msg.ModeWorkflow, Doc: "does it", Input: integer, Output: []byte(`{"type":"string"}`)},
		{Name: "s", Mode: msg.ModeSignal, Input: []byte(`{"type":"boolean"}`)},
	}}}
	if !d.Kinds[0].Hidden() { // it begins runs by schedules
		t.Errorf("the first kind is %+v", d.Kinds[0])
	}
	if fmt.Sprintf("%+v", d.Kinds[1:]) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", d.Kinds[1:], want)
	}
	if got := fmt.Sprint(d.Activities); got != fmt.Sprint([]program.Activity{{Name: "b", Doc: "acts", Concurrency: 3}, {Name: "score"}}) {
		t.Errorf("got %s", got)
	}
}

func TestAnEntityOfAWorkflowsNameIsNotRunAsOne(t *testing.T) {
	w := holdfast.NewWorkflow[void, void]("w")
	app := holdfast.NewApp("app", w.Handle(func(*holdfast.WorkflowContext, void) (void, error) { return void{}, nil }))
	turn := turnOf("u", `null`, ``)
	turn.Message.Target.Kind = "w"
	if o := run(t, app, turn); o.Err == nil || !contains(o.Err.Message, "w is a workflow; start it, signal it or query it") {
		t.Errorf("got %+v", o)
	}
}
