package msg

import (
	"bytes"
	"encoding/hex"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Goldens are bytes that this project has written at some time. Every later
// version must read them as the same records and write the same bytes. They are
// never edited: -update only adds files that are missing.

var update = flag.Bool("update", false, "add goldens that are missing")

type goldenRecord struct {
	name   string
	record *Record
}

func goldenRecords() []goldenRecord {
	account := Ref{Kind: "account", Key: "alice"}
	answer := Answer{
		Invocation: InvocationID{0, 17, 15: 9}, Status: StatusCompleted, Payload: Payload{Body: []byte("150")},
		Session: SessionID{1, 15: 2}, SessionNumber: 3,
	}
	return []goldenRecord{
		{"empty", &Record{}},
		{"step-root", &Record{
			Kind: RecordStep, Partition: 17, Index: 1, Time: 1_760_000_000_000_000_001, Instance: account,
			Changes: []Change{{Kind: ChangeRoot, Value: []byte(`{"Balance":150}`), StateVersion: 1}},
			Answers: []Answer{answer},
		}},
		{"step-patch", &Record{
			Kind: RecordStep, Partition: 17, Index: 2, Time: 1_760_000_000_000_000_002, Instance: account,
			Changes: []Change{{Kind: ChangePatch, Value: []byte("200"), StateVersion: 1, Base: 1, Offset: 11, Remove: 3}},
			Answers: []Answer{answer},
		}},
		{"step-sub-state", goldenSubState(account)},
		{"step-messages", goldenMessages(account)},
		{"step-reminders", goldenReminders(account)},
		{"step-failed", goldenFailed(account)},
		{"step-unhandled", goldenUnhandled()},
		{"accept", &Record{
			Kind: RecordAccept, Partition: 17, Index: 7, Time: 1_760_000_000_000_000_007,
			Accepted: &Message{Kind: MessageSend, Target: account, Handler: "deposit", Payload: Payload{Body: []byte("1")},
				NotBefore: 1_760_000_100_000_000_000, Identity: Identity{IdempotencyKey: "key-1"}, Invocation: InvocationID{0, 17, 15: 8}},
		}},
		{"ack", &Record{Kind: RecordAck, Partition: 17, Index: 8, Time: 1_760_000_000_000_000_008, Acked: []MessageID{
			{17, 3, 500}, {17, 3, 501}, {17, 3, 502}, {17, 3, 499}, {17, 3, 1 << 40}, {17, 4, 1}, {17, 3, 503}, {17, 0, 0},
		}}},
		{"attempt", &Record{Kind: RecordAttempt, Partition: 17, Index: 9, Time: 1_760_000_000_000_000_009,
			Attempts: []AttemptCount{{Input: Fingerprint{1, 15: 1}, Count: 2}, {Input: Fingerprint{2, 15: 2}}}}},
		{"workflow-begun", goldenWorkflow()},
		{"workflow-step", goldenWorkflowStep()},
		{"task", goldenTask()},
		{"task-of-entity", &Record{Kind: RecordStep, Partition: 17, Index: 15, Time: 1_760_000_000_000_000_015, Instance: account,
			Consumed: []MessageID{{3, 17, 45}}, Tasks: []Task{{Run: 15, Step: 1, Activity: "score", Handler: "scored", Attempt: 1}}}},
		{"tombstone", &Record{Kind: RecordStep, Partition: 17, Index: 16, Time: 1_760_000_000_000_000_016, Instance: Ref{Kind: "order", Key: "o-1"},
			Changes:  []Change{{Kind: ChangeClear, Field: JournalField}},
			Workflow: &Workflow{Run: 10, Status: WorkflowCompleted, Input: Fingerprint{1}, EndedAt: 1_760_000_000_000_000_010, Tombstone: true}}},
		{"locks", goldenLocks(account)},
		{"prepared", goldenPrepared(account)},
		{"kinds-workflow", &Record{Kind: RecordKinds, Partition: 0, Index: 3, Time: 5,
			Kinds: []KindRule{{Kind: "transfer", HashKind: 1, Partition: 64, Form: FormWorkflow}}}},
		{"kinds-machine", &Record{Kind: RecordKinds, Partition: 0, Index: 4, Time: 5,
			Kinds: []KindRule{{Kind: "broker", HashKind: 1, Partition: 64, Form: FormMachine}}}},
		{"kinds", &Record{Kind: RecordKinds, Partition: 65535, Index: 1 << 40, Time: -1, Epoch: 12, CodeVersion: "v1.2.3", Pruned: 9,
			Kinds: []KindRule{{Kind: "account", HashKind: 1, Partition: 64}, {Kind: "order", Affinity: "customer", HashKind: 1, Partition: 64}}}},
	}
}

func goldenSubState(account Ref) *Record {
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 3, Time: 1_760_000_000_000_000_003, Instance: account,
		Changes: []Change{
			{Kind: ChangeClear, Field: "Old"},
			{Kind: ChangePut, Field: "Cards", Key: "4711", Value: bytes.Repeat([]byte("x"), 300)},
			{Kind: ChangeRemove, Field: "Cards", Key: "0815"},
			{Kind: ChangeAppend, Field: "History", Value: []byte("17")},
			{Kind: ChangeRoot, Value: []byte{0xff, 0}, ContentType: "application/octet-stream", StateVersion: 2},
			{Kind: ChangeDelete},
		},
	}
}

func goldenMessages(account Ref) *Record {
	bob := Ref{Namespace: "n", Kind: "account", Key: "bob/Ж"}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 4, Time: 1_760_000_000_000_000_004, Instance: account,
		Consumed: []MessageID{{3, 17, 41}}, Finished: []Index{7, 9}, Acked: []MessageID{{17, 3, 88}},
		Outbox: []*Message{
			{ID: MessageID{17, 5, 77}, Kind: MessageCall, Sender: account, Target: bob, Handler: "deposit",
				Payload: Payload{ContentType: "text/plain", Body: []byte("10")}, Headers: []Header{{"a", "1"}, {"b", ""}},
				Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Deadline: 1_760_000_030_000_000_000,
				ReplyTo: ReplyTo{Origin: 17, Invocation: InvocationID{0, 17, 15: 1}}, Invocation: InvocationID{0, 17, 15: 2}},
			{ID: MessageID{17, 6, 78}, Kind: MessageReply, Target: Ref{Kind: "order", Key: "1"}, Invocation: InvocationID{0, 6, 15: 3},
				Err: &Error{Code: "insufficient_funds", Class: ClassConflict, Message: "balance is 3", Detail: []byte(`{"balance":3}`)}},
		},
	}
}

func goldenWorkflow() *Record {
	order := Ref{Kind: "order", Key: "o-1"}
	caller := ReplyTo{Origin: 17, Target: Ref{Kind: "batch", Key: "b"}, Run: 4, Step: 2}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 10, Time: 1_760_000_000_000_000_010, Instance: order,
		Consumed: []MessageID{{17, 17, 42}},
		Workflow: &Workflow{
			Run: 10, Status: WorkflowRunning, Input: Fingerprint{5, 15: 5}, CodeVersion: "v1",
			Begin:     []Delivery{{Kind: DeliveryStart, Payload: Payload{Body: []byte(`{"Cents":5}`)}}, {Kind: DeliverySignal, Name: "address", Payload: Payload{Body: []byte(`"here"`)}}},
			Callers:   []ReplyTo{caller, {Origin: 17, Invocation: InvocationID{0, 17, 15: 7}}},
			StartedAt: 1_760_000_000_000_000_010,
		},
	}
}

func goldenWorkflowStep() *Record {
	order := Ref{Kind: "order", Key: "o-1"}
	entry := Entry{
		Time:       1_760_000_000_000_000_011,
		Deliveries: []Delivery{{Kind: DeliveryOutcome, Step: 1, Err: &Error{Code: "declined", Class: ClassDenied}}, {Kind: DeliveryCancel}},
		Steps: []Step{
			{Kind: StepActivity, Name: "refund", Hash: Fingerprint{6, 15: 6}},
			{Kind: StepLocal, Name: "rate", Hash: Fingerprint{7, 15: 7}, Output: Payload{Body: []byte("1.5")}},
			{Kind: StepLocal, Name: "look", Err: &Error{Code: CodeFailed, Message: "no"}},
		},
	}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 11, Time: 1_760_000_000_000_000_011, Instance: order,
		Changes: []Change{{Kind: ChangeAppend, Field: JournalField, Value: AppendEntry(nil, &entry)}},
		Workflow: &Workflow{
			Run: 10, Status: WorkflowFailed, Paused: true, Cancelling: true, Promises: []StepNumber{3, 300},
			StartedAt: 1_760_000_000_000_000_010, EndedAt: 1_760_000_000_000_000_011, Output: Payload{Body: []byte("1")},
			Err: &Error{Code: "declined", Class: ClassDenied},
		},
		TasksEnded: []TaskName{{10, 1}, {}},
	}
}

func goldenLocks(account Ref) *Record {
	holder := Holder{Workflow: Ref{Kind: "transfer", Key: "t-1"}, Run: 10}
	keys := []LockKey{{Ref: account}, {Ref: Ref{Kind: "account", Key: "bob"}, Shared: true}, {}}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 13, Time: 1_760_000_000_000_000_013, Instance: account,
		Consumed: []MessageID{{3, 17, 44}},
		Locks:    []LockChange{{Holder: holder, Shared: true}, {Holder: holder, Released: true}, {}},
		Outbox: []*Message{{ID: MessageID{17, 5, 90}, Kind: MessageLockRequest, Target: keys[1].Ref, Hold: holder,
			Chain: []Holder{{Workflow: Ref{Kind: "batch", Key: "b"}, Run: 4}, {}}, Keys: keys, Invocation: InvocationID{0, 5, 15: 9}}},
		Workflow: &Workflow{Run: 10, Status: WorkflowRunning, Locks: keys, Chain: []Holder{holder}, Hold: Holder{Workflow: account, Run: 1 << 40}},
	}
}

func goldenPrepared(account Ref) *Record {
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 14, Time: 1_760_000_000_000_000_014, Instance: account,
		Prepared: &Prepared{
			Event:   InvocationID{0, 17, 15: 5},
			Changes: []Change{{Kind: ChangeRoot, Value: []byte(`{"Balance":1}`), StateVersion: 1}},
			Sends:   []*Message{{ID: MessageID{Source: 17, Destination: 4}, Kind: MessageSend, Target: account, Handler: "note"}},
			Remind:  []Reminder{{Name: "once", Handler: "interest", Due: 1_760_000_060_000_000_000}},
			Forget:  []string{"monthly"},
			Tasks:   []Task{{Run: 14, Step: 1, Activity: "mail", Silent: true}},
		},
		Decided: InvocationID{0, 17, 15: 4},
	}
}

func goldenTask() *Record {
	return &Record{
		Kind: RecordAttempt, Partition: 17, Index: 12, Time: 1_760_000_000_000_000_012, Instance: Ref{Kind: "order", Key: "o-1"},
		Tasks: []Task{{
			Run: 10, Step: 2, Activity: "refund", Input: Payload{Body: []byte(`"p-1"`)}, Headers: []Header{{"a", "1"}}, Traceparent: "00-1-2-01",
			Timeout: time.Second, Deadline: 1_760_000_060_000_000_000, Heartbeat: time.Minute,
			Retry:   Retry{First: time.Second, Max: time.Minute, FactorPercent: 200, Attempts: 5, Never: []string{"declined", ""}},
			Attempt: 2, Due: 1_760_000_001_000_000_012, Asked: 1_760_000_000_000_000_011, Detail: Payload{Body: []byte("50")},
			Err: &Error{Code: CodeFailed, Message: "timeout"}, Silent: true,
		}},
	}
}

func goldenReminders(account Ref) *Record {
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 5, Time: 1_760_000_000_000_000_005, Instance: account,
		Remind: []Reminder{
			{Name: "once", Handler: "interest", Due: 1_760_000_060_000_000_000, Payload: Payload{Body: []byte("{}")}},
			{Name: "often", Handler: "interest", Due: 1_760_000_060_000_000_000, Schedule: Schedule{Every: time.Minute}},
			{Name: "daily", Handler: "interest", Due: 1_760_000_060_000_000_000, Schedule: Schedule{Cron: "0 3 * * *"}},
		},
		Forget: []string{"monthly", ""},
	}
}

func goldenFailed(account Ref) *Record {
	message := Message{Kind: MessageTimer, Target: account, Handler: "interest", Reminder: "daily", Invocation: InvocationID{0, 17, 15: 4}}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 6, Time: 1_760_000_000_000_000_006, Instance: account,
		Answers: []Answer{{
			Invocation: InvocationID{0, 17, 15: 4}, Status: StatusFailed, Err: &Error{Code: CodePanic, Message: "index out of range"},
			Idempotency: Fingerprint{3, 15: 3}, Body: Fingerprint{4, 15: 4}, Submitted: true,
		}},
		DeadLetters: []DeadLetter{{ID: InvocationID{0, 17, 15: 5}, Message: message, Reason: "panicked 5 times", Time: 1_760_000_000_000_000_006}},
		Discarded:   []InvocationID{{0, 17, 15: 6}, {}},
	}
}

func goldenUnhandled() *Record {
	broker := Ref{Kind: "broker", Key: "b-1"}
	message := Message{ID: MessageID{3, 17, 9}, Kind: MessageSend, Target: broker, Handler: "late", Invocation: InvocationID{0, 17, 15: 7}}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 10, Time: 1_760_000_000_000_000_010, Instance: broker,
		Consumed: []MessageID{{3, 17, 9}},
		DeadLetters: []DeadLetter{{ID: InvocationID{0, 17, 15: 7}, Message: message, Reason: "idle does not handle late",
			Time: 1_760_000_000_000_000_010, State: Payload{Body: []byte(`{"stack":["idle"],"data":{}}`)}}},
	}
}

func TestGoldens(t *testing.T) {
	known := map[string]bool{}
	for _, c := range goldenRecords() {
		path := filepath.Join("testdata", "record", c.name+".hex")
		known[path] = true
		got := AppendRecord(nil, c.record)
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) && *update {
			if err := os.WriteFile(path, hexLines(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%v (run with -update to add it)", err)
		}
		want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the encoding has changed\ngot\n%swant\n%s", c.name, hexLines(got), text)
		}
		if decoded, err := DecodeRecord(want); err != nil || !reflect.DeepEqual(decoded, c.record) {
			t.Errorf("%s: got %+v, error %v, want %+v", c.name, decoded, err, c.record)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "record", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if !known[path] {
			t.Errorf("%s has no case: goldens are kept", path)
		}
	}
}

// hexLines writes 32 bytes a line.
func hexLines(b []byte) []byte {
	var text bytes.Buffer
	for ; len(b) > 32; b = b[32:] {
		text.WriteString(hex.EncodeToString(b[:32]) + "\n")
	}
	text.WriteString(hex.EncodeToString(b) + "\n")
	return text.Bytes()
}

// TestSchemaNamesEveryNumber compares the enums of the schema with the
// constants in msg.go: RecordStep is RECORD_STEP, with the same number. A value
// …_UNSPECIFIED stands for 0 where Go has no constant.
func TestSchemaNamesEveryNumber(t *testing.T) {
	constants := constantsOf(t, "msg.go")
	maps.Copy(constants, constantsOf(t, "workflow.go"))
	enums := readSchema(t).Enums()
	for i := range enums.Len() {
		enum := enums.Get(i)
		got := map[string]int{}
		for j := range enum.Values().Len() {
			value := enum.Values().Get(j)
			if !strings.HasSuffix(string(value.Name()), "_UNSPECIFIED") {
				got[string(value.Name())] = int(value.Number())
			}
		}
		if want := constants[enum.Name()]; len(want) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("enum %s: got %v, want %v", enum.Name(), got, want)
		}
	}
}

// constantsOf finds the constants of each type that are declared with iota.
func constantsOf(t *testing.T, path string) map[protoreflect.Name]map[string]int {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[protoreflect.Name]map[string]int{}
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		first := group.Specs[0].(*ast.ValueSpec)
		typeName, ok := first.Type.(*ast.Ident)
		if !ok || len(first.Values) != 1 {
			continue
		}
		offset := 0
		if _, ok := first.Values[0].(*ast.BinaryExpr); ok { // iota + 1
			offset = 1
		}
		numbers := map[string]int{}
		for i, spec := range group.Specs {
			numbers[strings.ToUpper(snake(spec.(*ast.ValueSpec).Names[0].Name))] = i + offset
		}
		found[protoreflect.Name(typeName.Name)] = numbers
	}
	return found
}
