package activity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// TestEveryAttemptIsToldOnce: several goroutines ask for attempts of everything
// that an activity can do and interrupt some of them. It runs in real time, for
// the race detector.
func TestEveryAttemptIsToldOnce(t *testing.T) {
	const loops, each, limit = 4, 1000, 3
	var limited atomic.Int32
	r := newRig(t, activity.Config{RunningMax: 50, LeaveAfter: time.Millisecond}, map[string]function{
		"quick": quick,
		"limited": func(*call) error {
			if n := limited.Add(1); n > limit {
				t.Errorf("%d attempts run at once, want at most %d", n, limit)
			}
			runtime.Gosched()
			limited.Add(-1)
			return nil
		},
		"fail":   func(*call) error { return errors.New("no") },
		"beat":   func(c *call) error { c.beat("a"); c.beat("b"); return nil },
		"goexit": func(*call) error { runtime.Goexit(); return nil },
		"late":   func(c *call) error { <-c.Done(); return c.Err() },
		"deaf":   func(c *call) error { <-c.Done(); time.Sleep(3 * time.Millisecond); return nil },
	}, program.Activity{Name: "limited", Concurrency: limit})
	names := []string{"quick", "limited", "fail", "beat", "goexit", "late", "deaf"}
	interrupted, unlimited := make([]bool, loops*each), make([]bool, loops*each)
	var asking sync.WaitGroup
	for l := range loops {
		asking.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(l)))
			for n := range each {
				step := msg.StepNumber(l*each + n)
				task := run(step, names[random.IntN(len(names))])
				if unlimited[step] = task.Task.Activity != "limited"; unlimited[step] { // what is left behind has no limit
					task.Task.Timeout = time.Millisecond * time.Duration(1+random.IntN(3))
				}
				r.Perform(partitionOf(step), task)
				if other := msg.StepNumber(l*each + random.IntN(n+1)); n%5 == 0 && unlimited[other] {
					interrupted[other] = true
					r.Interrupt(partitionOf(other), targetOf(other), msg.TaskName{Run: 3, Step: other})
				}
			}
		})
	}
	asking.Wait()
	for s := r.Stats(); s.Running+s.Queued+s.LeftBehind > 0; s = r.Stats() {
		runtime.Gosched()
	}
	r.end()
	told := make([]int, loops*each)
	for _, line := range r.trace() {
		var took string
		var step int
		if n, _ := fmt.Sscanf(line, "%s done %d", &took, &step); n == 2 {
			told[step]++
		}
	}
	for step, n := range told {
		if n != 1 && !(interrupted[step] && n == 0) {
			t.Fatalf("attempt %d was told %d outcomes (interrupted: %v)", step, n, interrupted[step])
		}
	}
}

func TestAttemptsOfAnActivityBeginInTheirOrderAndNoMoreAtOnceThanItAllows(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{"slow": sleep(time.Second), "other": quick}, program.Activity{Name: "slow", Concurrency: 2})
		r.ask(run(1, "slow"))
		r.ask(run(2, "slow"))
		r.ask(run(3, "slow"), run(4, "slow"), run(5, "other"))
		r.want("0s begin 1", "0s begin 2", "0s begin 5", "0s done 5")
		r.wantNow(2, 2, 0)
		r.interrupt(1)
		r.want("0s begin 3")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.trace(); len(got) != 3 || !slices.Contains(got, "1s begin 4") {
			t.Errorf("got %v, want the end of two and the begin of the fourth", got)
		}
		time.Sleep(time.Second)
		r.want("2s done 4")
		r.end()
	})
}

func TestWhatExceedsTheLimitsTakesNoGoroutine(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 10}, map[string]function{"slow": sleep(time.Second)})
		before := runtime.NumGoroutine()
		for step := range msg.StepNumber(1000) {
			r.Perform(partitionOf(step), run(step, "slow"))
		}
		synctest.Wait()
		r.wantNow(10, 990, 0)
		if got := runtime.NumGoroutine() - before; got > 10+runtimeGoroutines {
			t.Errorf("%d goroutines for 10 attempts", got)
		}
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if got := r.Stats().Activities[0].Succeeded; got != 1000 {
			t.Errorf("%d attempts have ended, want all", got)
		}
		r.end()
	})
}

func TestActivitiesThatWaitTakeTurns(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 1}, map[string]function{"a": sleep(time.Second), "b": sleep(time.Second)})
		r.ask(run(1, "a"), run(2, "a"), run(3, "a"), run(4, "b"), run(5, "b"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		var order []string
		for _, line := range r.trace() {
			if _, step, ok := strings.Cut(line, " begin "); ok {
				order = append(order, step)
			}
		}
		if want := []string{"1", "4", "2", "5", "3"}; !slices.Equal(order, want) {
			t.Errorf("attempts began in the order %v, want %v", order, want)
		}
		r.end()
	})
}

// runtimeGoroutines is how many goroutines the runtime may start meanwhile.
const runtimeGoroutines = 4

func TestShortAttemptsAreMadeByFewGoroutines(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{"quick": quick, "slow": sleep(time.Second)})
		before := runtime.NumGoroutine()
		for step := range msg.StepNumber(200) {
			r.ask(run(step, "quick"))
		}
		if got := runtime.NumGoroutine() - before; got > 1+runtimeGoroutines {
			t.Errorf("%d goroutines for one attempt after the other", got)
		}
		for step := range msg.StepNumber(200) {
			r.ask(run(step, "slow"))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := runtime.NumGoroutine() - before; got > 64+runtimeGoroutines {
			t.Errorf("%d goroutines have stayed, want at most 64", got)
		}
		r.end()
	})
}

func TestAnAttemptThatEndsItsGoroutineMayBeTriedAgain(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 1}, map[string]function{"goexit": func(*call) error { runtime.Goexit(); return nil }, "quick": quick})
		r.ask(run(1, "goexit"), run(2, "quick"))
		r.want("0s begin 1", "0s done 1: panic, retryable", "0s begin 2", "0s done 2")
		r.end()
	})
}

// TestABugInAProgramIsNotHidden: a program must turn panics of activities into
// outcomes, so a panic that comes out of it ends the process, and says where.
func TestABugInAProgramIsNotHidden(t *testing.T) {
	const variable = "HOLDFAST_ACTIVITY_TEST_BUG"
	if os.Getenv(variable) != "" {
		r := newRig(t, activity.Config{}, map[string]function{"bug": func(*call) error { panic("a bug of the program") }})
		r.Perform(0, run(0, "bug"))
		select {}
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestABugInAProgramIsNotHidden$")
	command.Env = append(os.Environ(), variable+"=1")
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !bytes.Contains(output, []byte("a bug of the program")) || !bytes.Contains(output, []byte("served.Perform")) {
		t.Errorf("got error %v and output %s, want an exit with the panic and where it came from", err, output)
	}
}

func TestWhatIsInterruptedIsNotTold(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 1}, map[string]function{"slow": sleep(time.Minute), "other": quick})
		r.SubmitAll(nil)
		r.ask(run(1, "slow"), run(2, "slow"), run(3, "slow"), run(4, "other"))
		r.interrupt(2) // waits
		r.interrupt(4) // waits, and nothing else of its activity does
		r.interrupt(9) // is not there
		r.wantNow(1, 1, 0)
		r.interrupt(1) // runs
		r.interrupt(1)
		r.want("0s begin 1", "0s begin 3")
		r.interrupt(3)
		r.want()
		var interrupted uint64
		for _, s := range r.Stats().Activities {
			interrupted += s.Interrupted
		}
		if interrupted != 4 {
			t.Errorf("%d attempts were interrupted, want 4", interrupted)
		}
		r.end()
	})
}

func TestANewAttemptTakesThePlaceOfAnOldOne(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{"slow": sleep(time.Minute), "quick": quick})
		r.ask(run(1, "slow"))
		second := run(1, "quick")
		second.Task.Attempt = 2
		r.ask(second)
		r.want("0s begin 1", "0s begin 1", "0s done 1")
		r.end()
	})
}

func TestAnActivityThatIsNotServedIsAFault(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{"quick": quick})
		r.ask(run(1, "gone"), run(2, "gone too"))
		r.want("0s done 1: fault", "0s done 2: fault")
		s := r.Stats().Activities
		if len(s) != 2 || s[0].Name != "quick" || s[1].Name != "" || s[1].NotServed != 2 {
			t.Errorf("got %+v, want one line for all that is not served", s)
		}
		r.end()
	})
}

func TestStatsSayHowAttemptsHaveEnded(t *testing.T) {
	inTime(t, func(t *testing.T) {
		outcomes := []error{nil, errors.New("no"), msg.Errorf("own", msg.ClassFailed, "never"), context.DeadlineExceeded}
		r := newRig(t, activity.Config{}, map[string]function{"one": func(c *call) error {
			if err := outcomes[c.Task.Step]; err != context.DeadlineExceeded {
				return err
			}
			<-c.Done()
			return c.Err()
		}})
		for step := range outcomes {
			task := run(msg.StepNumber(step), "one")
			task.Task.Attempt, task.Task.Timeout = uint32(step), time.Second
			task.Task.Attempt++
			r.ask(task)
		}
		running := r.Stats()
		time.Sleep(time.Second)
		synctest.Wait()
		want := activity.Stats{Running: 1, Activities: []activity.ActivityStats{{Name: "one", Running: 1, Succeeded: 1, Failed: 2, Retried: 3}, {}}}
		if !reflect.DeepEqual(running, want) {
			t.Errorf("got %+v, want %+v", running, want)
		}
		if got := r.Stats().Activities[0]; got.TimedOut != 1 || got.Running != 0 {
			t.Errorf("got %+v, want one that has lost its time", got)
		}
		r.end()
	})
}
