package ingress_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: workflows are admitted, routed and asked as such, in process as over
// HTTP. Method: partitions and doors that remember what they are told.

var (
	seven    = msg.Ref{Kind: "transfer", Key: "7"}
	aPromise = msg.PromiseID{Target: seven, Run: 12, Step: 3}
)

func startOf(change ...func(*msg.Request)) *msg.Request {
	r := &msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeWorkflow, Target: seven, Handler: msg.HandlerRun}
	for _, f := range change {
		f(r)
	}
	return r
}

func TestWorkflowsThatCannotBeAreRefused(t *testing.T) {
	of := func(o msg.Operation, mode msg.Mode, kind, handler string) *msg.Request {
		return &msg.Request{Operation: o, Mode: mode, Target: msg.Ref{Kind: kind, Key: "7"}, Handler: handler, Limit: 1}
	}
	key := func(key string) *msg.Request { return startOf(func(r *msg.Request) { r.Target.Key = key }) }
	for _, c := range []struct {
		name     string
		request  *msg.Request
		code     string
		mentions []string
	}{
		{"an unknown workflow, naming those that exist", of(msg.OperationSubmit, msg.ModeWorkflow, "transfr", "run"), msg.CodeNotFound, []string{`workflow "transfr"`, "transfer, watch"}},
		{"a description of an unknown workflow", of(msg.OperationDescribe, 0, "x", ""), msg.CodeNotFound, []string{`workflow "x"`, "transfer, watch"}},
		{"a list of an unknown workflow", of(msg.OperationList, msg.ModeWorkflow, "x", ""), msg.CodeNotFound, []string{`workflow "x"`, "transfer, watch"}},
		{"an unknown signal, naming those that exist", of(msg.OperationSubmit, msg.ModeSignal, "transfer", "x"), msg.CodeNotFound, []string{`signal "x"`, "signals: approve"}},
		{"a query as a signal", of(msg.OperationSubmit, msg.ModeSignal, "transfer", "progress"), msg.CodeNotFound, []string{`signal "progress"`, "signals: approve"}},
		{"the function as a signal", of(msg.OperationSubmit, msg.ModeSignal, "transfer", msg.HandlerRun), msg.CodeNotFound, []string{`signal "run"`}},
		{"an unknown query, naming those that exist", of(msg.OperationCall, msg.ModeQuery, "transfer", "x"), msg.CodeNotFound, []string{`query "x"`, "queries: progress"}},
		{"the function as a query", of(msg.OperationCall, msg.ModeQuery, "transfer", msg.HandlerRun), msg.CodeNotFound, []string{`query "run"`}},
		{"a query of a workflow that has none", of(msg.OperationCall, msg.ModeQuery, "watch", "x"), msg.CodeNotFound, []string{"queries: none"}},
		{"a workflow without a function", of(msg.OperationSubmit, msg.ModeWorkflow, "watch", msg.HandlerRun), msg.CodeNotFound, []string{"watch", "no function"}},
		{"a start of an entity", of(msg.OperationSubmit, msg.ModeWorkflow, "account", "deposit"), msg.CodeNotFound, []string{"account", "no workflow", "/v1/entities/account"}},
		{"a description of an entity", of(msg.OperationDescribe, 0, "account", ""), msg.CodeNotFound, []string{"/v1/entities/account"}},
		{"runs of an entity", of(msg.OperationList, msg.ModeWorkflow, "account", ""), msg.CodeNotFound, []string{"/v1/entities/account"}},
		{"resuming an entity as a workflow", of(msg.OperationResume, msg.ModeWorkflow, "account", ""), msg.CodeNotFound, []string{"/v1/entities/account"}},
		{"a call of a workflow as an entity", of(msg.OperationCall, 0, "transfer", msg.HandlerRun), msg.CodeNotFound, []string{"transfer", "is a workflow", "/v1/workflows/transfer"}},
		{"a submission to a workflow as an entity", of(msg.OperationSubmit, 0, "transfer", "approve"), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"a peek at a workflow", of(msg.OperationPeek, 0, "transfer", "progress"), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"an inspection of a workflow", of(msg.OperationInspect, 0, "transfer", ""), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"whether a workflow exists", of(msg.OperationExists, 0, "transfer", ""), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"deleting a workflow", of(msg.OperationDelete, 0, "transfer", ""), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"reminders of a workflow", of(msg.OperationReminders, 0, "transfer", ""), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"keys of a workflow", of(msg.OperationList, 0, "transfer", ""), msg.CodeNotFound, []string{"/v1/workflows/transfer"}},
		{"an unknown kind, naming no workflow", of(msg.OperationCall, 0, "x", "h"), msg.CodeNotFound, []string{"kinds: account, cart, light, mute"}},
		{"no id", key(""), msg.CodeInvalidArgument, []string{"the id of a workflow is a key", "empty"}},
		{"the id ..", key(".."), msg.CodeInvalidArgument, []string{"the id of a workflow is a key", `".."`}},
		{"an overlong id", key(strings.Repeat("k", msg.KeyBytesMax+1)), msg.CodeInvalidArgument, []string{"1025", "1024"}},
		{"an input that is too large", startOf(func(r *msg.Request) { r.Payload.Body = make([]byte, 1001) }), msg.CodePayloadTooLarge, []string{"1001", "1000"}},
		{"a result of a promise that is too large", &msg.Request{Operation: msg.OperationResolve, Target: seven, Promise: aPromise, Payload: msg.Payload{Body: make([]byte, 1001)}},
			msg.CodePayloadTooLarge, []string{"1001", "1000"}},
		{"a start that is too far away", startOf(func(r *msg.Request) { r.NotBefore = msg.TimeOf(time.Now().Add(101 * 365 * 24 * time.Hour)) }), msg.CodeInvalidArgument, []string{"100 years"}},
		{"resuming an unknown workflow", of(msg.OperationResume, msg.ModeWorkflow, "x", ""), msg.CodeNotFound, []string{`workflow "x"`, "transfer, watch"}},
		{"a list of nothing", &msg.Request{Operation: msg.OperationList, Mode: msg.ModeWorkflow, Target: seven}, msg.CodeInvalidArgument, []string{"limit"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := now(msg.Reply{})
			err := openIngress(p).Do(t.Context(), c.request).Err
			if err == nil || err.Code != c.code {
				t.Fatalf("got %v, want code %s", err, c.code)
			}
			for _, want := range c.mentions {
				if !strings.Contains(err.Message, want) {
					t.Errorf("%q does not mention %s", err.Message, want)
				}
			}
			if told := p.commands(); len(told) != 0 {
				t.Errorf("a partition was told %+v", told)
			}
		})
	}
}

// workflowRequests are all that a workflow can be asked, and whether that is new
// work.
var workflowRequests = []struct {
	name    string
	request msg.Request
	writes  bool
}{
	{"a start", *startOf(), true},
	{"a call of the function", *startOf(func(r *msg.Request) { r.Operation = msg.OperationCall }), true},
	{"a signal", msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeSignal, Target: seven, Handler: "approve"}, true},
	{"a signal by an alias", msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeSignal, Target: seven, Handler: "accept"}, true},
	{"a query", msg.Request{Operation: msg.OperationCall, Mode: msg.ModeQuery, Target: seven, Handler: "progress"}, false},
	{"a description", msg.Request{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven}, false},
	{"a history", msg.Request{Operation: msg.OperationHistory, Target: seven}, false},
	{"a cancellation", msg.Request{Operation: msg.OperationCancel, Target: seven}, false},
	{"an end", msg.Request{Operation: msg.OperationTerminate, Target: seven}, false},
	{"a pause", msg.Request{Operation: msg.OperationPause, Target: seven}, false},
	{"the end of a pause", msg.Request{Operation: msg.OperationResume, Mode: msg.ModeWorkflow, Target: seven}, false},
	{"taking up what is parked", msg.Request{Operation: msg.OperationResume, Target: seven}, false},
	{"skipping what is parked", msg.Request{Operation: msg.OperationSkip, Target: seven}, false},
	{"a restart", msg.Request{Operation: msg.OperationRestart, Target: seven}, true},
	{"a promise", msg.Request{Operation: msg.OperationResolve, Target: seven, Promise: aPromise}, true},
}

func TestWorkflowRequestsGoToTheirPartition(t *testing.T) {
	want := msg.PartitionOf(seven, "", partitionCount)
	for _, c := range workflowRequests {
		p := now(msg.Reply{Found: true})
		request := c.request
		if reply := openIngress(p).Do(t.Context(), &request); reply.Err != nil || !reply.Found {
			t.Errorf("%s: got %+v", c.name, reply)
		}
		if all := p.commands(); len(all) != 1 || all[0].partition != want {
			t.Errorf("%s: told %+v, want one request to partition %d", c.name, all, want)
		}
	}
}

// TestWithoutRoomWorkflowsCanBeEnded: what only looks, and what makes room, goes
// on.
func TestWithoutRoomWorkflowsCanBeEnded(t *testing.T) {
	for _, c := range workflowRequests {
		p := now(msg.Reply{Found: true})
		p.full = errFull
		request := c.request
		err := openIngress(p).Do(t.Context(), &request).Err
		if refused := err != nil && err.Code == msg.CodeResourceExhausted; refused != c.writes {
			t.Errorf("%s: got %v, want it refused: %v", c.name, err, c.writes)
		}
	}
}

// TestRunsAreMergedWithTheirKeys: how a workflow stands stays with its id.
func TestRunsAreMergedWithTheirKeys(t *testing.T) {
	keys := [partitionCount][]string{{"b", "e"}, {}, {"a", "c"}, {"d"}}
	p := &partitions{answer: func(p msg.Partition, c msg.Command) (msg.Reply, bool) {
		reply := msg.Reply{Found: true, Keys: keys[p]}
		for _, key := range keys[p] {
			reply.Workflows = append(reply.Workflows, &msg.Workflow{CodeVersion: key})
		}
		return reply, c.Request.Status == msg.WorkflowFailed && c.Request.After == "A"
	}}
	request := &msg.Request{Operation: msg.OperationList, Mode: msg.ModeWorkflow, Target: seven, After: "A", Limit: 4, Status: msg.WorkflowFailed}
	reply := openIngress(p).Do(t.Context(), request)
	if want := []string{"a", "b", "c", "d"}; !reflect.DeepEqual(reply.Keys, want) || len(reply.Workflows) != len(want) {
		t.Fatalf("got %v and %d workflows, want %v", reply.Keys, len(reply.Workflows), want)
	}
	for n, key := range reply.Keys {
		if got := reply.Workflows[n].CodeVersion; got != key {
			t.Errorf("run %s has the workflow of %s", key, got)
		}
	}
}

func TestConflictPoliciesAndStatusesByName(t *testing.T) {
	for name, want := range map[string]msg.ConflictPolicy{"": msg.ConflictAttach, "attach": msg.ConflictAttach, "reject": msg.ConflictReject, "replace": msg.ConflictReplace} {
		if got, err := ingress.ConflictPolicy(name); err != nil || got != want {
			t.Errorf("%q: got %d, %v", name, got, err)
		}
	}
	for name, want := range map[string]msg.WorkflowStatus{"": msg.WorkflowNone, "running": msg.WorkflowRunning, "completed": msg.WorkflowCompleted,
		"failed": msg.WorkflowFailed, "cancelled": msg.WorkflowCancelled, "terminated": msg.WorkflowTerminated} {
		if got, err := ingress.WorkflowStatus(name); err != nil || got != want {
			t.Errorf("%q: got %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"none", "Running", "x"} {
		if _, err := ingress.WorkflowStatus(name); err == nil || !strings.Contains(err.Message, "running, completed, failed, cancelled, terminated") {
			t.Errorf("%q: got %v, want the statuses that exist", name, err)
		}
		if _, err := ingress.ConflictPolicy(name); err == nil || !strings.Contains(err.Message, "attach, reject, replace") {
			t.Errorf("%q: got %v, want the policies that exist", name, err)
		}
	}
}

func TestRejections(t *testing.T) {
	for body, want := range map[string]msg.Error{
		``:                            {Code: "failed"},
		`{}`:                          {Code: "failed"},
		`{"code":"no","message":"m"}`: {Code: "no", Message: "m"},
		`{"code":"no","class":"conflict","detail":{"a": 1}}`: {Code: "no", Class: msg.ClassConflict, Detail: []byte(`{"a": 1}`)},
		`{"class":2}`:              {Code: "failed", Class: msg.ClassNotFound},
		`{"class":"unavailable"}`:  {Code: "failed", Class: msg.ClassUnavailable},
		`{"detail_base64":"AAE="}`: {Code: "failed", Detail: []byte{0, 1}},
	} {
		got, err := ingress.Rejection(msg.Payload{Body: []byte(body)})
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", body, got, err, want)
		}
	}
	for body, says := range map[string]string{
		`{"class":7}`: "want one of failed", `{"class":"bad"}`: "want one of failed", `{"class":-1}`: "want one of failed", `{"class":{}}`: "want one of failed",
		`[]`: "the body is no error", `"no"`: "the body is no error", `{"codee":"x"}`: "codee", `{"code":5}`: "the body is no error",
	} {
		if _, err := ingress.Rejection(msg.Payload{Body: []byte(body)}); err == nil || err.Code != msg.CodeInvalidArgument || !strings.Contains(err.Message, says) {
			t.Errorf("%s: got %v, want invalid_argument that says %q", body, err, says)
		}
	}
	if _, err := ingress.Rejection(msg.Payload{ContentType: "x/y"}); err == nil || !strings.Contains(err.Message, "x/y") {
		t.Errorf("an error that is no JSON: got %v", err)
	}
}

// noon is the time of every workflow of the tests.
var noon = msg.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

func running() *msg.Workflow {
	return &msg.Workflow{Run: 12, Status: msg.WorkflowRunning, StartedAt: noon}
}

func completed() *msg.Workflow {
	return &msg.Workflow{Run: 12, Status: msg.WorkflowCompleted, StartedAt: noon, EndedAt: noon + 1e9, Output: msg.Payload{Body: []byte(`"done"`)}}
}

func TestHowAWorkflowStands(t *testing.T) {
	const prefix = `{"id":"7","name":"transfer","status":`
	refused := &msg.Error{Code: "insufficient_funds", Class: msg.ClassConflict, Message: "no"}
	ended := func(status msg.WorkflowStatus, err *msg.Error) *msg.Workflow {
		return &msg.Workflow{Run: 12, Status: status, StartedAt: noon, EndedAt: noon + 1e9, Err: err, Promises: []msg.StepNumber{1}, Paused: true, Cancelling: true}
	}
	busy := running()
	busy.Paused, busy.Cancelling, busy.CodeVersion, busy.Promises = true, true, "v7", []msg.StepNumber{3, 4}
	for _, c := range []struct {
		reply msg.Reply
		want  string
	}{
		{msg.Reply{Workflow: running()}, `"running","run":12,"started_at":"2026-03-01T12:00:00Z"}`},
		{msg.Reply{Workflow: busy, Parked: []msg.Parked{{Reason: "step 3 is another", Since: noon, Waiting: 2}}},
			`"running","run":12,"code_version":"v7","started_at":"2026-03-01T12:00:00Z","paused":true,"cancelling":true,` +
				`"parked":{"reason":"step 3 is another","since":"2026-03-01T12:00:00Z","waiting":2},` +
				`"promises":[{"step":3,"id":"` + aPromise.String() + `"},{"step":4,"id":"` + msg.PromiseID{Target: seven, Run: 12, Step: 4}.String() + `"}]}`},
		{msg.Reply{Workflow: completed()}, `"completed","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z","result":"done"}`},
		{msg.Reply{Workflow: ended(msg.WorkflowFailed, refused)},
			`"failed","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z","error":{"class":3,"code":"insufficient_funds","message":"no"}}`},
		{msg.Reply{Workflow: ended(msg.WorkflowCancelled, &msg.Error{Code: msg.CodeCancelled, Class: msg.ClassConflict})},
			`"cancelled","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z","error":{"class":3,"code":"cancelled","message":""}}`},
		{msg.Reply{Workflow: &msg.Workflow{Run: 12, Status: msg.WorkflowCompleted, StartedAt: noon, EndedAt: noon + 1e9, Tombstone: true}},
			`"completed","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z","tombstone":true}`},
		{msg.Reply{Workflow: ended(msg.WorkflowTerminated, nil)}, `"terminated","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z"}`},
	} {
		if got := string(ingress.AppendWorkflow(nil, seven, &c.reply)); got != prefix+c.want {
			t.Errorf("got\n%s, want\n%s", got, prefix+c.want)
		}
	}
}

// journal is a snapshot of a workflow that was told and asked for everything.
func journal(entries ...msg.Entry) *msg.Snapshot {
	var items []string
	for i := range entries {
		items = append(items, string(msg.AppendEntry(nil, &entries[i])))
	}
	return &msg.Snapshot{Fields: fields{names: []string{msg.JournalField}, lists: map[string][]string{msg.JournalField: items}}}
}

func payload(body string) msg.Payload { return msg.Payload{Body: []byte(body)} }

// TestHistoriesShowOutcomesAtTheirSteps, numbered through the run.
func TestHistoriesShowOutcomesAtTheirSteps(t *testing.T) {
	state := journal(
		msg.Entry{Time: noon, Deliveries: []msg.Delivery{{Kind: msg.DeliveryStart, Payload: payload("5")}}, Steps: []msg.Step{
			{Kind: msg.StepActivity, Name: "charge"}, {Kind: msg.StepLocal, Name: "price", Output: payload("9")}, {Kind: msg.StepPromise},
		}},
		msg.Entry{Time: noon + 1e9, Deliveries: []msg.Delivery{
			{Kind: msg.DeliverySignal, Name: "approve", Payload: payload("true")}, {Kind: msg.DeliveryCancel},
			{Kind: msg.DeliveryOutcome, Step: 1, Err: &msg.Error{Code: "declined", Class: msg.ClassDenied, Message: "no"}},
		}, Steps: []msg.Step{{Kind: msg.StepPatch, Name: "v2", Output: payload("true")}, {Kind: msg.StepTimer}}},
		msg.Entry{Time: noon + 2e9, Deliveries: []msg.Delivery{
			{Kind: msg.DeliveryOutcome, Step: 3, Payload: payload(`"yes"`)}, {Kind: msg.DeliveryOutcome, Step: 5}, {Kind: msg.DeliveryOutcome, Step: 5, Payload: payload("2")},
		}},
	)
	got, err := ingress.AppendHistory(nil, seven, &msg.Reply{Workflow: running(), State: state})
	const t0, t1, t2 = `"time":"2026-03-01T12:00:00Z"`, `"time":"2026-03-01T12:00:01Z"`, `"time":"2026-03-01T12:00:02Z"`
	want := `{"id":"7","name":"transfer","status":"running","run":12,"started_at":"2026-03-01T12:00:00Z","entries":[` +
		`{` + t0 + `,"deliveries":[{"kind":"start","payload":5}],"steps":[` +
		`{"number":1,"kind":"activity","name":"charge","outcome":{` + t1 + `,"error":{"class":4,"code":"declined","message":"no"}}},` +
		`{"number":2,"kind":"local","name":"price","outcome":{` + t0 + `,"result":9}},` +
		`{"number":3,"kind":"promise","promise":"` + aPromise.String() + `","outcome":{` + t2 + `,"result":"yes"}}]},` +
		`{` + t1 + `,"deliveries":[{"kind":"signal","name":"approve","payload":true},{"kind":"cancel"},{"kind":"outcome","step":1}],"steps":[` +
		`{"number":4,"kind":"patch","name":"v2","outcome":{` + t1 + `,"result":true}},` +
		`{"number":5,"kind":"timer","outcome":{` + t2 + `,"result":null}}]},` +
		`{` + t2 + `,"deliveries":[{"kind":"outcome","step":3},{"kind":"outcome","step":5},{"kind":"outcome","step":5}],"steps":[]}]}`
	if err != nil || string(got) != want {
		t.Errorf("got\n%s, %v, want\n%s", got, err, want)
	}
}

// TestEveryStepAndDeliveryHasAWord: whatever can be stored can be shown.
func TestEveryStepAndDeliveryHasAWord(t *testing.T) {
	kinds := 0
	for kind := uint8(1); ; kind++ {
		entry := msg.Entry{Steps: []msg.Step{{Kind: msg.StepKind(kind)}}, Deliveries: []msg.Delivery{{Kind: msg.DeliveryKind(kind)}}}
		if kind > uint8(msg.DeliveryCancel) {
			entry.Deliveries = nil
		}
		if _, err := msg.DecodeEntry(msg.AppendEntry(nil, &entry)); err != nil {
			break
		}
		got, err := ingress.AppendHistory(nil, seven, &msg.Reply{Workflow: running(), State: journal(entry)})
		if err != nil || strings.Contains(string(got), `"kind":""`) {
			t.Errorf("kind %d: got %s, %v", kind, got, err)
		}
		kinds++
	}
	if kinds < int(msg.StepFinish) {
		t.Errorf("%d kinds of steps can be stored, want at least %d", kinds, msg.StepFinish)
	}
}

func TestHistoriesThatCannotBeShown(t *testing.T) {
	damaged := &msg.Snapshot{Fields: fields{names: []string{msg.JournalField}, lists: map[string][]string{msg.JournalField: {"\xff"}}}}
	if _, err := ingress.AppendHistory(nil, seven, &msg.Reply{Workflow: running(), State: damaged}); err == nil || err.Code != msg.CodeFailed || !strings.Contains(err.Message, "entry 0") {
		t.Errorf("got %v, want that entry 0 is damaged", err)
	}
	big := msg.Entry{Deliveries: []msg.Delivery{{Kind: msg.DeliveryStart, Payload: payload(`"` + strings.Repeat("x", 8<<20) + `"`)}}}
	large := journal(big, big, big, big, big, big, big, big, big)
	if _, err := ingress.AppendHistory(nil, seven, &msg.Reply{Workflow: running(), State: large}); err == nil || err.Code != msg.CodePayloadTooLarge {
		t.Errorf("got %v, want payload_too_large", err)
	}
	got, err := ingress.AppendHistory(nil, seven, &msg.Reply{Workflow: running()})
	if err != nil || !strings.HasSuffix(string(got), `"entries":[]}`) {
		t.Errorf("a workflow without a journal: got %s, %v", got, err)
	}
}

// TestStartWithoutAnIDGetsOne: the door is asked for the same one again.
func TestStartWithoutAnIDGetsOne(t *testing.T) {
	door := &scriptedDoor{}
	door.answer = func(context.Context, *msg.Request) msg.Reply {
		if len(door.asked) == 1 {
			return msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "recovering")}
		}
		return msg.Reply{}
	}
	reply, err := ingress.NewConn(door).Invoke(t.Context(), client.Request{Operation: client.Start, Kind: "transfer"})
	id := door.asked[0].Target.Key
	if err != nil || len(door.asked) != 2 || door.asked[1].Target.Key != id || len(id) != 32 || !strings.Contains(string(reply.Body), id) {
		t.Errorf("got %s, %v from a door that was asked %+v", reply.Body, err, door.asked)
	}
}

// TestWhatChangesHasAnIdentity, unless its repeat is the same anyway.
func TestWhatChangesHasAnIdentity(t *testing.T) {
	for _, c := range []struct {
		request client.Request
		want    bool
	}{
		{client.Request{Operation: client.Start}, false},
		{client.Request{Operation: client.Start, OnConflict: "reject"}, true},
		{client.Request{Operation: client.Start, OnConflict: "replace"}, true},
		{client.Request{Operation: client.Signal, Handler: "approve"}, true},
		{client.Request{Operation: client.Query, Handler: "progress"}, false},
		{client.Request{Operation: client.Describe}, false},
		{client.Request{Operation: client.History}, false},
		{client.Request{Operation: client.Raise, Handler: "moved", OneWay: true}, true},
		{client.Request{Operation: client.Raise, Handler: "moved"}, true},
		{client.Request{Operation: client.Cancel}, true},
		{client.Request{Operation: client.Terminate}, true},
		{client.Request{Operation: client.Pause}, true},
		{client.Request{Operation: client.Resume}, true},
		{client.Request{Operation: client.Restart}, true},
		{client.Request{Operation: client.Resolve, Promise: aPromise.String()}, true},
		{client.Request{Operation: client.Reject, Promise: aPromise.String()}, true},
	} {
		door := always(msg.Reply{Found: true, Workflow: running()})
		c.request.Kind, c.request.Key = "transfer", "7"
		if _, err := ingress.NewConn(door).Invoke(t.Context(), c.request); err != nil {
			t.Fatal(err)
		}
		if got := !door.asked[0].Identity.IsZero(); got != c.want {
			t.Errorf("%s %s: identity %v, want %v", c.request.Operation, c.request.OnConflict, got, c.want)
		}
	}
}

// TestAStartThatReplacesWaitsForItsOwnRun: the end of the run before it is not
// the answer.
func TestAStartThatReplacesWaitsForItsOwnRun(t *testing.T) {
	door := &scriptedDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
		switch r.Operation {
		case msg.OperationSubmit:
			return msg.Reply{Invocation: anID}
		case msg.OperationResult:
			return msg.Reply{Status: msg.StatusFailed, Err: msg.Errorf("declined", msg.ClassDenied, "no")}
		}
		return msg.Reply{Workflow: completed()}
	}}
	start := client.Request{Operation: client.Start, Kind: "transfer", Key: "7", Wait: true, OnConflict: "replace"}
	if _, err := ingress.NewConn(door).Invoke(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	if len(door.asked) != 3 || door.asked[1].Operation != msg.OperationResult || door.asked[1].Invocation != anID || !door.asked[1].Wait || !door.asked[2].Wait {
		t.Errorf("the door was asked %+v, want the result of the start and then how the workflow stands", door.asked)
	}
	lost := &scriptedDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
		if r.Operation == msg.OperationResult {
			return msg.Reply{Err: ingress.NoInvocation(anID)}
		}
		return msg.Reply{Invocation: anID}
	}}
	if _, err := ingress.NewConn(lost).Invoke(t.Context(), start); failureOf(t, err).Code != msg.CodeNotFound {
		t.Errorf("got %v, want that the invocation is not known", err)
	}
}

// TestWaitingForAWorkflowEndsWithTheContext: the run goes on, and that it was
// begun is known.
func TestWaitingForAWorkflowEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &partitions{answer: func(_ msg.Partition, c msg.Command) (msg.Reply, bool) {
		if c.Request.Operation == msg.OperationDescribe {
			cancel()
			return msg.Reply{}, false
		}
		return msg.Reply{}, true
	}}
	_, err := ingress.NewConn(openIngress(p)).Invoke(ctx, client.Request{Operation: client.Start, Kind: "transfer", Key: "7", Wait: true})
	if failed := failureOf(t, err); !errors.Is(err, context.Canceled) || failed.Unknown {
		t.Errorf("got %v with unknown=%v, want the end of the context after a known start", err, failed.Unknown)
	}
	if all := p.commands(); all[len(all)-1].Kind != msg.CommandLeave {
		t.Errorf("told %+v, want the partition to be left", all)
	}
}
