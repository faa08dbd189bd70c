package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: workflows are started, watched, steered and completed by command.
// Method: as for entities.

var (
	seven        = msg.Ref{Kind: "transfer", Key: "7"}
	aPromise     = msg.PromiseID{Target: seven, Run: 12, Step: 3}
	aPromiseText = aPromise.String()

	runningRun   = &msg.Workflow{Run: 12, Status: msg.WorkflowRunning, StartedAt: noon}
	completedRun = &msg.Workflow{Run: 12, Status: msg.WorkflowCompleted, StartedAt: noon, EndedAt: noon + 1e9, Output: payload(`{ "n": 5 }`)}
	failedRun    = &msg.Workflow{Run: 12, Status: msg.WorkflowFailed, StartedAt: noon, EndedAt: noon + 1e9,
		Err: &msg.Error{Code: "declined", Class: msg.ClassDenied, Message: "no"}}
)

const (
	startedJSON   = `{"id":"7","name":"transfer","status":"running"}` + "\n"
	completedJSON = `{"id":"7","name":"transfer","status":"completed","run":12,"started_at":"2026-03-01T12:00:00.000000123Z",` +
		`"ended_at":"2026-03-01T12:00:01.000000123Z","result":{"n":5}}` + "\n"
)

// start7 is what the server is asked to start transfer 7.
func start7(change func(*msg.Request)) msg.Request {
	r := msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeWorkflow, Target: seven, Handler: msg.HandlerRun}
	if change != nil {
		change(&r)
	}
	return r
}

// throughout makes a start one that waits for the end.
func throughout(r *msg.Request) { r.Operation, r.Wait = msg.OperationCall, true }

// of7 is what the server is asked about transfer 7.
func of7(operation msg.Operation) msg.Request {
	return msg.Request{Operation: operation, Mode: msg.ModeWorkflow, Target: seven}
}

func TestWorkflowCommandsAskAndPrint(t *testing.T) {
	started, found := msg.Reply{}, msg.Reply{Found: true}
	busy := *runningRun
	busy.Paused, busy.Cancelling, busy.CodeVersion, busy.Promises = true, true, "v7", []msg.StepNumber{3}
	signal := msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeSignal, Target: seven, Handler: "approve", Payload: payload("true")}
	query := msg.Request{Operation: msg.OperationCall, Mode: msg.ModeQuery, Target: seven, Handler: "progress"}
	list := msg.Request{Operation: msg.OperationList, Mode: msg.ModeWorkflow, Target: msg.Ref{Kind: "transfer"}, Limit: 101}
	failedList := list
	failedList.Status, failedList.After, failedList.Limit = msg.WorkflowFailed, "6", 3
	resolve := of7(msg.OperationResolve)
	resolve.Promise, resolve.Payload = aPromise, payload("5")
	reject := of7(msg.OperationResolve)
	reject.Promise, reject.Err = aPromise, &msg.Error{Code: "no", Class: msg.ClassDenied}
	for _, c := range []struct {
		command string
		reply   msg.Reply
		asked   msg.Request
		stdout  string
	}{
		{`workflow start transfer 7 {"n":1}`, started, start7(func(r *msg.Request) { r.Payload = payload(`{"n":1}`) }), "7\n"},
		{"workflow start transfer 7 --json", started, start7(nil), startedJSON},
		{"workflow start transfer 7 --on-conflict reject --idempotency-key k --header Tenant=blue", started, start7(func(r *msg.Request) {
			r.OnConflict, r.Identity.IdempotencyKey, r.Headers = msg.ConflictReject, "k", []msg.Header{{Name: "tenant", Value: "blue"}}
		}), "7\n"},
		{"workflow start transfer 7 --wait", msg.Reply{Workflow: completedRun}, start7(throughout), "completed { \"n\": 5 }\n"},
		{"workflow start transfer 7 --wait --json", msg.Reply{Workflow: completedRun}, start7(throughout), completedJSON},
		{"workflow describe transfer 7", msg.Reply{Workflow: completedRun}, of7(msg.OperationDescribe),
			"workflow  transfer 7\nstatus    completed\nstarted   2026-03-01T12:00:00Z\nended     2026-03-01T12:00:01Z\nresult    {\"n\":5}\n"},
		{"workflow describe transfer 7", msg.Reply{Workflow: failedRun}, of7(msg.OperationDescribe),
			"workflow  transfer 7\nstatus    failed\nstarted   2026-03-01T12:00:00Z\nended     2026-03-01T12:00:01Z\nerror     declined: no\n"},
		{"workflow describe transfer 7", msg.Reply{Workflow: &busy, Parked: []msg.Parked{{Reason: "step 3 is\nanother"}}}, of7(msg.OperationDescribe),
			"workflow  transfer 7\nstatus    running, paused, asked to stop, parked\nstarted   2026-03-01T12:00:00Z\ncode      v7\n" +
				"parked    step 3 is…\npromise   " + aPromiseText + " of step 3\n"},
		{"workflow describe transfer 7 --json", msg.Reply{Workflow: completedRun}, of7(msg.OperationDescribe), completedJSON},
		{"workflow list transfer", msg.Reply{Keys: []string{"7", "a\nb"}, Workflows: []*msg.Workflow{completedRun, &busy}}, list,
			"ID      STATUS                          STARTED               ENDED\n" +
				"7       completed                       2026-03-01T12:00:00Z  2026-03-01T12:00:01Z\n" +
				"\"a\\nb\"  running, paused, asked to stop  2026-03-01T12:00:00Z  \n"},
		{"workflow list transfer --status failed --after Ng --limit 2 --json", msg.Reply{}, failedList, `{"workflows":[],"next":""}` + "\n"},
		{"workflow signal transfer 7 approve true", started, signal, ""},
		{"workflow signal transfer 7 approve true --json", started, signal, `{"id":"7","name":"transfer","sent":true,"signal":"approve"}` + "\n"},
		{"workflow query transfer 7 progress", msg.Reply{Payload: payload("0.5")}, query, "0.5\n"},
		{"workflow cancel transfer 7", found, of7(msg.OperationCancel), ""},
		{"workflow cancel transfer 7 --json", found, of7(msg.OperationCancel), `{"cancelled":true,"id":"7","name":"transfer"}` + "\n"},
		{"workflow terminate transfer 7 --json", found, of7(msg.OperationTerminate), `{"id":"7","name":"transfer","terminated":true}` + "\n"},
		{"workflow pause transfer 7 --json", found, of7(msg.OperationPause), `{"id":"7","name":"transfer","paused":true}` + "\n"},
		{"workflow resume transfer 7 --json", found, of7(msg.OperationResume), `{"id":"7","name":"transfer","resumed":true}` + "\n"},
		{"workflow restart transfer 7 --json", found, of7(msg.OperationRestart), `{"id":"7","name":"transfer","restarted":true}` + "\n"},
		{"promise resolve " + aPromiseText + " 5", found, resolve, ""},
		{"promise resolve " + aPromiseText + " 5 --json", found, resolve, `{"promise":"` + aPromiseText + `","resolved":true}` + "\n"},
		{"promise reject " + aPromiseText + ` {"code":"no","class":"denied"} --json`, found, reject, `{"promise":"` + aPromiseText + `","rejected":true}` + "\n"},
	} {
		t.Run(c.command, func(t *testing.T) {
			door := always(c.reply)
			got := runCommand(t, door, "", strings.Fields(c.command)...)
			if want := (outcome{0, c.stdout, ""}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if len(door.asked) != 1 || !reflect.DeepEqual(door.asked[0], c.asked) {
				t.Errorf("the server was asked %+v, want %+v", door.asked, c.asked)
			}
		})
	}
}

// TestStartOfANewID: the id that was made is printed.
func TestStartOfANewID(t *testing.T) {
	door := always(msg.Reply{})
	got := runCommand(t, door, "", "workflow", "start", "transfer", "", "5")
	id := door.asked[0].Target.Key
	if want := (outcome{0, id + "\n", ""}); got != want || len(id) != 32 || string(door.asked[0].Payload.Body) != "5" {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestStartIsDelayedFromNow: the server counts from when the request arrives.
func TestStartIsDelayedFromNow(t *testing.T) {
	door := always(msg.Reply{})
	before := time.Now()
	if got, want := runCommand(t, door, "", "workflow", "start", "transfer", "7", "--delay", "1h"), (outcome{0, "7\n", ""}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if at := door.asked[0].NotBefore.Std(); at.Before(before.Add(time.Hour)) || at.After(time.Now().Add(time.Hour)) {
		t.Errorf("the workflow begins at %v, want an hour from %v", at, before)
	}
}

// TestAWaitedForRunThatHasNotCompletedIsAFailure of the command; one that was
// only described is not.
func TestAWaitedForRunThatHasNotCompletedIsAFailure(t *testing.T) {
	terminated := *failedRun
	terminated.Status, terminated.Err = msg.WorkflowTerminated, nil
	for _, c := range []struct {
		command string
		run     *msg.Workflow
		want    outcome
	}{
		{"workflow start transfer 7 --wait", failedRun, outcome{1, "failed\n", "holdfast: declined: no\n"}},
		{"workflow start transfer 7 --wait", &terminated, outcome{1, "terminated\n", "holdfast: the run has not completed: it is terminated\n"}},
		{"workflow start transfer 7 --wait --json", &terminated, outcome{1, `{"id":"7","name":"transfer","status":"terminated","run":12,` +
			`"started_at":"2026-03-01T12:00:00.000000123Z","ended_at":"2026-03-01T12:00:01.000000123Z"}` + "\n",
			`{"error":{"code":"failed","message":"the run has not completed: it is terminated"}}` + "\n"}},
		{"workflow describe transfer 7 --wait", &terminated, outcome{0, "workflow  transfer 7\nstatus    terminated\n" +
			"started   2026-03-01T12:00:00Z\nended     2026-03-01T12:00:01Z\n", ""}},
	} {
		if got := runCommand(t, always(msg.Reply{Workflow: c.run}), "", strings.Fields(c.command)...); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.command, got, c.want)
		}
	}
}

// TestStartWaitsUntilTheEnd: the server is asked again while the run goes on.
func TestStartWaitsUntilTheEnd(t *testing.T) {
	door := &scriptedDoor{}
	door.answer = func(*msg.Request) msg.Reply {
		if len(door.asked) < 4 {
			return msg.Reply{Workflow: runningRun}
		}
		return msg.Reply{Workflow: completedRun}
	}
	if got, want := runCommand(t, door, "", "workflow", "start", "transfer", "7", "--wait"), (outcome{0, "completed { \"n\": 5 }\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	door.asked = nil
	got := runCommand(t, &scriptedDoor{answer: func(*msg.Request) msg.Reply { return msg.Reply{Workflow: runningRun} }}, "",
		"workflow", "describe", "transfer", "7", "--wait", "--timeout", "50ms")
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "If it is, give it more time with --timeout") {
		t.Errorf("got %+v, want exit code 1 and a hint", got)
	}
}

// TestRunsByThePage: without --all a page is printed and the next one named, with
// it every page is printed under one head.
func TestRunsByThePage(t *testing.T) {
	pages := func() *scriptedDoor {
		return &scriptedDoor{answer: func(r *msg.Request) msg.Reply {
			if r.After == "" {
				return msg.Reply{Keys: []string{"1", "2"}, Workflows: []*msg.Workflow{completedRun, completedRun}}
			}
			return msg.Reply{Keys: []string{"2"}, Workflows: []*msg.Workflow{runningRun}}
		}}
	}
	const head = "ID  STATUS     STARTED               ENDED\n1   completed  2026-03-01T12:00:00Z  2026-03-01T12:00:01Z\n"
	got := runCommand(t, pages(), "", "workflow", "list", "transfer", "--limit", "1")
	if want := (outcome{0, head, "there are more: --after \"MQ\", or --all\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = runCommand(t, pages(), "", "workflow", "list", "transfer", "--limit", "1", "--all")
	if want := (outcome{0, head + "2  running  2026-03-01T12:00:00Z  \n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = runCommand(t, pages(), "", "workflow", "list", "transfer", "--limit", "1", "--all", "--json")
	if got.code != 0 || strings.Count(got.stdout, "\n") != 2 || !strings.Contains(got.stdout, `"next":"MQ"`) {
		t.Errorf("got %+v, want two lines", got)
	}
	got = runCommand(t, always(msg.Reply{}), "", "workflow", "list", "transfer")
	if want := (outcome{0, "", "there are no such runs\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// journalOf is a state that has a journal.
type journalOf struct {
	msg.Fields
	entries []msg.Entry
}

func (j journalOf) Items(_ string, yield func(int, []byte) bool) {
	for i := range j.entries {
		if !yield(i, msg.AppendEntry(nil, &j.entries[i])) {
			return
		}
	}
}

// TestHistoryIsReadable: turn by turn, with what came of a step where the run
// was told.
func TestHistoryIsReadable(t *testing.T) {
	state := &msg.Snapshot{Fields: journalOf{entries: []msg.Entry{
		{Time: noon, Deliveries: []msg.Delivery{{Kind: msg.DeliveryStart, Payload: payload(`{ "n": 1 }`)}}, Steps: []msg.Step{
			{Kind: msg.StepLocal, Name: "price", Output: payload("9")}, {Kind: msg.StepActivity, Name: "charge"}, {Kind: msg.StepPromise},
		}},
		{Time: noon + 1e9, Deliveries: []msg.Delivery{
			{Kind: msg.DeliverySignal, Name: "approve", Payload: payload("true")},
			{Kind: msg.DeliveryOutcome, Step: 2, Err: &msg.Error{Code: "declined", Message: "no\x1b"}},
			{Kind: msg.DeliveryOutcome, Step: 3, Payload: payload(`"yes"`)}, {Kind: msg.DeliveryCancel},
		}, Steps: []msg.Step{{Kind: msg.StepTimer}}},
	}}}
	door := always(msg.Reply{Workflow: runningRun, State: state})
	got := runCommand(t, door, "", "workflow", "history", "transfer", "7")
	want := "workflow  transfer 7\nstatus    running\nstarted   2026-03-01T12:00:00Z\n" +
		"\n2026-03-01T12:00:00.000Z\n  < start {\"n\":1}\n  > #1 local price = 9\n  > #2 activity charge\n  > #3 promise " + aPromiseText + "\n" +
		"\n2026-03-01T12:00:01.000Z\n  < signal approve true\n  < outcome #2 failed: declined: no \n  < outcome #3 \"yes\"\n  < cancel\n  > #4 timer\n"
	if want := (outcome{0, want, ""}); got != want || !reflect.DeepEqual(door.asked, []msg.Request{of7(msg.OperationHistory)}) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := runCommand(t, door, "", "workflow", "history", "transfer", "7", "--json"); got.code != 0 || strings.Count(got.stdout, "\n") != 1 || !strings.Contains(got.stdout, `"entries":[{"time":`) {
		t.Errorf("got %+v, want one line of JSON", got)
	}
}

func TestErrorsOfWorkflows(t *testing.T) {
	refused := msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict, "transfer/7 has ended")}
	const says = "holdfast: conflict: transfer/7 has ended\n"
	for _, command := range []string{
		"workflow start transfer 7", "workflow start transfer 7 --wait", "workflow list transfer", "workflow describe transfer 7", "workflow history transfer 7",
		"workflow signal transfer 7 approve", "workflow query transfer 7 progress", "workflow cancel transfer 7", "workflow terminate transfer 7",
		"workflow pause transfer 7", "workflow resume transfer 7", "workflow restart transfer 7", "promise resolve " + aPromiseText, "promise reject " + aPromiseText,
	} {
		for _, flag := range []string{"", " --json"} {
			want := outcome{1, "", says}
			if flag != "" {
				want.stderr = `{"error":{"code":"conflict","message":"transfer/7 has ended"}}` + "\n"
			}
			if got := runCommand(t, always(refused), "", strings.Fields(command+flag)...); got != want {
				t.Errorf("%s%s: got %+v, want %+v", command, flag, got, want)
			}
		}
	}
	got := runCommand(t, always(msg.Reply{}), "", "workflow", "describe", "transfer", "7")
	if want := (outcome{1, "", "holdfast: not_found: there is no workflow transfer/7: it has not begun, or ended longer ago than it is kept\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestUsageErrorsOfWorkflows(t *testing.T) {
	for command, says := range map[string]string{
		"workflow":                                        "name what to do: start, list",
		"workflow dance":                                  `"dance" is not a command of holdfast workflow`,
		"workflow start transfer":                         "ID is missing",
		"workflow start transfer 7 1 2":                   `"2" is too much`,
		"workflow start transfer 7 {":                     "the input is not valid JSON",
		"workflow start transfer 7 --delay -1s":           "must not be below zero",
		"workflow start transfer 7 --on-conflict dance":   "want one of attach, reject, replace",
		"workflow start transfer 7 --header x":            "want NAME=VALUE",
		"workflow list":                                   "NAME is missing",
		"workflow list transfer --limit -1":               "must not be below zero",
		"workflow list transfer --status odd":             "want one of running, completed",
		"workflow describe transfer":                      "ID is missing",
		"workflow history transfer 7 8":                   `"8" is too much`,
		"workflow signal transfer 7":                      "SIGNAL is missing",
		"workflow signal transfer 7 approve {":            "the input is not valid JSON",
		"workflow query transfer 7":                       "QUERY is missing",
		"workflow query transfer 7 progress {":            "the input is not valid JSON",
		"workflow cancel transfer":                        "ID is missing",
		"promise":                                         "name what to do: resolve or reject",
		"promise forget x":                                `"forget" is not a command of holdfast promise`,
		"promise resolve":                                 "ID is missing",
		"promise reject x {":                              "the input is not valid JSON",
		"workflow query transfer 7 q --idempotency-key k": "unknown flag",
	} {
		door := always(msg.Reply{})
		got := runCommand(t, door, "", strings.Fields(command)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, says) || len(door.asked) > 0 {
			t.Errorf("%s: got %+v and %d requests, want exit code 2 and %q", command, got, len(door.asked), says)
		}
	}
}

// TestWhatTheShellCompletes: commands, and what flags may be.
func TestWhatTheShellCompletes(t *testing.T) {
	for typed, want := range map[string][]string{
		"workflow s":                       {"signal", "start"},
		"promise ":                         {"reject", "resolve"},
		"workflow list transfer --status ": {"running", "completed", "failed", "cancelled", "terminated"},
		"workflow start transfer 7 --on-conflict ": {"attach", "reject", "replace"},
	} {
		arguments := strings.Split("__complete "+typed, " ")
		got := runCommand(t, always(msg.Reply{}), "", arguments...)
		var words []string
		for _, offered := range strings.Split(got.stdout, "\n") {
			if word, _, _ := strings.Cut(offered, "\t"); word != "" && !strings.HasPrefix(word, ":") {
				words = append(words, word)
			}
		}
		if fmt.Sprint(words) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, want %v", typed, words, want)
		}
	}
}

// TestAnswersAboutWorkflowsOfSomebodyElse: another service at the address.
func TestAnswersAboutWorkflowsOfSomebodyElse(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[1]") }))
	defer other.Close()
	for _, command := range []string{"workflow start transfer 7", "workflow describe transfer 7", "workflow history transfer 7", "workflow list transfer"} {
		got := runAt(t, other.URL, "", strings.Fields(command)...)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "server") {
			t.Errorf("%s: got %+v, want exit code 1", command, got)
		}
	}
}
