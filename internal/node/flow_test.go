package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// flows is a script that also has a workflow, "flow", which follows a plan, and
// activities that a test writes.
type flows struct {
	*script
	served []program.Activity

	mu       sync.Mutex
	attempts map[string][]*msg.TaskRun // by activity
	written  map[string]attemptFunc
}

// plan is the input of a flow: the activities that it asks for, together, and
// how; then it waits for them, and asks again as often as it is told. A flow
// that waits for something else waits for an hour.
type plan struct {
	Activities []string `json:"activities,omitempty"`
	Task       msg.Task `json:"task"`
	Again      int      `json:"again,omitempty"`
	Hour       bool     `json:"hour,omitempty"`
}

// attemptFunc is an activity. A *msg.Error is final, other errors are not.
type attemptFunc func(ctx context.Context, t *msg.TaskRun, beat func(string)) (output string, err error)

// newFlows makes a program of activities. They are served without a limit unless
// they are listed.
func newFlows(written map[string]attemptFunc, limited ...program.Activity) *flows {
	f := &flows{script: &script{}, attempts: map[string][]*msg.TaskRun{}, written: written, served: limited}
	for name := range written {
		if len(limited) == 0 || limited[0].Name != name {
			f.served = append(f.served, program.Activity{Name: name})
		}
	}
	return f
}

func (f *flows) Describe() program.Description {
	d := f.script.Describe()
	d.Activities = f.served
	d.Kinds = append(d.Kinds, msg.Kind{Name: "flow", Form: msg.FormWorkflow, Handlers: []msg.Handler{{Name: msg.HandlerRun, Mode: msg.ModeWorkflow}}})
	return d
}

// Turn implements program.Program.
func (f *flows) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	if t.Mode != msg.ModeWorkflow {
		return f.script.Turn(ctx, t)
	}
	if hook, ok := f.hooks.Load("run"); ok {
		hook.(func(context.Context, *msg.Turn))(ctx, t)
	}
	told := &following{outcomes: map[msg.StepNumber]msg.Delivery{}}
	if t.State.Fields != nil {
		t.State.Fields.Items(msg.JournalField, func(_ int, item []byte) bool {
			entry, err := msg.DecodeEntry(item)
			if err != nil {
				panic(err)
			}
			told.take(entry.Deliveries)
			told.asked += len(entry.Steps)
			return true
		})
	}
	told.take(t.Deliveries)
	return told.goOn(t)
}

// following is what a flow has been told.
type following struct {
	plan      plan
	asked     int // steps in its journal
	outcomes  map[msg.StepNumber]msg.Delivery
	cancelled bool
}

func (f *following) take(list []msg.Delivery) {
	for _, d := range list {
		switch d.Kind {
		case msg.DeliveryStart:
			if err := json.Unmarshal(d.Payload.Body, &f.plan); err != nil {
				panic(err)
			}
		case msg.DeliveryOutcome:
			f.outcomes[d.Step] = d
		case msg.DeliveryCancel:
			f.cancelled = true
		}
	}
}

// goOn does what comes next.
func (f *following) goOn(t *msg.Turn) *msg.Outcome {
	o := &msg.Outcome{Run: t.Run}
	switch {
	case f.cancelled:
		o.Ended, o.Err = true, msg.Errorf(msg.CodeCancelled, msg.ClassFailed, "as was asked")
	case len(f.outcomes) < f.asked:
	case f.asked > len(f.plan.Activities)*f.plan.Again:
		o.Ended, o.Output.Body = true, f.output()
	default:
		f.ask(t, o)
	}
	return o
}

func (f *following) ask(t *msg.Turn, o *msg.Outcome) {
	for _, name := range f.plan.Activities {
		task := f.plan.Task
		task.Activity, task.Step = name, msg.StepNumber(f.asked+len(o.Steps)+1)
		o.Tasks = append(o.Tasks, task)
		o.Steps = append(o.Steps, msg.Step{Kind: msg.StepActivity, Name: name})
	}
	if f.plan.Hour {
		o.Steps = append(o.Steps, msg.Step{Kind: msg.StepTimer})
		o.Remind = []msg.Reminder{{Name: fmt.Sprint(len(o.Steps)), Due: t.Now + 3600e9}}
	}
}

// output lists the outcomes of the steps.
func (f *following) output() []byte {
	var list []string
	for step := range f.asked {
		d := f.outcomes[msg.StepNumber(step+1)]
		if d.Err != nil {
			list = append(list, d.Err.Code)
			continue
		}
		list = append(list, string(d.Payload.Body))
	}
	body, _ := json.Marshal(list)
	return body
}

// Perform implements program.Program.
func (f *flows) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	f.mu.Lock()
	activity := f.written[t.Task.Activity]
	f.attempts[t.Task.Activity] = append(f.attempts[t.Task.Activity], t)
	f.mu.Unlock()
	if activity == nil {
		return program.NotServed(t, "the test")
	}
	output, err := activity(ctx, t, func(detail string) { heartbeat(msg.Payload{Body: []byte(detail)}) })
	o := &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt, Output: msg.Payload{Body: []byte(output)}}
	if err != nil && !errors.As(err, &o.Err) {
		o.Err, o.Retryable = msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%v", err), true
	}
	return o
}

// tried are the attempts of an activity that have begun.
func (f *flows) tried(name string) []*msg.TaskRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*msg.TaskRun(nil), f.attempts[name]...)
}

// flow is a request for a workflow.
func flow(operation msg.Operation, key string, p plan) *msg.Request {
	body, _ := json.Marshal(p)
	return &msg.Request{Operation: operation, Mode: msg.ModeWorkflow, Target: msg.Ref{Kind: "flow", Key: key}, Handler: msg.HandlerRun, Payload: msg.Payload{Body: body}}
}

// with starts a node with flows.
func (r *rig) with(f *flows) *rig {
	r.t.Helper()
	r.script = f.script
	if err := r.startAs(f); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// flows runs a workflow to its end.
func (r *rig) flow(key string, p plan) msg.Reply { return r.ask(flow(msg.OperationCall, key, p)) }

// begin begins a workflow.
func (r *rig) begin(key string, p plan) {
	r.t.Helper()
	r.must(r.ask(flow(msg.OperationSubmit, key, p)))
}

func (r *rig) wantOutput(reply msg.Reply, want string) {
	r.t.Helper()
	if r.must(reply); string(reply.Payload.Body) != want {
		r.t.Fatalf("got %s, want %s", reply.Payload.Body, want)
	}
}
