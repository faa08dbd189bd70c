package holdfast

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file begins runs of workflows by schedules. Each schedule is an entity of
// a kind that no app can declare: its state says by which rule its reminder was
// set, and what is to be begun is in the code. So a schedule that has changed in
// the code, or is gone from it, has when its entity next has a turn; one that is
// there has a turn at every start.

// kindSchedule is the kind of schedules. It is hidden: msg.Kind.Hidden.
const kindSchedule = `\schedule`

// Handlers of a schedule, and its reminder.
const (
	scheduleKeep = "keep" // asked for at every start
	scheduleTick = "tick" // by the reminder
	scheduleNext = "next" // the reminder
)

// workflowSchedule is one use of WorkflowBinding.Schedule.
type workflowSchedule struct {
	id, at  string
	when    Schedule
	input   msg.Payload
	mistake error // why the input cannot be encoded
}

// Schedule begins runs by a schedule: once with After and At, again and again
// with Every and Cron. After and Every count from when a server first had the
// schedule. The id of a run is id, "@", and the time for which it was due, as in
// "daily@2026-11-26T03:00:00Z". If times were missed while nothing ran, the
// latest of them is made up for, once. A schedule that changes in the code is
// replaced, and one that is removed from it ends.
func (b *WorkflowBinding[In]) Schedule(id string, s Schedule, in In) *WorkflowBinding[In] {
	input, err := b.binding.declaration.input.encode(&in)
	o := b.binding.workflow
	o.schedules = append(o.schedules, &workflowSchedule{id: id, at: position(), when: s, input: input, mistake: err})
	return b
}

// runID names the run that was due at a time.
func (s *workflowSchedule) runID(due msg.Time) string {
	return s.id + "@" + due.Std().Format(time.RFC3339Nano)
}

// rule is what the state of a schedule says.
func (s *workflowSchedule) rule() []byte {
	text, _ := json.Marshal(map[string]string{"schedule": s.when.text()}) // a string always has a JSON form
	return text
}

// first is when a schedule is first due that nobody has known before.
func (s *workflowSchedule) first(now msg.Time) (due msg.Time, repeat msg.Schedule, err error) {
	due, repeat, err = s.when.schedule(now)
	if d, ok := s.when.(Delay); ok && err == nil && !d.at.IsZero() {
		due = msg.TimeOf(d.at) // also if it has passed: it names the run
	}
	return due, repeat, err
}

// boundSchedule is a schedule that this app serves.
type boundSchedule struct {
	*workflowSchedule
	workflow string
}

func (s *boundSchedule) key() string { return s.workflow + "/" + s.id }

// addSchedules makes the schedules of a workflow part of the program.
func (p *appProgram) addSchedules(workflow string, list []*workflowSchedule) {
	if p.schedules == nil { // the first workflow: there may have been schedules that have to end
		p.schedules = map[string]*boundSchedule{}
		p.description.Kinds = append(p.description.Kinds, msg.Kind{Name: kindSchedule, Handlers: []msg.Handler{
			{Name: scheduleKeep, Mode: msg.ModeUpdate}, {Name: scheduleTick, Mode: msg.ModeUpdate}}})
	}
	for _, s := range list {
		bound := &boundSchedule{s, workflow}
		p.schedules[bound.key()] = bound
		p.description.Startup = append(p.description.Startup, msg.Request{Operation: msg.OperationCall,
			Target: msg.Ref{Kind: kindSchedule, Key: bound.key()}, Handler: scheduleKeep})
	}
}

// scheduleTurn is a turn of a schedule.
func (p *appProgram) scheduleTurn(t *msg.Turn) *msg.Outcome {
	o := &msg.Outcome{Run: t.Run}
	s := p.schedules[t.Message.Target.Key]
	switch {
	case s == nil:
		o.Delete = true
	case string(t.State.Root.Body) != string(s.rule()):
		s.replace(t.Now, o)
	case t.Message.Handler == scheduleTick:
		s.fire(t, o)
	}
	return o
}

// replace sets the reminder by the rule that is in the code.
func (s *boundSchedule) replace(now msg.Time, o *msg.Outcome) {
	due, repeat, err := s.first(now)
	if err != nil { // it was right when the app was validated
		o.Fault = fmt.Sprintf("schedule %s of workflow %s: %v", s.id, s.workflow, err)
		return
	}
	o.Root = &msg.Payload{Body: s.rule()}
	o.Remind = []msg.Reminder{{Name: scheduleNext, Handler: scheduleTick, Due: due, Schedule: repeat}}
}

// fire begins the run that is due. Of a rule that repeats that is the latest,
// and the next comes after it.
func (s *boundSchedule) fire(t *msg.Turn, o *msg.Outcome) {
	due := t.Message.NotBefore
	if r, ok := s.when.(repeating); ok {
		repeat := msg.Schedule(r)
		due = repeat.Last(t.Now, due)
		o.Remind = []msg.Reminder{{Name: scheduleNext, Handler: scheduleTick, Due: repeat.Next(t.Now, due), Schedule: repeat}}
	}
	o.Sends = []msg.Outgoing{{Target: msg.Ref{Kind: s.workflow, Key: s.runID(due)}, Handler: msg.HandlerRun, Payload: s.input}}
}

// checkSchedules finds schedules of a workflow that cannot be, or are there
// twice.
func (v *validation) checkSchedules(d *handlerDeclaration, list []*workflowSchedule) {
	first := map[string]string{}
	for _, s := range list {
		if at := first[s.id]; at != "" {
			v.mistake(s.at, "workflow %v: schedule %q is there twice, first at %s", d, s.id, at)
			continue
		}
		first[s.id] = s.at
		if err := s.check(d.kind.name); err != nil {
			v.mistake(s.at, "workflow %v: schedule %q: %s", d, s.id, ruleOf(err))
		}
	}
}

func (s *workflowSchedule) check(workflow string) error {
	switch {
	case s.when == nil:
		return fmt.Errorf("it says no time; use After, At, Every or Cron")
	case s.mistake != nil:
		return fmt.Errorf("encode the input: %w", s.mistake)
	case s.id == "":
		return fmt.Errorf("the id is empty")
	}
	for _, key := range []string{workflow + "/" + s.id, s.runID(msg.TimeOf(time.Unix(0, 1)))} {
		if err := msg.ValidKey(key); err != nil {
			return err
		}
	}
	_, _, err := s.first(msg.TimeOf(time.Now()))
	return err
}
