package workflow

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Mismatch says that a workflow's code does not ask for what its journal says
// it has asked for.
type Mismatch struct {
	Workflow msg.Ref
	Step     msg.StepNumber
	Recorded string // what the journal has
	Asked    string // what the code wants now
	Line     string // where the code is
}

func (m *Mismatch) Error() string {
	at := ""
	if m.Line != "" {
		at = " at " + m.Line
	}
	return fmt.Sprintf("workflow %v does not do what it did before: step %d was recorded as %s, and the code now asks%s for %s; "+
		"deploy the code that made it, or keep the old way with Patch", m.Workflow, m.Step, m.Recorded, at, m.Asked)
}

// words are what people call the kinds of steps.
var words = map[msg.StepKind]string{
	msg.StepCall: "call", msg.StepSend: "send", msg.StepActivity: "activity", msg.StepLocal: "local step",
	msg.StepTimer: "timer", msg.StepChild: "workflow", msg.StepPromise: "promise", msg.StepPatch: "patch",
	msg.StepCancel: "cancellation", msg.StepEvent: "event", msg.StepLock: "lock", msg.StepFinish: "finish",
}

func stepText(kind msg.StepKind, name string) string {
	return strings.TrimSpace(words[kind] + " " + name)
}

// wish is what a workflow asks for in a step. Its name is made only where
// somebody reads it.
type wish struct {
	kind msg.StepKind
	name [3]string // as in "kind/key handler"; the last two may be empty
	due  msg.Time  // of a timer, which has no name
	hash msg.Fingerprint
}

func (w *wish) text() string {
	if w.kind == msg.StepTimer {
		return w.due.Std().Format(time.RFC3339Nano)
	}
	text := w.name[0]
	if w.name[1] != "" {
		text += "/" + w.name[1]
	}
	if w.name[2] != "" {
		text += " " + w.name[2]
	}
	return text
}

// ask takes the next step. In execution of the journal it gives the step that
// was recorded, and does not return if that is another one.
func (r *run) ask(w wish) (msg.StepNumber, *msg.Step) {
	if r.replaying {
		r.skipPatches(&w)
	}
	r.steps++
	if !r.replaying {
		o := r.outcome
		o.Steps = append(o.Steps, msg.Step{Kind: w.kind, Name: w.text(), Hash: w.hash})
		return r.steps, &o.Steps[len(o.Steps)-1]
	}
	if len(r.recorded) == 0 {
		r.differ("nothing: there it waited", w)
	}
	step := &r.recorded[0]
	if step.Kind != w.kind || step.Hash != w.hash {
		recorded := stepText(step.Kind, step.Name)
		if recorded == stepText(w.kind, w.text()) {
			recorded += " with another input"
		}
		r.differ(recorded, w)
	}
	r.recorded = r.recorded[1:]
	return r.steps, step
}

// differ stops the run where it asks for something else than before.
func (r *run) differ(recorded string, w wish) {
	r.failure = &Mismatch{Workflow: r.target, Step: r.steps, Recorded: recorded, Asked: stepText(w.kind, w.text()), Line: userLine()}
	for {
		r.current.block()
	}
}

// missing is the failure of a run that waits, or has ended, where a step was
// recorded.
func (r *run) missing(step *msg.Step) error {
	m := &Mismatch{Workflow: r.target, Step: r.steps + 1, Recorded: stepText(step.Kind, step.Name), Asked: "nothing: it has ended"}
	if !r.ended {
		m.Asked, m.Line = "nothing: it waits", strings.Join(r.waiting(), " and ")
	}
	return m
}

// skipPatches passes over recorded patches that the code does not ask about any
// more: once all runs take the new way, the question may be deleted.
func (r *run) skipPatches(w *wish) {
	for len(r.recorded) > 0 && r.recorded[0].Kind == msg.StepPatch {
		if w != nil && w.kind == msg.StepPatch && w.hash == r.recorded[0].Hash {
			return
		}
		r.recorded = r.recorded[1:]
		r.steps++
	}
}

// patch says which way a run goes where the code has changed.
func (r *run) patch(name string) bool {
	if way, met := r.patches[name]; met {
		return way
	}
	if r.patches == nil {
		r.patches = map[string]bool{}
	}
	w := wish{kind: msg.StepPatch, name: [3]string{name}, hash: msg.FingerprintOf("patch", name)}
	way := !r.replaying || r.recordedPatch(&w)
	if way {
		r.ask(w)
	}
	r.patches[name] = way
	return way
}

// recordedPatch says whether the journal has the patch at this place.
func (r *run) recordedPatch(w *wish) bool {
	for i := range r.recorded {
		if r.recorded[i].Kind != msg.StepPatch {
			return false
		}
		if r.recorded[i].Hash == w.hash {
			return true
		}
	}
	return false
}

// hashing collects what is asked for, so that it can be hashed without
// ambiguity.
type hashing []byte

func (h hashing) number(v uint64) hashing { return binary.AppendUvarint(h, v) }

func (h hashing) text(s string) hashing { return append(binary.AppendUvarint(h, uint64(len(s))), s...) }

func (h hashing) payload(p *msg.Payload) hashing {
	h = h.text(p.ContentType)
	return append(binary.AppendUvarint(h, uint64(len(p.Body))), p.Body...)
}

func (h hashing) sum() msg.Fingerprint { return msg.FingerprintOf([]byte(h)) }

// The functions of these packages are not user code.
const (
	rootFunctions = "github.com/holdfast-io/holdfast."
	ownFunctions  = "github.com/holdfast-io/holdfast/internal/workflow."
)

// userLine gives the innermost source line of user code on the stack.
func userLine() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, rootFunctions) && !strings.HasPrefix(frame.Function, ownFunctions) &&
			frame.Function != "" && !strings.HasPrefix(frame.Function, "iter.") && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		if !more {
			return ""
		}
	}
}
