package cli

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/server"
)

// Goal: every command asks the server for what it says, prints what people and
// scripts expect, and has the right exit code. Method: the whole command line
// runs in process against the HTTP interface in front of a scripted door.

type scriptedDoor struct {
	answer func(r *msg.Request) msg.Reply

	mu    sync.Mutex
	asked []msg.Request
}

func (d *scriptedDoor) Do(_ context.Context, r *msg.Request) msg.Reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := *r
	kept.Identity.Session, kept.Identity.SessionNumber = msg.SessionID{}, 0 // random
	d.asked = append(d.asked, kept)
	return d.answer(r)
}

func (d *scriptedDoor) Ready() error                  { return nil }
func (d *scriptedDoor) Describe() program.Description { return program.Description{} }

func always(reply msg.Reply) *scriptedDoor {
	return &scriptedDoor{answer: func(*msg.Request) msg.Reply { return reply }}
}

type outcome struct {
	code           int
	stdout, stderr string
}

// runCommand runs a command line against the door.
func runCommand(t *testing.T, door *scriptedDoor, stdin string, arguments ...string) outcome {
	t.Helper()
	server := httptest.NewServer(native.New(native.Config{Door: door}))
	defer server.Close()
	return runAt(t, strings.TrimPrefix(server.URL, "http://"), stdin, arguments...)
}

func runAt(t *testing.T, address, stdin string, arguments ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), Process{
		Arguments: arguments,
		Getenv:    func(name string) string { return map[string]string{"HOLDFAST_SERVER": address}[name] },
		Stdin:     strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
	})
	return outcome{code, stdout.String(), stderr.String()}
}

var (
	anID     = msg.NewInvocationID(3, 7<<16, 9)
	anIDText = anID.String()
	alice    = msg.Ref{Kind: "account", Key: "alice"}
)

func payload(body string) msg.Payload { return msg.Payload{Body: []byte(body)} }

func TestCommandsAskAndPrint(t *testing.T) {
	state := msg.Reply{Found: true, Version: 3, State: &msg.Snapshot{Root: payload(`{"b": 1}`)}}
	file := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(file, []byte(`{"n":1}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command string
		stdin   string
		reply   msg.Reply
		asked   msg.Request
		stdout  string
	}{
		{"call account alice deposit 10", "", msg.Reply{Payload: payload("52")},
			msg.Request{Target: alice, Handler: "deposit", Payload: payload("10")}, "52\n"},
		{"call account alice close", "", msg.Reply{}, msg.Request{Target: alice, Handler: "close"}, "null\n"},
		{"call account alice note -", `"hi"` + "\n", msg.Reply{}, msg.Request{Target: alice, Handler: "note", Payload: payload(`"hi"`)}, "null\n"},
		{"call account alice note @" + file, "", msg.Reply{}, msg.Request{Target: alice, Handler: "note", Payload: payload(`{"n":1}`)}, "null\n"},
		{"call account alice balance --peek", "", msg.Reply{Payload: payload("7")},
			msg.Request{Operation: msg.OperationPeek, Target: alice, Handler: "balance"}, "7\n"},
		{"call account alice deposit 1 --idempotency-key order-7 --header Tenant=blue --header b=c=d", "", msg.Reply{},
			msg.Request{Target: alice, Handler: "deposit", Payload: payload("1"), Identity: msg.Identity{IdempotencyKey: "order-7"},
				Headers: []msg.Header{{Name: "b", Value: "c=d"}, {Name: "tenant", Value: "blue"}}}, "null\n"},
		{"--json call account a/b show", "", msg.Reply{Payload: payload("{\n \"a\": [1, 2]}")},
			msg.Request{Target: msg.Ref{Kind: "account", Key: "a/b"}, Handler: "show"}, `{"a":[1,2]}` + "\n"},
		{"call account alice picture", "", msg.Reply{Payload: msg.Payload{ContentType: "image/png", Body: []byte("\x89PNG")}},
			msg.Request{Target: alice, Handler: "picture"}, "\x89PNG"},
		{"call account alice picture --json", "", msg.Reply{Payload: msg.Payload{ContentType: "image/png", Body: []byte("\x89PNG")}},
			msg.Request{Target: alice, Handler: "picture"}, `{"base64":"iVBORw==","content_type":"image/png"}` + "\n"},
		{"send account alice deposit 10", "", msg.Reply{Invocation: anID},
			msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit", Payload: payload("10")}, anIDText + "\n"},
		{"send account alice deposit 10 --json", "", msg.Reply{Invocation: anID},
			msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit", Payload: payload("10")}, `{"invocation_id":"` + anIDText + `"}` + "\n"},
		{"get account alice", "", state, msg.Request{Operation: msg.OperationInspect, Target: alice},
			"{\n  \"kind\": \"account\",\n  \"key\": \"alice\",\n  \"version\": 3,\n  \"state\": {\n    \"b\": 1\n  }\n}\n"},
		{"get account alice --json", "", state, msg.Request{Operation: msg.OperationInspect, Target: alice},
			`{"kind":"account","key":"alice","version":3,"state":{"b":1}}` + "\n"},
		{"delete account alice", "", msg.Reply{}, msg.Request{Operation: msg.OperationDelete, Target: alice}, ""},
		{"delete account alice --json", "", msg.Reply{}, msg.Request{Operation: msg.OperationDelete, Target: alice},
			`{"deleted":true,"key":"alice","kind":"account"}` + "\n"},
		{"list account", "", msg.Reply{Keys: []string{"a", "b\nc", `"d"`}},
			msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, Limit: 101}, "a\n\"b\\nc\"\n\"\\\"d\\\"\"\n"},
		{"list account --limit 5 --after b --json", "", msg.Reply{Keys: []string{"c"}},
			msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, After: "b", Limit: 6}, `{"entities":["c"],"next":""}` + "\n"},
		{"reminders account alice --json", "", msg.Reply{}, msg.Request{Operation: msg.OperationReminders, Target: alice}, `{"reminders":[]}` + "\n"},
		{"result " + anIDText, "", msg.Reply{Status: msg.StatusCompleted, Payload: payload("5")},
			msg.Request{Operation: msg.OperationResult, Invocation: anID}, "completed 5\n"},
		{"result " + anIDText, "", msg.Reply{Status: msg.StatusPending}, msg.Request{Operation: msg.OperationResult, Invocation: anID}, "pending\n"},
		{"result --wait --json " + anIDText, "", msg.Reply{Status: msg.StatusCompleted},
			msg.Request{Operation: msg.OperationResult, Invocation: anID, Wait: true}, `{"id":"` + anIDText + `","status":"completed","result":null}` + "\n"},
	} {
		t.Run(c.command, func(t *testing.T) {
			door := always(c.reply)
			got := runCommand(t, door, c.stdin, strings.Fields(c.command)...)
			if want := (outcome{0, c.stdout, ""}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if len(door.asked) != 1 || !reflect.DeepEqual(door.asked[0], c.asked) {
				t.Errorf("the server was asked %+v, want %+v", door.asked, c.asked)
			}
		})
	}
}

// TestDelayIsFromNow: the server counts from when the request arrives.
func TestDelayIsFromNow(t *testing.T) {
	door := always(msg.Reply{Invocation: anID})
	before := time.Now()
	if got := runCommand(t, door, "", "send", "account", "alice", "close", "--delay", "1h"); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	at := door.asked[0].NotBefore.Std()
	if at.Before(before.Add(time.Hour)) || at.After(time.Now().Add(time.Hour)) {
		t.Errorf("the request begins at %v, want an hour from %v", at, before)
	}
}

// TestListPages: without --all a page is printed and the next one named, with
// it every page is printed.
func TestListPages(t *testing.T) {
	pages := func() *scriptedDoor {
		return &scriptedDoor{answer: func(r *msg.Request) msg.Reply {
			if r.After == "" {
				return msg.Reply{Keys: []string{"a", "b", "c"}}
			}
			return msg.Reply{Keys: []string{"c"}}
		}}
	}
	got := runCommand(t, pages(), "", "list", "account", "--limit", "2")
	if want := (outcome{0, "a\nb\n", "there are more: --after \"b\", or --all\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = runCommand(t, pages(), "", "list", "account", "--limit", "2", "--all")
	if want := (outcome{0, "a\nb\nc\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = runCommand(t, pages(), "", "list", "account", "--limit", "2", "--all", "--json")
	if want := (outcome{0, "{\"entities\":[\"a\",\"b\"],\"next\":\"b\"}\n{\"entities\":[\"c\"],\"next\":\"\"}\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestWaitGoesOnUntilTheEnd: a pending answer is asked for again.
func TestWaitGoesOnUntilTheEnd(t *testing.T) {
	door := &scriptedDoor{}
	door.answer = func(*msg.Request) msg.Reply {
		if len(door.asked) < 3 {
			return msg.Reply{Status: msg.StatusPending}
		}
		return msg.Reply{Status: msg.StatusCompleted, Payload: payload("1")}
	}
	if got, want := runCommand(t, door, "", "result", anIDText, "--wait"), (outcome{0, "completed 1\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestErrorsOfTheServer: the message and a hint on standard error, or one JSON
// object, and exit code 1.
func TestErrorsOfTheServer(t *testing.T) {
	refused := &msg.Error{Code: "insufficient_funds", Class: msg.ClassConflict, Message: "balance is 5", Detail: []byte(`{"b":5}`)}
	for _, c := range []struct {
		command string
		reply   msg.Reply
		want    outcome
	}{
		{"call account alice withdraw 10", msg.Reply{Err: refused}, outcome{1, "", "holdfast: insufficient_funds: balance is 5\n"}},
		{"--json call account alice withdraw 10", msg.Reply{Err: refused},
			outcome{1, "", `{"error":{"code":"insufficient_funds","message":"balance is 5","detail":{"b":5}}}` + "\n"}},
		{"get account alice", msg.Reply{}, outcome{1, "", "holdfast: not_found: there is no account/alice: it has never been used, or was deleted\n"}},
		{"result " + anIDText, msg.Reply{Status: msg.StatusFailed, Err: refused}, outcome{1, "failed\n", "holdfast: insufficient_funds: balance is 5\n"}},
	} {
		if got := runCommand(t, always(c.reply), "", strings.Fields(c.command)...); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.command, got, c.want)
		}
	}
}

// TestNoServer: a command does not wait for ever, and says what to do.
func TestNoServer(t *testing.T) {
	server := httptest.NewServer(nil)
	address := server.Listener.Addr().String()
	server.Close()
	got := runAt(t, address, "", "call", "account", "alice", "close", "--timeout", "50ms")
	if got.code != 1 || !strings.Contains(got.stderr, "hint: is a server running at "+address) {
		t.Errorf("got %+v, want exit code 1 and a hint", got)
	}
}

// TestSlowServer: the timeout is that of the whole command.
func TestSlowServer(t *testing.T) {
	door := &scriptedDoor{answer: func(r *msg.Request) msg.Reply { return msg.Reply{Status: msg.StatusPending} }}
	got := runCommand(t, door, "", "result", anIDText, "--wait", "--timeout", "50ms")
	if got.code != 1 || got.stdout != "" {
		t.Errorf("got %+v, want exit code 1", got)
	}
}

// TestUsageErrors: exit code 2, nothing on standard output, no request.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct{ command, says string }{
		{"dance", `unknown command "dance"`},
		{"call", "KIND is missing"},
		{"call account alice", "HANDLER is missing"},
		{"call account alice deposit 1 2", `"2" is too much`},
		{"call account alice deposit --dance", "unknown flag: --dance"},
		{"call account alice deposit {", "the input is not valid JSON at offset 1"},
		{"call account alice deposit bob", `a string needs quotes that the shell leaves: '"bob"'`},
		{"call account alice deposit 1 --header x", "want NAME=VALUE"},
		{"send account alice deposit 1 --delay -1s", "must not be below zero"},
		{"send account alice deposit 1 --delay soon", "invalid argument"},
		{"get account", "KEY is missing"},
		{"list account --limit -1", "must not be below zero"},
		{"version 7", `"7" is too much`},
		{"serve --partitions many", "many"},
		{"serve data", `"data" is too much`},
		{"serve --partitions 2000", "it must be from 1 to 1024"},
		{"serve --listen 7070", "it must be host:port"},
		{"log", "verify, dump or replay"},
		{"log vrfy", `"vrfy" is not a command of holdfast log`},
		{"cal account alice", "Did you mean this?"},
	} {
		door := always(msg.Reply{})
		got := runCommand(t, door, "", strings.Fields(c.command)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, c.says) || len(door.asked) > 0 {
			t.Errorf("%s: got %+v and %d requests, want exit code 2 and %q", c.command, got, len(door.asked), c.says)
		}
		asJSON := runCommand(t, door, "", append([]string{"--json"}, strings.Fields(c.command)...)...)
		if asJSON.code != 2 || strings.Count(asJSON.stderr, "\n") != 1 {
			t.Errorf("--json %s: got %+v, want one line", c.command, asJSON)
		}
	}
}

// TestBadRequestsAreNotUsageErrors: what the server or the connection refuses
// has exit code 1.
func TestBadRequestsAreNotUsageErrors(t *testing.T) {
	for _, command := range []string{"call account .. close", "get account .", "result 7", "call account alice deposit @/no/such/file"} {
		if got := runCommand(t, always(msg.Reply{}), "", strings.Fields(command)...); got.code != 1 || got.stderr == "" {
			t.Errorf("%s: got %+v, want exit code 1", command, got)
		}
	}
}

func TestVersion(t *testing.T) {
	for command, prefix := range map[string]string{
		"version": "holdfast ", "--version": "holdfast ", "version --json": `{"arch":"`, "--json --version": `{"arch":"`,
	} {
		if got := runCommand(t, always(msg.Reply{}), "", strings.Fields(command)...); got.code != 0 || !strings.HasPrefix(got.stdout, prefix) {
			t.Errorf("%s: got %+v, want %s", command, got, prefix)
		}
	}
}

// TestHelp: no command is help, every command is in a group, and help shows the
// flags for a server where a server is asked, and only there.
func TestHelp(t *testing.T) {
	var all string
	for _, arguments := range [][]string{nil, {"help"}, {"--help"}, {"-h"}} {
		got := runCommand(t, always(msg.Reply{}), "", arguments...)
		if all = got.stdout; got.code != 0 || got.stderr != "" || !strings.Contains(all, "Entities of a server:\n  call ") || strings.Contains(all, "Additional Commands") {
			t.Errorf("%v: got %+v", arguments, got)
		}
	}
	asks := map[string]bool{"serve": false, "log": false, "log verify": false, "version": false}
	for _, name := range []string{"call", "send", "get", "list", "delete", "reminders", "result", "parked", "parked skip", "dead-letters",
		"workflow", "workflow start", "workflow list", "workflow describe", "workflow history", "workflow signal", "workflow query", "workflow cancel",
		"workflow terminate", "workflow pause", "workflow resume", "workflow restart", "promise", "promise resolve", "promise reject"} {
		asks[name] = true
	}
	for command, server := range asks {
		got := runCommand(t, always(msg.Reply{}), "", append(strings.Fields(command), "--help")...)
		if got.code != 0 || strings.Contains(got.stdout, "--server address") != server || !strings.Contains(got.stdout, "--json") {
			t.Errorf("%s: got %+v, want help in which the flag --server is %v", command, got, server)
		}
		if name, _, _ := strings.Cut(command, " "); !strings.Contains(all, "\n  "+name+" ") {
			t.Errorf("help does not list %s", name)
		}
	}
}

func TestCompletion(t *testing.T) {
	if got := runCommand(t, always(msg.Reply{}), "", "completion", "bash"); got.code != 0 || !strings.Contains(got.stdout, "holdfast") {
		t.Errorf("got %+v", got)
	}
}

// TestExtraCommandsAreAdded: other packages bring commands of their own.
func TestExtraCommandsAreAdded(t *testing.T) {
	ran := false
	var stdout bytes.Buffer
	code := Run(t.Context(), Process{Arguments: []string{"bench"}, Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stdout},
		&cobra.Command{Use: "bench", Run: func(*cobra.Command, []string) { ran = true }})
	if code != 0 || !ran {
		t.Errorf("got %d, ran %v: %s", code, ran, &stdout)
	}
}

// TestLog verifies and dumps the log of a server that has run here.
func TestLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	writeLog(t, dir)
	got := runAt(t, "", "", "log", "verify", "--data", dir)
	if got.code != 0 || !strings.Contains(got.stdout, "result       ok") || !strings.Contains(got.stdout, "made for 2 partitions") {
		t.Errorf("verify: got %+v", got)
	}
	got = runAt(t, "", "", "log", "verify", "--data", dir, "--json")
	if got.code != 0 || !strings.Contains(got.stdout, `"ok":true,"partitions":2,`) {
		t.Errorf("verify --json: got %+v", got)
	}
	got = runAt(t, "", "", "log", "dump", "--data", dir, "--kind", "tally", "--key", "b")
	if lines := strings.Count(got.stdout, "\n"); got.code != 0 || lines != 2 || !strings.Contains(got.stdout, `"changes":[{"kind":"root","value":{"N":8}}]`) {
		t.Errorf("dump of one key: got %+v", got)
	}
	got = runAt(t, "", "", "log", "dump", "--data", dir, "--limit", "1")
	if got.code != 0 || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("dump of one record: got %+v", got)
	}
	damage(t, dir)
	got = runAt(t, "", "", "log", "verify", "--data", dir)
	if got.code != 1 || !strings.Contains(got.stdout, "DAMAGED") || !strings.Contains(got.stderr, "segment") {
		t.Errorf("verify of a damaged log: got %+v", got)
	}
	if got = runAt(t, "", "", "log", "dump", "--data", filepath.Join(dir, "nowhere")); got.code != 1 || got.stdout != "" {
		t.Errorf("dump of nothing: got %+v", got)
	}
	if got = runAt(t, "", "", "log"); got.code != 2 {
		t.Errorf("log without a command: got %+v", got)
	}
}

// writeLog runs a server on the directory until it has done a few updates.
func writeLog(t *testing.T, dir string) {
	t.Helper()
	tallies := holdfast.NewEntity[struct{ N int64 }]("tally")
	add := holdfast.NewUpdate[int64, int64](tallies, "add")
	app := holdfast.NewApp("tally", add.Handle(func(ctx *holdfast.UpdateContext[struct{ N int64 }], n int64) (int64, error) {
		ctx.State.N += n
		return ctx.State.N, nil
	}))
	s, err := server.New(server.Config{App: app, DataDir: dir, Partitions: 2, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for _, key := range []string{"a", "b", "b"} {
		if _, err := add.Call(s.Client().With(ctx), key, 4); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// damage flips a bit in the first frame of the log.
func damage(t *testing.T, dir string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "log", "*.segment"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments in %s: %v", dir, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte("tally"))
	if at < 0 {
		t.Fatal("the log does not name the kind")
	}
	text[at] ^= 1
	if err := os.WriteFile(segments[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
}
