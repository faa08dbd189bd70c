package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/server"
)

// Goal: an operator finds out what has stopped and why, and gets it going
// again, by command. Method: the commands run against the HTTP interface in
// front of a scripted door, and once through the life of a poisoned entity on a
// whole server.

var noon = msg.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 123, time.UTC))

func deadLetter(input, reason string) msg.DeadLetter {
	return msg.DeadLetter{ID: anID, Reason: reason, Time: noon,
		Message: msg.Message{Target: alice, Handler: "deposit", Payload: payload(input)}}
}

func TestOperatorCommandsAskAndPrint(t *testing.T) {
	parked := msg.Reply{Parked: []msg.Parked{
		{Target: alice, Reason: "the state does not decode:\n\tunexpected end", Since: noon, Waiting: 12},
		{Target: msg.Ref{Kind: "order", Key: "a\x1bb"}, Reason: "no\x1b[2J application", Since: noon},
	}}
	letters := msg.Reply{DeadLetters: []msg.DeadLetter{deadLetter("{ \"n\": 1 }", strings.Repeat("x", 200))}}
	const parkedTable = "KIND     KEY         WAITING  SINCE                 REASON\n" +
		"account  alice       12       2026-03-01T12:00:00Z  the state does not decode:…\n" +
		"order    \"a\\u001bb\"  0        2026-03-01T12:00:00Z  no [2J application\n"
	letterTable := "ID                                KIND     KEY    HANDLER  INPUT    TIME                  REASON\n" +
		anIDText + "  account  alice  deposit  {\"n\":1}  2026-03-01T12:00:00Z  " + strings.Repeat("x", 100) + "…\n"
	holder := func(id string, shared bool) msg.LockHolder {
		return msg.LockHolder{Holder: msg.Holder{Workflow: msg.Ref{Kind: "transfer", Key: id}, Run: 4}, Shared: shared, Since: noon}
	}
	locked := msg.Reply{Locks: []msg.Lock{
		{Key: alice, Waiting: 3, Holders: []msg.LockHolder{holder("7", false)}},
		{Key: msg.Ref{Kind: "site", Key: "paris"}, Holders: []msg.LockHolder{holder("8", true), holder("9", true)}},
	}}
	const lockedTable = "KIND     KEY    MODE       WAITING  SINCE                 HOLDERS\n" +
		"account  alice  exclusive  3        2026-03-01T12:00:00Z  transfer/7\n" +
		"site     paris  shared     0        2026-03-01T12:00:00Z  transfer/8 transfer/9\n"
	lockedList := msg.Request{Operation: msg.OperationLocks, Limit: 101}
	list := msg.Request{Operation: msg.OperationParked, Limit: 101}
	letterList := msg.Request{Operation: msg.OperationDeadLetters, Limit: 101}
	for _, c := range []struct {
		command        string
		reply          msg.Reply
		asked          msg.Request
		stdout, stderr string
	}{
		{"parked", parked, list, parkedTable, ""},
		{"parked list", parked, list, parkedTable, ""},
		{"parked", msg.Reply{}, list, "", "no entity is parked\n"},
		{"parked list --json", msg.Reply{}, list, `{"next":"","parked":[]}` + "\n", ""},
		{"parked --json --limit 1", parked, msg.Request{Operation: msg.OperationParked, Limit: 2}, `{"next":"AGFjY291bnQAYWxpY2U","parked":[{"kind":"account","key":"alice","reason":"the state does not decode:\u000a\u0009unexpected end",` +
			`"since":"2026-03-01T12:00:00.000000123Z","waiting":12}]}` + "\n", ""},
		{"parked resume account alice", msg.Reply{Found: true}, msg.Request{Operation: msg.OperationResume, Target: alice}, "", ""},
		{"parked resume account a/b --json", msg.Reply{Found: true},
			msg.Request{Operation: msg.OperationResume, Target: msg.Ref{Kind: "account", Key: "a/b"}}, `{"key":"a/b","kind":"account","resumed":true}` + "\n", ""},
		{"parked skip account alice --json", msg.Reply{Found: true}, msg.Request{Operation: msg.OperationSkip, Target: alice},
			`{"key":"alice","kind":"account","skipped":true}` + "\n", ""},
		{"locks", locked, lockedList, lockedTable, ""},
		{"locks", msg.Reply{}, lockedList, "", "nothing is locked\n"},
		{"locks release account alice", msg.Reply{Found: true}, msg.Request{Operation: msg.OperationRelease, Target: alice}, "", ""},
		{"locks release site a/b --json", msg.Reply{Found: true},
			msg.Request{Operation: msg.OperationRelease, Target: msg.Ref{Kind: "site", Key: "a/b"}}, `{"key":"a/b","kind":"site","released":true}` + "\n", ""},
		{"dead-letters", letters, letterList, letterTable, ""},
		{"dead-letters list", letters, letterList, letterTable, ""},
		{"dead-letters", msg.Reply{}, letterList, "", "there are no dead letters\n"},
		{"dead-letters --json", msg.Reply{DeadLetters: []msg.DeadLetter{deadLetter("1", "no")}}, letterList, `{"dead_letters":[{"id":"` + anIDText +
			`","kind":"account","key":"alice","handler":"deposit","input":1,"reason":"no","time":"2026-03-01T12:00:00.000000123Z"}],"next":""}` + "\n", ""},
		{"dead-letters redeliver " + anIDText, msg.Reply{Found: true}, msg.Request{Operation: msg.OperationRedeliver, Invocation: anID}, "", ""},
		{"dead-letters redeliver --json " + anIDText, msg.Reply{Found: true}, msg.Request{Operation: msg.OperationRedeliver, Invocation: anID},
			`{"id":"` + anIDText + `","redelivered":true}` + "\n", ""},
		{"dead-letters discard --json " + anIDText, msg.Reply{Found: true}, msg.Request{Operation: msg.OperationDiscard, Invocation: anID},
			`{"discarded":true,"id":"` + anIDText + `"}` + "\n", ""},
	} {
		t.Run(c.command, func(t *testing.T) {
			door := always(c.reply)
			got := runCommand(t, door, "", strings.Fields(c.command)...)
			if want := (outcome{0, c.stdout, c.stderr}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if len(door.asked) != 1 || fmt.Sprint(door.asked[0]) != fmt.Sprint(c.asked) {
				t.Errorf("the server was asked %+v, want %+v", door.asked, c.asked)
			}
		})
	}
}

// TestLongListsComeInPages: one page is printed, and how to get the next; or
// all of them, under one header.
func TestLongListsComeInPages(t *testing.T) {
	var parked []msg.Parked
	for i := range 2500 {
		parked = append(parked, msg.Parked{Target: msg.Ref{Kind: "account", Key: fmt.Sprintf("%04d", i)}, Since: noon})
	}
	server := func() *scriptedDoor {
		return &scriptedDoor{answer: func(r *msg.Request) msg.Reply {
			rest := parked
			for len(rest) > 0 && rest[0].Place() <= r.After {
				rest = rest[1:]
			}
			return msg.Reply{Parked: rest[:min(len(rest), r.Limit)]}
		}}
	}
	for _, c := range []struct {
		arguments        string
		lines, asked     int
		says, last, json string
	}{
		{"parked", 101, 1, "there are more: --after \"AGFjY291bnQAMDA5OQ\", or --all\n", "0099", ""},
		{"parked list --limit 3", 4, 1, "there are more: --after \"AGFjY291bnQAMDAwMg\", or --all\n", "0002", ""},
		{"parked --limit 3 --after AGFjY291bnQAMDAwMg", 4, 1, "there are more: --after \"AGFjY291bnQAMDAwNQ\", or --all\n", "0005", ""},
		{"parked --after AGFjY291bnQAMjQ5NQ", 5, 1, "", "2499", ""},
		{"parked --all --limit 1000", 2501, 3, "", "2499", ""},
		{"parked list --all", 2501, 25, "", "2499", ""},
		{"parked --json --limit 1000", 1, 1, "", "0999", `"next":"AGFjY291bnQAMDk5OQ"`},
		{"parked --all --json --limit 1000", 3, 3, "", "2499", `"next":""`},
	} {
		door := server()
		got := runCommand(t, door, "", strings.Fields(c.arguments)...)
		lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
		last := lines[len(lines)-1]
		if got.code != 0 || got.stderr != c.says || len(lines) != c.lines || len(door.asked) != c.asked {
			t.Errorf("%s: got code %d, %d lines, %q, %d requests; want %d lines, %q, %d requests",
				c.arguments, got.code, len(lines), got.stderr, len(door.asked), c.lines, c.says, c.asked)
		}
		if !strings.Contains(last, c.last) || !strings.Contains(last, c.json) || strings.Count(got.stdout, "KIND") > 1 {
			t.Errorf("%s: the last line is %.200s", c.arguments, last)
		}
	}
}

// TestErrorsForOperators: what is not there is named, with where to look.
func TestErrorsForOperators(t *testing.T) {
	missing := msg.Reply{Err: msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "account/alice is not parked")}
	refused := msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the server is recovering")}
	for _, c := range []struct {
		command string
		reply   msg.Reply
		want    outcome
	}{
		{"parked skip account alice", missing,
			outcome{1, "", "holdfast: not_found: account/alice is not parked\nhint: holdfast parked lists the entities that are parked\n"}},
		{"parked skip account alice --json", missing, outcome{1, "", `{"error":{"code":"not_found","message":"account/alice is not parked"}}` + "\n"}},
		{"dead-letters discard 7", msg.Reply{}, outcome{1, "", "holdfast: invalid_argument: invocation id has 1 characters, want 32 hexadecimal digits\n" +
			"hint: holdfast dead-letters lists the messages that were given up, with their IDs\n"}},
		{"parked skip account alice", refused, outcome{1, "", "holdfast: unavailable: the server is recovering\n" +
			"hint: is a server running at ADDRESS? If it is, it did not do it, or went away before it could say so; holdfast parked lists entities that have stopped\n"}},
	} {
		door := always(c.reply)
		got := runCommand(t, door, "", strings.Fields(c.command)...)
		got.stderr = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(got.stderr, "ADDRESS")
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.command, got, c.want)
		}
		if len(door.asked) > 1 {
			t.Errorf("%s: the server was asked %d times: skipping twice would skip two inputs", c.command, len(door.asked))
		}
	}
	for _, command := range []string{"parked dance", "parked resume account", "parked skip a b c", "parked list x", "parked --limit 0",
		"dead-letters --limit 1001", "dead-letters discard", "dead-letters redeliver a b"} {
		if got := runCommand(t, always(missing), "", strings.Fields(command)...); got.code != 2 || !strings.Contains(got.stderr, "--help explains") {
			t.Errorf("%s: got %+v, want exit code 2 and a hint", command, got)
		}
	}
}

// TestListsAreAskedForAgain: while a server starts, a list waits for it.
func TestListsAreAskedForAgain(t *testing.T) {
	door := &scriptedDoor{}
	door.answer = func(*msg.Request) msg.Reply {
		if len(door.asked) < 3 {
			return msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the server is recovering")}
		}
		return msg.Reply{}
	}
	if got, want := runCommand(t, door, "", "parked"), (outcome{0, "", "no entity is parked\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestAnswersOfSomebodyElse: a proxy, another service, or nobody.
func TestAnswersOfSomebodyElse(t *testing.T) {
	for body, says := range map[string]string{
		`{"other":[]}`: "read the server's list", `[1]`: "read the server's list", `{"parked":[{`: "read the server's list", "": "read the server's list",
		`{"parked":[]}`: "read the server's list", `{"parked":[{"since":"soon"}],"next":""}`: "read the server's list",
	} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		if got := runAt(t, other.URL, "", "parked"); got.code != 1 || !strings.Contains(got.stderr, says) {
			t.Errorf("%s: got %+v, want exit code 1 and %q", body, got, says)
		}
		other.Close()
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you?", http.StatusForbidden) }))
	defer proxy.Close()
	if got := runAt(t, proxy.URL, "", "parked"); got.code != 1 || !strings.Contains(got.stderr, "HTTP 403 Forbidden: who are you?") {
		t.Errorf("a proxy: got %+v", got)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, command := range []string{"parked", "parked skip a b"} {
		got := runAt(t, l.Addr().String(), "", append(strings.Fields(command), "--timeout", "250ms")...)
		if got.code != 1 || !strings.Contains(got.stderr, "hint: is a server running at "+l.Addr().String()) {
			t.Errorf("nobody: got %+v, want exit code 1 and a hint", got)
		}
	}
}

// serve runs an application until the test calls the function that it gets.
func serve(t *testing.T, dir string, app *holdfast.App) (s *server.Server, stop func()) {
	t.Helper()
	s, err := server.New(server.Config{App: app, DataDir: dir, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		t.Fatalf("Run: %v", err)
	}
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

type (
	oldNote struct{ Text string }
	newNote struct{ Text []string }
)

func oldNotes() *holdfast.App {
	notes := holdfast.NewEntity[oldNote]("note")
	put := holdfast.NewUpdate[string, holdfast.Void](notes, "put")
	return holdfast.NewApp("notes", put.Handle(func(ctx *holdfast.UpdateContext[oldNote], text string) (holdfast.Void, error) {
		ctx.State.Text += text
		return holdfast.None, nil
	}))
}

// newNotes cannot read what oldNotes has stored, and panics at some inputs.
func newNotes() *holdfast.App {
	notes := holdfast.NewEntity[newNote]("note")
	put := holdfast.NewUpdate[string, holdfast.Void](notes, "put")
	return holdfast.NewApp("notes", put.Handle(func(ctx *holdfast.UpdateContext[newNote], text string) (holdfast.Void, error) {
		if text == "poison" {
			panic(errors.New("this text is poison"))
		}
		ctx.State.Text = append(ctx.State.Text, text)
		return holdfast.None, nil
	}))
}

// TestLifeOfAPoisonedEntity: new code does not decode what old code has stored,
// and one input makes it panic. Both stop, are seen, and are got going again.
func TestLifeOfAPoisonedEntity(t *testing.T) {
	dir := t.TempDir()
	s, stop := serve(t, dir, oldNotes())
	mustRun(t, s, "call", "note", "old", "put", `"a"`)
	stop()

	s, stop = serve(t, dir, newNotes())
	mustRun(t, s, "send", "note", "old", "put", `"b"`)
	mustRun(t, s, "send", "note", "old", "put", `"c"`)
	poison := strings.TrimSpace(mustRun(t, s, "send", "note", "new", "put", `"poison"`))
	mustRun(t, s, "send", "note", "new", "put", `"d"`)
	waitFor(t, s, 1, "parked", "--json")
	table := mustRun(t, s, "parked")
	if !strings.HasPrefix(table, "KIND  KEY  WAITING") || !strings.Contains(table, "\nnote  old  2") {
		t.Errorf("parked says %s", table)
	}
	waitFor(t, s, 1, "dead-letters", "--json")
	if table := mustRun(t, s, "dead-letters"); !strings.Contains(table, "this text is poison") || !strings.Contains(table, poison) {
		t.Errorf("dead-letters says %s", table)
	}
	if got := mustRun(t, s, "get", "note", "new", "--json"); !strings.Contains(got, `"state":{"Text":["d"]}`) {
		t.Errorf("the entity went on to %s, want what came after the poison", got)
	}

	mustRun(t, s, "dead-letters", "redeliver", poison)
	mustRun(t, s, "parked", "resume", "note", "old")
	waitFor(t, s, 1, "dead-letters", "--json") // it is still poison
	waitFor(t, s, 1, "parked", "--json")       // it still does not decode
	mustRun(t, s, "dead-letters", "discard", poison)
	waitFor(t, s, 0, "dead-letters", "--json")
	mustRun(t, s, "parked", "skip", "note", "old")
	waitFor(t, s, 1, "dead-letters", "--json") // what was skipped is not lost
	stop()

	s, stop = serve(t, dir, oldNotes()) // code that can read it
	defer stop()
	letters := mustRun(t, s, "dead-letters", "--json")
	var list struct {
		DeadLetters []struct{ ID string } `json:"dead_letters"`
	}
	if err := json.Unmarshal([]byte(letters), &list); err != nil || len(list.DeadLetters) != 1 {
		t.Fatalf("got %s, %v, want one dead letter", letters, err)
	}
	mustRun(t, s, "dead-letters", "redeliver", list.DeadLetters[0].ID)
	waitFor(t, s, 0, "dead-letters", "--json")
	waitFor(t, s, 0, "parked", "--json")
	mustRun(t, s, "call", "note", "old", "put", `"e"`)
	if got := mustRun(t, s, "get", "note", "old", "--json"); !strings.Contains(got, `"state":{"Text":"acbe"}`) {
		t.Errorf("got %s, want everything that was sent", got)
	}
}

// TestWhatNobodyServesIsLookedAfter: the program does not serve a kind any more
// that messages wait for. They can be given up, and wait for one that does.
func TestWhatNobodyServesIsLookedAfter(t *testing.T) {
	dir := t.TempDir()
	s, stop := serve(t, dir, oldNotes())
	for _, key := range []string{"a", "b"} {
		mustRun(t, s, "call", "note", key, "put", `"early,"`)
	}
	stop()
	s, stop = serve(t, dir, newNotes()) // cannot read it: what is sent waits
	for _, key := range []string{"a", "b"} {
		mustRun(t, s, "send", "note", key, "put", `"late"`)
	}
	stop()

	others := holdfast.NewEntity[oldNote]("other")
	touch := holdfast.NewUpdate[holdfast.Void, holdfast.Void](others, "touch")
	s, stop = serve(t, dir, holdfast.NewApp("others", touch.Handle(holdfast.Plain(func(*holdfast.UpdateContext[oldNote]) error { return nil }))))
	waitFor(t, s, 2, "parked", "--json")
	if table := mustRun(t, s, "parked", "--limit", "1", "--all"); !strings.Contains(table, "\nnote  a    1") || !strings.Contains(table, "\nnote  b  1") {
		t.Errorf("parked says %s", table)
	}
	mustRun(t, s, "parked", "skip", "note", "a")
	waitFor(t, s, 1, "dead-letters", "--json")
	mustRun(t, s, "parked", "resume", "note", "b")
	waitFor(t, s, 1, "parked", "--json") // it is tried again, and still nobody serves it
	stop()

	s, stop = serve(t, dir, oldNotes())
	defer stop()
	until(t, s, "what was sent", func(got string) bool { return strings.Contains(got, `"state":{"Text":"early,late"}`) }, "get", "note", "b", "--json")
	if got := mustRun(t, s, "get", "note", "a", "--json"); !strings.Contains(got, `"state":{"Text":"early,"}`) {
		t.Errorf("got %s, want no change by what was skipped", got)
	}
}

func mustRun(t *testing.T, s *server.Server, arguments ...string) (stdout string) {
	t.Helper()
	got := runAt(t, s.Addr(), "", arguments...)
	if got.code != 0 {
		t.Fatalf("%v: got %+v", arguments, got)
	}
	return got.stdout
}

// waitFor runs a command that lists until its list has that many entries.
func waitFor(t *testing.T, s *server.Server, total int, arguments ...string) {
	t.Helper()
	until(t, s, fmt.Sprintf("%d entries", total), func(got string) bool { return strings.Count(got, `"reason":`) == total }, arguments...)
}

// until runs a command until what it prints is as it has to become.
func until(t *testing.T, s *server.Server, want string, holds func(stdout string) bool, arguments ...string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // retries take their time
		got := mustRun(t, s, arguments...)
		if holds(got) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v: got %s, want %s", arguments, got, want)
		}
	}
}
