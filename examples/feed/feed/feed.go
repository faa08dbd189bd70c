// Package feed delivers posts to readers. A subscription is a loop that waits for
// signals, for as long as the reader likes: posts, changes of the topics, and the
// one that ends it.
//
// Invariants:
//
//  1. Each post with a topic that is followed when it is taken is in the inbox of
//     the reader once, and posts are there in the order of the signals.
//  2. The journal of a subscription is that of one signal, however many there
//     were.
//
// Who posts has to know the readers. An inbox grows until it is read.
package feed

import (
	"slices"

	"github.com/holdfast-io/holdfast"
)

// Subscription is the state of the loop.
type Subscription struct {
	Topics    []string `json:"topics"`
	Delivered int      `json:"delivered"`
}

// Post is what readers read.
type Post struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
}

// Inbox is the state of what a reader has not read.
type Inbox struct{ Posts []Post }

// The contract. The id of a subscription and the key of an inbox are the name of
// the reader.
var (
	Subscriptions = holdfast.NewLoop[Subscription]("feed", holdfast.Doc("Delivers posts to a reader."))
	Publish       = holdfast.NewSignal[Post](Subscriptions, "post", holdfast.Doc("A post, whether or not it is followed."))
	Follow        = holdfast.NewSignal[string](Subscriptions, "follow", holdfast.Doc("Adds a topic."))
	Unfollow      = holdfast.NewSignal[string](Subscriptions, "unfollow", holdfast.Doc("Takes a topic away."))
	Stop          = holdfast.NewSignal[holdfast.Void](Subscriptions, "stop", holdfast.Doc("Ends the subscription."))
	State         = holdfast.NewQuery[holdfast.Void, Subscription](Subscriptions, "state", holdfast.Doc("Gives topics and count."))

	Inboxes = holdfast.NewEntity[Inbox]("inbox", holdfast.Doc("What a reader has not read."))
	Deliver = holdfast.NewUpdate[Post, holdfast.Void](Inboxes, "deliver", holdfast.Doc("Adds a post."))
	Read    = holdfast.NewUpdate[holdfast.Void, []Post](Inboxes, "read", holdfast.Doc("Gives the posts, and forgets them."))
)

// turn takes one signal. Changes of the topics go before posts that wait, and the
// end goes after everything. Signals that come meanwhile are there in the next
// turn.
func turn(ctx *holdfast.WorkflowContext, s *Subscription) (done bool, err error) {
	State.Answer(ctx, func(holdfast.Void) (Subscription, error) { return *s, nil })
	follow, unfollow, post, stop := Follow.Receive(ctx), Unfollow.Receive(ctx), Publish.Receive(ctx), Stop.Receive(ctx)
	first, err := holdfast.Select(ctx, follow, unfollow, post, stop)
	if err != nil {
		return false, err
	}
	switch first {
	case follow:
		topic, err := follow.Await(ctx)
		s.unfollow(topic)
		s.Topics = append(s.Topics, topic)
		return false, err
	case unfollow:
		topic, err := unfollow.Await(ctx)
		s.unfollow(topic)
		return false, err
	case post:
		p, err := post.Await(ctx)
		if err == nil && slices.Contains(s.Topics, p.Topic) {
			s.Delivered++
			Deliver.Send(ctx, ctx.ID(), p)
		}
		return false, err
	}
	_, err = stop.Await(ctx)
	return true, err
}

func (s *Subscription) unfollow(topic string) {
	s.Topics = slices.DeleteFunc(s.Topics, func(t string) bool { return t == topic })
}

func deliver(ctx *holdfast.UpdateContext[Inbox], p Post) (holdfast.Void, error) {
	ctx.State.Posts = append(ctx.State.Posts, p)
	return holdfast.None, nil
}

func read(ctx *holdfast.UpdateContext[Inbox]) (posts []Post, err error) {
	posts, ctx.State.Posts = ctx.State.Posts, nil
	return posts, nil
}

// App is the application on its own.
func App() *holdfast.App {
	return holdfast.NewApp("feed",
		Subscriptions.Handle(turn), Deliver.Handle(deliver), Read.Handle(holdfast.NoInput(read)))
}
