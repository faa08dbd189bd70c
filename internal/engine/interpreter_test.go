package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// deed is a line of a script: what a workflow does next. A script waits for each
// line before it goes on, unless the line says Start.
type deed struct {
	Do    string // call, read, send, activity, sleep, await (a signal), promise, child, cancel (a child), delete, exists, send and hear, lock, raise, raise later, look, compare, fail, again, tail
	Name  string // key of a thing, id of a child, name of an activity or signal
	For   time.Duration
	Start bool // do not wait: "gather" does
	Sub   []deed
	Task  msg.Task // activity: policy
	To    *branch  // plan, pass on: what is called, or answers
	Keys  []msg.LockKey
	Hold  bool // under the locks that are held
}

func script(deeds ...deed) msg.Payload {
	b, err := json.Marshal(deeds)
	if err != nil {
		panic(err)
	}
	return msg.Payload{Body: b}
}

// flow is the kind of workflow that runs scripts.
var flow = msg.Kind{Name: "flow", Form: msg.FormWorkflow, Handlers: []msg.Handler{
	{Name: msg.HandlerRun, Mode: msg.ModeWorkflow}, {Name: "ping", Mode: msg.ModeSignal}, {Name: "said", Mode: msg.ModeQuery},
}}

// interpreter runs a script from its journal: a pure function of what the
// workflow was told.
type interpreter struct {
	turn      *msg.Turn
	outcome   *msg.Outcome
	known     int // steps that are in the journal
	step      int // steps so far
	deeds     []deed
	outcomes  map[int]msg.Delivery
	signals   []string
	cancelled bool
	said      []string
}

func interpret(t *msg.Turn) *msg.Outcome {
	in := &interpreter{turn: t, outcome: &msg.Outcome{Run: t.Run}, outcomes: map[int]msg.Delivery{}}
	if t.State.Fields != nil {
		t.State.Fields.Items(msg.JournalField, func(_ int, item []byte) bool {
			entry, err := msg.DecodeEntry(item)
			if err != nil {
				panic(err)
			}
			in.deliver(entry.Deliveries)
			in.known += len(entry.Steps)
			return true
		})
	}
	in.deliver(t.Deliveries)
	if t.Mode == msg.ModeQuery {
		return &msg.Outcome{Run: t.Run, Output: body(fmt.Sprintf("%d steps, %d outcomes", in.known, len(in.outcomes)))}
	}
	in.run()
	return in.outcome
}

func (in *interpreter) deliver(list []msg.Delivery) {
	for _, d := range list {
		switch d.Kind {
		case msg.DeliveryStart:
			if err := json.Unmarshal(d.Payload.Body, &in.deeds); err != nil {
				panic(err)
			}
		case msg.DeliveryOutcome:
			if _, twice := in.outcomes[int(d.Step)]; twice {
				panic(fmt.Sprintf("step %d of %s has two outcomes", d.Step, in.turn.Message.Target))
			}
			in.outcomes[int(d.Step)] = d
		case msg.DeliverySignal:
			in.signals = append(in.signals, string(d.Payload.Body))
		case msg.DeliveryCancel:
			in.cancelled = true
		}
	}
}

// run goes through the script until it has to wait.
func (in *interpreter) run() {
	var started []int
	for _, d := range in.deeds {
		switch d.Do {
		case "await":
			if len(in.signals) == 0 {
				in.waits()
				return
			}
			in.said = append(in.said, in.signals[0])
			in.signals = in.signals[1:]
			continue
		case "gather":
			for _, step := range started {
				if !in.ended(step) {
					in.waits()
					return
				}
			}
			continue
		case "compare": // what was seen under a shared lock
			if n := len(in.said); in.said[n-1] != in.said[n-3] {
				panic(fmt.Sprintf("%s saw %s and then %s under a shared lock", in.turn.Message.Target, in.said[n-3], in.said[n-1]))
			}
			continue
		case "fail":
			in.outcome.Ended, in.outcome.Err = true, msg.Errorf("refused", msg.ClassConflict, "%s", d.Name)
			return
		case "again":
			in.outcome.Ended, in.outcome.Tail = true, &msg.Outgoing{Target: in.turn.Message.Target, Handler: msg.HandlerRun, Payload: script(d.Sub...)}
			for _, s := range in.signals {
				in.outcome.Begin = append(in.outcome.Begin, msg.Delivery{Kind: msg.DeliverySignal, Name: "ping", Payload: body(s)})
			}
			return
		case "tail":
			in.outcome.Ended, in.outcome.Tail = true, &msg.Outgoing{Target: ref(d.Name), Handler: "add"}
			return
		case "pass on":
			out := outgoingOf(d.To)
			in.outcome.Ended, in.outcome.Tail = true, &out
			return
		}
		step := in.ask(&d)
		switch {
		case d.Start:
			started = append(started, step)
		case d.Do != "send" && d.Do != "cancel" && d.Do != "raise later" && !in.ended(step):
			in.waits()
			return
		}
	}
	in.outcome.Ended, in.outcome.Output = true, body(strconv.Quote(strings.Join(in.said, " ")))
}

func outgoingOf(b *branch) msg.Outgoing {
	return msg.Outgoing{Target: msg.Ref{Kind: b.Kind, Key: b.Key}, Handler: handlerOf(b.Kind), Payload: payloadOf(b.Kind, &b.Plan)}
}

// waits ends the script if it was asked to stop.
func (in *interpreter) waits() {
	if in.cancelled {
		in.outcome.Ended, in.outcome.Err = true, msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "it was asked to stop")
	}
}

func (in *interpreter) ended(step int) bool {
	d, ok := in.outcomes[step]
	if !ok {
		return false
	}
	text := string(d.Payload.Body)
	if d.Err != nil {
		text = d.Err.Code
	}
	in.said = append(in.said, text)
	return true
}

// ask takes the next step: for the first time, or again.
func (in *interpreter) ask(d *deed) int {
	in.step++
	if in.step <= in.known {
		return in.step
	}
	number, kind := msg.StepNumber(in.step), msg.StepCall
	out := msg.Outgoing{Target: ref(d.Name), Step: number, Hold: d.Hold}
	switch d.Do {
	case "call", "read":
		out.Handler = map[string]string{"call": "add", "read": "get"}[d.Do]
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "send and hear":
		kind, out.Kind, out.Handler = msg.StepSend, msg.MessageSend, "add"
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "send":
		kind, out.Step, out.Handler = msg.StepSend, 0, "add"
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "delete", "exists":
		out.Kind = map[string]msg.MessageKind{"delete": msg.MessageDelete, "exists": msg.MessageExists}[d.Do]
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "child":
		kind, out.Target, out.Handler, out.Payload = msg.StepChild, msg.Ref{Kind: "flow", Key: d.Name}, msg.HandlerRun, script(d.Sub...)
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "cancel":
		kind, out.Target, out.Step, out.Kind = msg.StepCancel, msg.Ref{Kind: "flow", Key: d.Name}, 0, msg.MessageCancel
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "lock":
		kind = msg.StepLock
		in.outcome.Lock = &msg.LockKeys{Step: number, Keys: d.Keys}
		if d.For > 0 {
			in.outcome.Lock.Deadline = in.turn.Now + msg.Time(d.For)
		}
	case "raise", "raise later":
		kind, out.Kind, out.Handler, out.Target, out.Payload = msg.StepEvent, msg.MessageEventPrepare, d.Name, msg.Ref{}, d.Task.Input
		for _, k := range d.Keys {
			out.Refs = append(out.Refs, k.Ref)
		}
		if d.Do == "raise later" {
			out.Step = 0
		}
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "look":
		out = msg.Outgoing{Target: msg.Ref{Kind: d.To.Kind, Key: d.To.Key}, Handler: "look", Step: number, Hold: d.Hold}
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "plan":
		out = outgoingOf(d.To)
		out.Step, out.Hold = number, d.Hold
		in.outcome.Sends = append(in.outcome.Sends, out)
	case "activity":
		kind = msg.StepActivity
		if d.Task.Input.Body == nil {
			d.Task.Input = body(fmt.Sprint("asked at ", in.turn.Now))
		}
		task := d.Task
		task.Step, task.Activity = number, d.Name
		in.outcome.Tasks = append(in.outcome.Tasks, task)
	case "sleep":
		kind = msg.StepTimer
		in.outcome.Remind = append(in.outcome.Remind, msg.Reminder{Name: strconv.Itoa(in.step), Due: in.turn.Now + msg.Time(d.For)})
	case "promise":
		kind = msg.StepPromise
		in.outcome.Promises = append(in.outcome.Promises, number)
	default:
		panic("no deed " + d.Do)
	}
	in.outcome.Steps = append(in.outcome.Steps, msg.Step{Kind: kind, Name: out.Target.String()})
	return in.step
}
