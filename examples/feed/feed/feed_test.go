package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAnInboxIsEmptyAfterItWasRead(t *testing.T) {
	r := holdfasttest.Turn(holdfast.NoInput(read), Inbox{[]Post{{"go", "1"}}}, holdfast.None)
	if r.Err != nil || len(r.Out) != 1 || r.Out[0].Text != "1" || r.State.Posts != nil {
		t.Errorf("got %+v", r)
	}
}

// A reader is sent posts of three topics while the process is killed, and follows
// one of them at first and two later.
func TestPostsAreDeliveredOnceAndInOrderThroughCrashes(t *testing.T) {
	s := crashtest.Start(t, 1)
	c := s.Client()
	if err := Follow.Submit(c, "ann", "go"); err != nil { // before the subscription begins
		t.Fatal(err)
	}
	if _, err := Subscriptions.Submit(c, "ann", Subscription{Topics: []string{"rust"}}); err != nil {
		t.Fatal(err)
	}
	changeTopics(t, s, c, "rust", "go")
	want := publish(t, s, c, nil, "go")
	changeTopics(t, s, c, "", "go", "zig")
	want = publish(t, s, c, want, "go", "zig")
	checkJournal(t, s)
	if err := Stop.Submit(c, "ann", holdfast.None); err != nil {
		t.Fatal(err)
	}
	state, err := Subscriptions.Result(c, "ann")
	if err != nil || state.Delivered != len(want) {
		t.Errorf("got %+v, %v, want %d delivered", state, err, len(want))
	}
	checkInbox(t, s, c, want)
	if err := Publish.Submit(c, "ann", Post{}); !errors.Is(err, holdfast.ErrConflict) {
		t.Errorf("a post after the end: %v, want %v", err, holdfast.ErrConflict)
	}
}

// changeTopics stops following a topic, follows the last of some, and waits until
// the subscription has those.
func changeTopics(t *testing.T, s *crashtest.Server, c *holdfast.ClientContext, without string, want ...string) {
	t.Helper()
	err := Unfollow.Submit(c, "ann", without)
	if err := errors.Join(err, Follow.Submit(c, "ann", want[len(want)-1])); err != nil {
		t.Fatal(err)
	}
	s.Wait(fmt.Sprint("the topics are ", want), func() bool {
		state, err := State.Call(c, "ann", holdfast.None)
		return err == nil && slices.Equal(state.Topics, want)
	})
}

// publish adds to posts what must be delivered, once it is.
func publish(t *testing.T, s *crashtest.Server, c *holdfast.ClientContext, posts []Post, followed ...string) []Post {
	t.Helper()
	const kills, each = 5, 30
	some := func(int) {
		for n := range each {
			p := Post{Topic: []string{"rust", "zig", "go"}[n%3], Text: fmt.Sprint("post ", len(posts))}
			if slices.Contains(followed, p.Topic) {
				posts = append(posts, p)
			}
			if err := Publish.Submit(c, "ann", p); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Survive(kills, some, "all posts are delivered", func() bool {
		state, err := State.Call(c, "ann", holdfast.None)
		return err == nil && state.Delivered >= len(posts)
	})
	return posts
}

// checkJournal wants a journal without the past.
func checkJournal(t *testing.T, s *crashtest.Server) {
	t.Helper()
	var history struct{ Entries []json.RawMessage }
	text := s.Get("/v1/workflows/feed/ann/history")
	if err := json.Unmarshal([]byte(text), &history); err != nil || len(history.Entries) != 1 {
		t.Errorf("%d entries, %v, want 1: %s", len(history.Entries), err, text)
	}
}

func checkInbox(t *testing.T, s *crashtest.Server, c *holdfast.ClientContext, want []Post) {
	t.Helper()
	s.Wait("the last post is in the inbox", func() bool {
		inbox, _, err := Inboxes.Inspect(c, "ann")
		return err == nil && len(inbox.Posts) >= len(want)
	})
	if got, err := Read.Call(c, "ann", holdfast.None); err != nil || !slices.Equal(got, want) {
		t.Errorf("the inbox has %v, %v, want %v", got, err, want)
	}
}
