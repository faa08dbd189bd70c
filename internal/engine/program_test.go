package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// plan is what a request asks of the handler "do". It is a tree: what the turn
// changes at its entity, and the plans that it sends on.
type plan struct {
	Token     string   // unique; the entity remembers that it has done it
	Amount    int      // added to the balance; a whole tree adds nothing
	Sender    string   // with Sequence: the how many-eth plan of this sender
	Sequence  int      // 0: order does not matter
	Unordered bool     // what it sends is not counted, since operators skip inputs
	NotBefore msg.Time // the turn must not be before
	Fail      bool     // the handler returns an error
	Keep      bool     // and keeps what it did
	Panics    uint32   // so many attempts panic
	Set       string   // entry of the map "map"
	Remove    string   // entry of the map "map"
	Clear     string   // map or list
	Append    string   // to the list "list"
	Filler    string   // of the root
	Delete    bool     // the entity
	Sends     []branch // messages
	Tail      *branch  // who answers
	Alarms    []alarm  // reminders to set
	Cancel    string   // reminder to clear
	Defers    int      // 1 to 4: it waits while so many turns, up to a multiple of four, are behind the entity
	Bounces   bool     // the handler has no use for it
	Raise     *fact    // an event
	Locks     []string // of a workflow: accounts
	Shared    bool     // it only looks at them
	Place     string   // of a workflow: one that it locks as well
	Flow      string   // the locked workflow that this belongs to
	Enters    bool     // from here on it is alone
	Leaves    bool
}

// fails says that whoever waits is told an error.
func (p *plan) fails() bool { return p.Fail || p.Bounces }

// undone says that nothing of the plan is kept.
func (p *plan) undone() bool { return p.Bounces || p.Fail && !p.Keep }

// class tells apart what one entity sends to another in orders of its own: what
// is deferred is overtaken by what is not.
func (p *plan) class() string {
	if p.Defers == 0 {
		return ""
	}
	return "/" + strconv.Itoa(p.Defers)
}

type branch struct {
	Kind, Key string
	Delay     time.Duration
	Plan      plan
}

type alarm struct {
	Name  string
	Delay time.Duration
	Every time.Duration
	Plan  plan
}

// ledger is the root of every entity of the world.
type ledger struct {
	Count   int // turns that changed something
	Balance int
	Filler  string
	Flow    string `json:",omitempty"` // the locked workflow that is at work here
}

var kinds = []msg.Kind{
	{Name: "account", StateVersion: 1, Handlers: []msg.Handler{
		{Name: "do", Aliases: []string{"did"}, Mode: msg.ModeUpdate}, {Name: "look", Mode: msg.ModeRead},
		{Name: "ring", Mode: msg.ModeUpdate}}},
	{Name: "brief", StateVersion: 1, IdleTTL: 2 * time.Second, Handlers: []msg.Handler{
		{Name: "do", Mode: msg.ModeUpdate}, {Name: "look", Mode: msg.ModeRead}}},
	{Name: "clock", StateVersion: 1, Affinity: "place", Handlers: []msg.Handler{
		{Name: "do", Mode: msg.ModeUpdate}, {Name: "look", Mode: msg.ModeRead}, {Name: "ring", Mode: msg.ModeUpdate}}},
	flow,
	gauge,
}

// strict says that tokens, order and balance are checked at entities of the
// kind: they are never deleted.
func strict(kind string) bool { return kind == "account" }

// execute is the program of the world: a pure function of the turn. A turn that
// must not be is reported to violate.
func execute(t *msg.Turn, violate func(string, ...any)) *msg.Outcome {
	switch m := t.Message; m.Handler {
	case "look":
		return &msg.Outcome{Run: t.Run, Output: msg.Payload{Body: t.State.Root.Body}}
	case "ring":
		return executeRing(t, violate)
	case "do":
		return executeDo(t, violate)
	case msg.HandlerRun:
		return interpret(t)
	case "moved":
		return executeFact(t, violate)
	default:
		violate("handler %q of %s was asked for", m.Handler, m.Target)
		return nil
	}
}

func executeDo(t *msg.Turn, violate func(string, ...any)) *msg.Outcome {
	var p plan
	if err := json.Unmarshal(t.Message.Payload.Body, &p); err != nil {
		violate("plan %q: %v", t.Message.Payload.Body, err)
	}
	o := &msg.Outcome{Run: t.Run}
	switch {
	case t.Now < p.NotBefore:
		violate("%s began at %d, not before %d was asked", t.Message.Target, t.Now, p.NotBefore)
	case t.Attempt <= p.Panics:
		o.Panicked, o.Err = true, msg.Errorf(msg.CodePanic, msg.ClassFailed, "attempt %d panics", t.Attempt)
		return o
	case p.Defers > 0 && rootOf(t, violate).Count%4+1 == p.Defers:
		o.Defer = true
		return o
	case p.Bounces:
		o.DeadLetter = "there is no use for " + p.Token
		return o
	case p.Fail && !p.Keep:
		o.Err = msg.Errorf("refused", msg.ClassConflict, "the plan says so")
		return o
	case p.Fail:
		o.Err, o.Keep = msg.Errorf("kept", msg.ClassConflict, "the plan says so"), true
	}
	doPlan(t, &p, o, violate)
	return o
}

// doPlan fills in what a plan does.
func doPlan(t *msg.Turn, p *plan, o *msg.Outcome, violate func(string, ...any)) {
	root := rootOf(t, violate)
	isolate(t, p, &root, violate)
	root.Count++
	o.Offer = true
	root.Balance += p.Amount
	if p.Filler != "" {
		root.Filler = p.Filler
	}
	if strict(t.Message.Target.Kind) {
		checkOrder(t, p, o, violate)
	}
	doFields(p, o)
	o.Delete = p.Delete
	if p.Cancel != "" {
		o.Forget = append(o.Forget, p.Cancel)
	}
	for _, a := range p.Alarms {
		a.Plan.NotBefore = t.Now + msg.Time(a.Delay)
		reminder := msg.Reminder{Name: a.Name, Handler: "do", Payload: encode(&a.Plan), Due: a.Plan.NotBefore}
		if a.Every > 0 {
			reminder.Handler, reminder.Schedule = "ring", msg.Schedule{Every: a.Every}
		}
		o.Remind = append(o.Remind, reminder)
	}
	doSends(t, p, o)
	body, _ := json.Marshal(&root)
	o.Root, o.Version = &msg.Payload{Body: body}, 1
	o.Output = msg.Payload{Body: fmt.Appendf(nil, `{"Count":%d,"Version":%d}`, root.Count, t.State.Version)}
}

func rootOf(t *msg.Turn, violate func(string, ...any)) (root ledger) {
	if !t.State.Exists {
		return root
	}
	if err := json.Unmarshal(t.State.Root.Body, &root); err != nil {
		violate("root of %s is %q: %v", t.Message.Target, t.State.Root.Body, err)
	}
	return root
}

// checkOrder counts what comes from one sender, and remembers the token.
func checkOrder(t *msg.Turn, p *plan, o *msg.Outcome, violate func(string, ...any)) {
	if _, found := entry(t, "tokens", p.Token); found {
		violate("%s did %s twice", t.Message.Target, p.Token)
	}
	o.Changes = append(o.Changes, msg.Change{Kind: msg.ChangePut, Field: "tokens", Key: p.Token, Value: []byte("1")})
	if p.Sequence == 0 {
		return
	}
	if last := number(t, "from", p.Sender); p.Sequence != last+1 {
		violate("%s takes plan %d of %s after %d", t.Message.Target, p.Sequence, p.Sender, last)
	}
	o.Changes = append(o.Changes, count("from", p.Sender, p.Sequence))
}

func doFields(p *plan, o *msg.Outcome) {
	if p.Clear != "" {
		o.Changes = append(o.Changes, msg.Change{Kind: msg.ChangeClear, Field: p.Clear})
	}
	if p.Set != "" {
		o.Changes = append(o.Changes, msg.Change{Kind: msg.ChangePut, Field: "map", Key: p.Set, Value: []byte(p.Token)})
	}
	if p.Remove != "" {
		o.Changes = append(o.Changes, msg.Change{Kind: msg.ChangeRemove, Field: "map", Key: p.Remove})
	}
	if p.Append != "" {
		o.Changes = append(o.Changes, msg.Change{Kind: msg.ChangeAppend, Field: "list", Value: []byte(p.Append)})
	}
}

// doSends numbers what goes from one entity to another where order matters.
func doSends(t *msg.Turn, p *plan, o *msg.Outcome) {
	next := map[string]int{}
	outgoing := func(b *branch) msg.Outgoing {
		sent := b.Plan
		out := msg.Outgoing{Target: msg.Ref{Kind: b.Kind, Key: b.Key}, Handler: handlerOf(b.Kind)}
		switch {
		case b.Delay > 0:
			out.NotBefore = t.Now + msg.Time(b.Delay)
			sent.NotBefore = out.NotBefore
		case !p.Unordered && strict(b.Kind) && strict(t.Message.Target.Kind) && !sent.undone() && sent.Sequence == 0:
			to := b.Key + sent.class()
			if next[to] == 0 {
				next[to] = number(t, "to", to)
			}
			next[to]++
			sent.Sender, sent.Sequence = t.Message.Target.Key+sent.class(), next[to]
			o.Changes = append(o.Changes, count("to", to, next[to]))
		}
		out.Payload = payloadOf(b.Kind, &sent)
		return out
	}
	for n := range p.Sends {
		o.Sends = append(o.Sends, outgoing(&p.Sends[n]))
	}
	if p.Raise != nil {
		o.Sends = append(o.Sends, p.Raise.raised())
	}
	if p.Tail != nil && o.Err == nil {
		out := outgoing(p.Tail)
		o.Tail = &out
	}
}

func handlerOf(kind string) string {
	if kind == "flow" {
		return msg.HandlerRun
	}
	return "do"
}

// payloadOf is a plan for an entity, or for a workflow the script of it: the
// plans that it sends are calls, together; then come an activity and a time.
func payloadOf(kind string, p *plan) msg.Payload {
	if kind != "flow" {
		return encode(p)
	}
	if len(p.Locks) > 0 {
		return lockedScript(p)
	}
	if p.Fail {
		return script(deed{Do: "fail", Name: "the plan says so"})
	}
	var deeds []deed
	for n := range p.Sends {
		deeds = append(deeds, deed{Do: "plan", To: &p.Sends[n], Start: true})
	}
	if p.Raise != nil {
		raise := deed{Do: "raise", Name: "moved", Start: true}
		raise.Task.Input = p.Raise.payload()
		for _, ref := range p.Raise.refs() {
			raise.Keys = append(raise.Keys, msg.LockKey{Ref: ref})
		}
		deeds = append(deeds, raise)
	}
	deeds = append(deeds, deed{Do: "activity", Name: "look around", Start: true}, deed{Do: "gather"}, deed{Do: "sleep", For: time.Millisecond})
	if p.Tail != nil {
		deeds = append(deeds, deed{Do: "pass on", To: p.Tail})
	}
	return script(deeds...)
}

// executeRing is what periodic reminders call: it checks that they fall due in
// their rhythm.
func executeRing(t *msg.Turn, violate func(string, ...any)) *msg.Outcome {
	name, due := t.Message.Reminder, t.Message.NotBefore
	if t.Message.Kind != msg.MessageTimer {
		return &msg.Outcome{Run: t.Run} // a dead letter, delivered again
	}
	if last := number(t, "rung", name); int(due) <= last {
		violate("reminder %s of %s fired for %d after it fired for %d", name, t.Message.Target, due, last)
	}
	if t.Now < due {
		violate("reminder %s of %s fired at %d, it is due at %d", name, t.Message.Target, t.Now, due)
	}
	return &msg.Outcome{Run: t.Run, Changes: []msg.Change{count("rung", name, int(due))}}
}

func entry(t *msg.Turn, field, key string) (string, bool) {
	if t.State.Fields == nil {
		return "", false
	}
	value, found := t.State.Fields.Entry(field, key)
	return string(value), found
}

func number(t *msg.Turn, field, key string) int {
	value, _ := entry(t, field, key)
	n, _ := strconv.Atoi(value)
	return n
}

func count(field, key string, n int) msg.Change {
	return msg.Change{Kind: msg.ChangePut, Field: field, Key: key, Value: strconv.AppendInt(nil, int64(n), 10)}
}

func encode(p *plan) msg.Payload {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return msg.Payload{Body: body}
}

// tokens lists what entities remember once a whole tree of plans is done. What
// fails is not remembered, nor what it would have sent.
func (p *plan) tokens(kind string) (list []string) {
	switch {
	case kind == "":
		return p.Raise.tokens()
	case len(p.Locks) > 0:
		return p.lockedTokens()
	case p.undone():
		return nil
	}
	if p.Raise != nil {
		list = append(list, p.Raise.tokens()...)
	}
	if strict(kind) {
		list = append(list, p.Token)
	}
	for n := range p.Sends {
		list = append(list, p.Sends[n].Plan.tokens(p.Sends[n].Kind)...)
	}
	if p.Tail != nil && !p.Fail {
		list = append(list, p.Tail.Plan.tokens(p.Tail.Kind)...)
	}
	for _, a := range p.Alarms {
		if a.Every == 0 {
			list = append(list, a.Plan.tokens(kind)...)
		}
	}
	return list
}

// failsAtEnd says that the turn that answers returns an error.
func (p *plan) failsAtEnd() bool {
	for !p.fails() && p.Tail != nil {
		p = &p.Tail.Plan
	}
	return p.fails()
}

// bounced lists the plans of a tree that become dead letters once the tree is
// done. The first is its caller's business if somebody waits for it.
func (p *plan) bounced(awaited bool) (list []string) {
	if p.Bounces && !awaited {
		return []string{p.Token}
	}
	if p.undone() {
		return nil
	}
	for n := range p.Sends {
		list = append(list, p.Sends[n].Plan.bounced(false)...)
	}
	if p.Tail != nil && !p.Fail {
		list = append(list, p.Tail.Plan.bounced(false)...)
	}
	return list
}

// planner makes plans.
type planner struct {
	w     *world
	token int
	facts []*fact // all
}

func (g *planner) next() string {
	g.token++
	return "token" + strconv.Itoa(g.token)
}

// make gives a plan for an entity. Obliged says that somebody waits for its
// outcome: then a panic is one.
func (g *planner) make(kind string, depth int, obliged bool) plan {
	w := g.w
	p := plan{Token: g.next(), Unordered: w.options.operator}
	if w.chance(8) {
		p.Fail, p.Keep = true, w.chance(50)
	}
	if w.chance(10) && !obliged {
		p.Panics = uint32(1 + w.random.IntN(2))
	}
	if w.chance(w.options.defers) {
		p.Defers = 1 + w.random.IntN(4)
		if w.options.defers >= 50 { // so many that several wait for the same
			p.Defers = 1
		}
	}
	p.Bounces = !p.Fail && !w.options.operator && w.chance(5) // an operator would redeliver it for ever
	g.fields(&p)
	if kind == "flow" {
		p.Keep, p.Defers, p.Bounces = false, 0, false
	}
	if kind == "brief" && w.chance(15) {
		p.Delete = true
	}
	if depth == 0 {
		return p
	}
	sends := w.random.IntN(1 + w.options.fan)
	if depth == 2 && w.options.wide > 0 && w.chance(10) {
		sends = w.options.wide
	}
	for range sends {
		b := g.branch(depth-1, kind == "flow")
		moved := w.random.IntN(100)
		if strict(kind) && strict(b.Kind) && !b.Plan.undone() {
			p.Amount -= moved
			b.Plan.Amount += moved
		}
		p.Sends = append(p.Sends, b)
	}
	if w.chance(25) && !p.Fail {
		b := g.branch(depth-1, obliged)
		b.Delay = 0
		p.Tail = &b
	}
	if w.chance(15) && !p.undone() && !(kind == "flow" && w.options.operator) { // there it may be given up
		p.Raise = g.placed(g.fact(g.accounts()))
	}
	if kind == "flow" && w.chance(35) {
		g.locked(&p)
	}
	if w.chance(15) && !p.Delete && kind != "flow" {
		p.Alarms = append(p.Alarms, g.alarm(kind))
	}
	return p
}

func (g *planner) fields(p *plan) {
	w := g.w
	if w.chance(30) {
		p.Set = strconv.Itoa(w.random.IntN(10))
	}
	if w.chance(15) {
		p.Remove = strconv.Itoa(w.random.IntN(10))
	}
	if w.chance(30) {
		p.Append = p.Token
	}
	if w.chance(5) {
		p.Clear = []string{"map", "list"}[w.random.IntN(2)]
	}
	if w.chance(10) {
		p.Filler = strings.Repeat(p.Token, w.random.IntN(20))
	}
}

func (g *planner) branch(depth int, obliged bool) branch {
	kind, key := g.target()
	b := branch{Kind: kind, Key: key, Plan: g.make(kind, depth, obliged)}
	if kind == "flow" {
		b.Key = b.Plan.Token
	}
	if g.w.chance(10) {
		b.Delay = g.w.duration(500 * time.Millisecond)
	}
	return b
}

// alarm gives a reminder: once, with a name of its own, or periodic.
func (g *planner) alarm(kind string) alarm {
	a := alarm{Delay: g.w.duration(2 * time.Second), Plan: plan{Token: g.next()}}
	a.Name = a.Plan.Token
	if kind == "clock" {
		a.Name, a.Every = "rhythm", 10*time.Millisecond+g.w.duration(time.Second)
	}
	return a
}

func (g *planner) target() (kind, key string) {
	n := g.w.random.IntN(100)
	switch {
	case n < 70:
		return "account", "a" + strconv.Itoa(g.w.random.IntN(g.w.options.keys))
	case n < 82:
		return "brief", "b" + strconv.Itoa(g.w.random.IntN(4))
	case n < 87:
		return "clock", "c" + strconv.Itoa(g.w.random.IntN(4))
	case n < 90:
		return "gauge", "c" + strconv.Itoa(g.w.random.IntN(4))
	default:
		return "flow", "" // its key is the token of its plan
	}
}

// sameReply says whether a repeat was answered like the first.
func sameReply(a, b *msg.Reply) bool {
	return a.Invocation == b.Invocation && slices.Equal(a.Payload.Body, b.Payload.Body) &&
		(a.Err == nil) == (b.Err == nil) && (a.Err == nil || a.Err.Code == b.Err.Code && a.Err.Message == b.Err.Message)
}
