package holdfast_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: runs begin when they are due, once for each time, whatever crashes, and
// as the code says that runs. Method: apps on the real engine, in a time that
// the test makes.

// agency is an app with a workflow that notes its runs in a diary.
type agency struct {
	work  holdfast.Workflow[string, void]
	diary holdfast.Entity[string, []string]
	note  holdfast.Update[string, []string, string, void]
	show  holdfast.Read[string, []string, void, string]
}

func newAgency() *agency {
	a := &agency{work: holdfast.NewWorkflow[string, void]("work"), diary: holdfast.NewEntity[[]string]("diary")}
	a.note = holdfast.NewUpdate[string, void](a.diary, "note")
	a.show = holdfast.NewRead[void, string](a.diary, "show")
	return a
}

// app is the agency's code with some schedules.
func (a *agency) app(with func(*holdfast.WorkflowBinding[string])) *holdfast.App {
	work := a.work.Handle(func(ctx *holdfast.WorkflowContext, in string) (void, error) {
		return a.note.Call(ctx, "d", in+" "+ctx.ID())
	})
	with(work)
	return holdfast.NewApp("agency", work,
		a.note.Handle(func(ctx *holdfast.UpdateContext[[]string], text string) (void, error) {
			ctx.State = append(ctx.State, text)
			return none, nil
		}),
		a.show.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[[]string]) (string, error) {
			return strings.Join(ctx.State, ", "), nil
		})))
}

// start begins a life of the process, with this code.
func (a *agency) start(p *plant, with func(*holdfast.WorkflowBinding[string])) {
	p.t.Helper()
	p.app = a.app(with)
	if err := p.app.Validate(); err != nil {
		p.t.Fatal(err)
	}
	p.start()
}

// wants lets time pass until a time and looks into the diary.
func (a *agency) wants(p *plant, until string, want ...string) {
	p.t.Helper()
	end := clock(p.t, until)
	p.settle(func() bool {
		due := p.nextDue()
		return len(p.work) == 0 && (due == 0 || due > end)
	})
	p.now = end
	q := ask(msg.OperationCall, a.diary.Ref("d"), "show", "null")
	q.Identity = msg.Identity{}
	if got := p.request(q); string(got.Payload.Body) != fmt.Sprintf("%q", strings.Join(want, ", ")) {
		p.t.Errorf("crash at %d, at %s: got %s, %v, want %q", p.crashAt, until, got.Payload.Body, got.Err, want)
	}
}

// clock reads a time of a day in 2026.
func clock(t testing.TB, text string) msg.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", "2026-11-"+text)
	if err != nil {
		t.Fatal(err)
	}
	return msg.TimeOf(at)
}

func newAgencyPlant(t *testing.T, crashAt int, at string) (*agency, *plant) {
	return newAgency(), &plant{t: t, now: clock(t, at), crashAt: crashAt}
}

func hourly(w *holdfast.WorkflowBinding[string]) { w.Schedule("h", holdfast.Cron("0 * * * *"), "in") }

func TestRunsBeginWhenTheyAreDueWhateverCrashes(t *testing.T) {
	run := func(crashAt int) (records int) {
		a, p := newAgencyPlant(t, crashAt, "26 10:30")
		a.start(p, hourly)
		a.wants(p, "26 10:59")
		a.wants(p, "26 13:10", "in h@2026-11-26T11:00:00Z", "in h@2026-11-26T12:00:00Z", "in h@2026-11-26T13:00:00Z")
		return len(p.log)
	}
	for n, records := 1, run(0); n <= records; n++ {
		run(n)
	}
}

// TestOfTheTimesThatWereMissedTheLatestIsMadeUpFor once.
func TestOfTheTimesThatWereMissedTheLatestIsMadeUpFor(t *testing.T) {
	a, p := newAgencyPlant(t, 0, "26 10:30")
	a.start(p, hourly)
	a.wants(p, "26 11:30", "in h@2026-11-26T11:00:00Z")
	p.now = clock(t, "28 05:59")
	a.start(p, hourly)
	a.wants(p, "28 06:30", "in h@2026-11-26T11:00:00Z", "in h@2026-11-28T05:00:00Z", "in h@2026-11-28T06:00:00Z")
}

func TestASecondStartWithTheSameSchedulesWritesNothing(t *testing.T) {
	a, p := newAgencyPlant(t, 0, "26 10:30")
	a.start(p, hourly)
	a.wants(p, "26 10:40")
	for range 2 {
		before := len(p.log)
		a.start(p, hourly)
		a.wants(p, "26 10:40")
		if p.lives > 2 && len(p.log) > before+4 { // the partitions note the new owner
			t.Errorf("a start has written %d records", len(p.log)-before)
		}
	}
}

// TestScheduleFollowsTheCode: it is replaced, keeps its beat, and ends.
func TestScheduleFollowsTheCode(t *testing.T) {
	a, p := newAgencyPlant(t, 0, "26 10:30")
	every := func(d time.Duration, in string) func(w *holdfast.WorkflowBinding[string]) {
		return func(w *holdfast.WorkflowBinding[string]) { w.Schedule("e", holdfast.Every(d), in) }
	}
	a.start(p, every(time.Hour, "old"))
	a.wants(p, "26 11:40", "old e@2026-11-26T11:30:00Z")
	a.start(p, every(time.Hour, "new")) // another input does not move the beat
	a.wants(p, "26 12:40", "old e@2026-11-26T11:30:00Z", "new e@2026-11-26T12:30:00Z")
	p.now = clock(t, "26 14:00") // a time of the old rule was missed
	a.start(p, every(2*time.Hour, "new"))
	a.wants(p, "26 16:10", "old e@2026-11-26T11:30:00Z", "new e@2026-11-26T12:30:00Z", "new e@2026-11-26T16:00:00Z")
	a.start(p, func(*holdfast.WorkflowBinding[string]) {})
	a.wants(p, "28 00:00", "old e@2026-11-26T11:30:00Z", "new e@2026-11-26T12:30:00Z", "new e@2026-11-26T16:00:00Z")
	if due := p.nextDue(); due != 0 && due < clock(t, "29 00:00") {
		t.Errorf("something is due at %v although nothing is scheduled", due.Std())
	}
}

// TestWhatIsScheduledForOneTimeBeginsOnce, also if the time has passed, and
// however often the process starts.
func TestWhatIsScheduledForOneTimeBeginsOnce(t *testing.T) {
	once := func(w *holdfast.WorkflowBinding[string]) {
		w.Schedule("at", holdfast.At(clock(t, "26 12:00").Std()), "a")
		w.Schedule("past", holdfast.At(clock(t, "25 09:00").Std()), "p").Schedule("in", holdfast.After(3*time.Hour), "i")
	}
	a, p := newAgencyPlant(t, 0, "26 10:00")
	a.start(p, once)
	for _, restart := range []bool{false, true, true} {
		if restart {
			a.start(p, once)
		}
		a.wants(p, "27 00:00", "p past@2026-11-25T09:00:00Z", "a at@2026-11-26T12:00:00Z", "i in@2026-11-26T13:00:00Z")
	}
}

func TestMistakesInSchedules(t *testing.T) {
	a := newAgency()
	a2 := holdfast.NewWorkflow[func(), void]("other")
	other := a2.Handle(func(*holdfast.WorkflowContext, func()) (void, error) { return none, nil }).
		Schedule("x", holdfast.Every(time.Hour), nil)
	app := a.app(func(w *holdfast.WorkflowBinding[string]) {
		w.Schedule("", holdfast.Every(time.Hour), "").Schedule("twice", holdfast.Every(time.Hour), "").Schedule("twice", holdfast.Cron("* * * * *"), "").
			Schedule("none", nil, "").Schedule("fast", holdfast.Every(1), "").Schedule("february", holdfast.Cron("0 0 30 2 *"), "").
			Schedule("negative", holdfast.After(-1), "").Schedule(strings.Repeat("k", msg.KeyBytesMax-10), holdfast.After(1), "")
	})
	wants(t, holdfast.NewApp("a", app, other),
		`schedule "": the id is empty`, `schedule "twice" is there twice, first at`, `schedule "none": it says no time`,
		`schedule "fast": the schedule repeats every 1ns`, `schedule "february": cron "0 0 30 2 *" never fires`,
		`schedule "negative": delay -1ns is negative`, "the key is 10", `workflow other: schedule "x": encode the input`,
		"workflow other: input func(): func() cannot")
}
