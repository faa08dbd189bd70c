package cli

import (
	"encoding/json"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// TestRecordsAreShown: a record with everything in it, and one with nothing.
func TestRecordsAreShown(t *testing.T) {
	message := &msg.Message{
		ID: msg.MessageID{Source: 2, Destination: 5, Number: 17}, Kind: msg.MessageSend, Sender: alice, Target: msg.Ref{Kind: "account", Key: "bob"},
		Handler: "deposit", Payload: payload("5"), Headers: []msg.Header{{Name: "tenant", Value: "blue"}}, Deadline: 1e9, NotBefore: 2e9,
		ReplyTo: msg.ReplyTo{Origin: 3, Invocation: anID}, Invocation: anID, Reminder: "tick",
		Identity: msg.Identity{IdempotencyKey: "k"}, Err: &msg.Error{Code: "broke", Message: "no", Detail: []byte("\xff")},
	}
	full := &msg.Record{
		Kind: msg.RecordStep, Partition: 2, Index: 9, Time: 1e9, Instance: alice,
		Consumed: []msg.MessageID{{Source: 1, Destination: 2, Number: 3}}, Accepted: message, Finished: []msg.Index{4},
		Changes: []msg.Change{
			{Kind: msg.ChangeRoot, Value: []byte(`{"b":1}`), StateVersion: 1}, {Kind: msg.ChangePatch, Value: []byte("\x01"), Base: 3, Offset: 4, Remove: 5},
			{Kind: msg.ChangePut, Field: "f", Key: "k", Value: []byte("2")}, {Kind: 99},
		},
		Outbox: []*msg.Message{{Kind: msg.MessageTimer}}, Acked: []msg.MessageID{{Source: 2, Destination: 1, Number: 8}},
		Remind: []msg.Reminder{{Name: "r", Handler: "h", Due: 1e9, Schedule: msg.Schedule{Every: 1e9}}}, Forget: []string{"x"},
		Answers: []msg.Answer{{Invocation: anID, Status: msg.StatusCompleted, Payload: payload("1"),
			Session: msg.SessionID{1}, SessionNumber: 7, Idempotency: msg.Fingerprint{2}, Submitted: true}},
		DeadLetters: []msg.DeadLetter{{ID: anID, Message: msg.Message{Kind: msg.MessageCall}, Reason: "gave up", Time: 1e9,
			State: msg.Payload{Body: []byte(`{"stack":[]}`)}}},
		Discarded: []msg.InvocationID{anID}, Attempts: []msg.AttemptCount{{Input: msg.Fingerprint{3}, Count: 2}},
		Pruned: 6, Kinds: []msg.KindRule{{Kind: "account", Affinity: "a", HashKind: 1, Partition: 64}}, Epoch: 4, CodeVersion: "v1",
	}
	const bigID, second = "00030000000000070000000000000009", "1970-01-01T00:00:01Z"
	for _, c := range []struct {
		record *msg.Record
		want   string
	}{
		{&msg.Record{Kind: msg.RecordEpoch, Index: 1, Epoch: 3}, `{"frame":7,"position":11,"kind":"epoch","partition":0,"index":1,"epoch":3}`},
		{full, `{"frame":7,"position":11,"kind":"step","partition":2,"index":9,"time":"` + second + `","instance":{"kind":"account","key":"alice"},` +
			`"consumed":["1\u003e2#3"],"accepted":{"id":"2\u003e5#17","kind":"send","sender":{"kind":"account","key":"alice"},` +
			`"target":{"kind":"account","key":"bob"},"handler":"deposit","payload":5,"headers":[{"name":"tenant","value":"blue"}],` +
			`"deadline":"` + second + `","not_before":"1970-01-01T00:00:02Z","reply_to":"3:` + bigID + `",` +
			`"error":{"code":"broke","message":"no","detail":{"base64":"/w=="}},"idempotency_key":"k","invocation":"` + bigID + `","reminder":"tick"},` +
			`"finished":[4],"changes":[{"kind":"root","value":{"b":1},"state_version":1},{"kind":"patch","value":{"base64":"AQ=="},"base":3,"offset":4,"remove":5},` +
			`{"kind":"put","field":"f","key":"k","value":2},{"kind":"99"}],"outbox":[{"kind":"timer"}],"acked":["2\u003e1#8"],` +
			`"remind":[{"name":"r","handler":"h","due":"` + second + `","every":"1s"}],"forget":["x"],` +
			`"answers":[{"invocation":"` + bigID + `","status":"completed","payload":1,"session":"01000000000000000000000000000000-7",` +
			`"idempotency":"02000000000000000000000000000000","submitted":true}],` +
			`"dead_letters":[{"id":"` + bigID + `","message":{"kind":"call"},"reason":"gave up","time":"` + second + `","state":{"stack":[]}}],"discarded":["` + bigID + `"],` +
			`"attempts":[{"input":"03000000000000000000000000000000","count":2}],"pruned":6,` +
			`"kinds":[{"kind":"account","affinity":"a","hash_kind":1,"partitions":64}],"epoch":4,"code_version":"v1"}`},
	} {
		got, err := json.Marshal(lineOf(&host.Frame{Number: 7}, 11, c.record))
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
		}
	}
}

// TestRecordsOfWorkflowsAreShown: what they say of workflows, activities, locks and
// events, and entries of journals as what they are.
func TestRecordsOfWorkflowsAreShown(t *testing.T) {
	const bigID, second = "00030000000000070000000000000009", "1970-01-01T00:00:01Z"
	holder := msg.Holder{Workflow: msg.Ref{Kind: "transfer", Key: "7"}, Run: 12}
	entry := msg.Entry{Time: 1e9, Deliveries: []msg.Delivery{{Kind: msg.DeliveryStart, Payload: payload("5")}},
		Steps: []msg.Step{{Kind: msg.StepCall, Name: "withdraw of account/alice", Hash: msg.Fingerprint{1}}}}
	flow := &msg.Record{
		Kind: msg.RecordStep, Index: 13, Instance: holder.Workflow,
		Changes: []msg.Change{{Kind: msg.ChangeAppend, Field: msg.JournalField, Value: msg.AppendEntry(nil, &entry)}},
		Outbox: []*msg.Message{{Kind: msg.MessageLockRequest, Hold: holder, Chain: []msg.Holder{holder}, Keys: []msg.LockKey{{Ref: alice, Shared: true}},
			ReplyTo: msg.ReplyTo{Target: holder.Workflow, Run: 12, Step: 3}}},
		Workflow: &msg.Workflow{Run: 12, Status: msg.WorkflowRunning, Paused: true, Cancelling: true, Promises: []msg.StepNumber{4},
			Callers: []msg.ReplyTo{{Origin: 3, Invocation: anID}}, Locks: []msg.LockKey{{Ref: alice}}, Hold: holder},
		Tasks:      []msg.Task{{Run: 12, Step: 2, Activity: "mail", Input: payload("1"), Attempt: 1, Err: &msg.Error{Code: "busy"}, Handler: "mailed"}},
		TasksEnded: []msg.TaskName{{Run: 12, Step: 1}},
		Locks:      []msg.LockChange{{Holder: holder, Released: true}},
		Prepared:   &msg.Prepared{Event: anID, Changes: []msg.Change{{Kind: msg.ChangeRoot, Value: []byte("1")}}, Forget: []string{"x"}},
		Decided:    anID,
	}
	want := `{"frame":7,"position":11,"kind":"step","partition":0,"index":13,"instance":{"kind":"transfer","key":"7"},` +
		`"changes":[{"kind":"journal","entry":{"time":"` + second + `","deliveries":[{"kind":"start","payload":5}],"steps":[{"kind":"call","name":"withdraw of account/alice"}]}}],` +
		`"outbox":[{"kind":"lock_request","reply_to":"transfer/7 12/3","hold":"transfer/7#12","chain":["transfer/7#12"],"keys":[{"kind":"account","key":"alice","shared":true}]}],` +
		`"workflow":{"run":12,"status":"running","paused":true,"cancelling":true,"callers":["3:` + bigID + `"],"promises":["step 4"],` +
		`"locks":[{"kind":"account","key":"alice"}],"hold":"transfer/7#12"},` +
		`"tasks":[{"task":"12/2","activity":"mail","input":1,"attempt":1,"error":{"code":"busy"},"handler":"mailed"}],"tasks_ended":["12/1"],` +
		`"locks":[{"holder":"transfer/7#12","released":true}],` +
		`"prepared":{"event":"` + bigID + `","changes":[{"kind":"root","value":1}],"forget":["x"]},"decided":"` + bigID + `"}`
	got, err := json.Marshal(lineOf(&host.Frame{Number: 7}, 11, flow))
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
