package vet

// rule is one kind of finding.
type rule struct {
	name   string
	effect string // what it does, after its name
	use    string // what replaces it in a workflow; empty: allowed there
	turn   string // what replaces it in a handler; empty: allowed there
	// travels says that a call is at fault wherever the function is declared.
	travels bool
}

// The replacements in handlers.
const (
	askLater = "send with holdfast.After, or set a reminder"
	askOther = "send to an activity, an entity or a workflow that sends the outcome back"
)

var (
	sleep = &rule{
		name: "sleep", effect: "waits in real time, and anew in each execution",
		use: "use ctx.Sleep or ctx.Until", turn: askLater, travels: true,
	}
	network = &rule{
		name: "network", effect: "talks to the outside again in each execution",
		use: "call an activity, or wrap it in holdfast.Step", turn: askOther, travels: true,
	}
	wait = &rule{
		name: "wait", effect: "waits for other goroutines",
		use: "start with holdfast.Go and wait with holdfast.All or Await", turn: askOther, travels: true,
	}
	channel = &rule{
		name: "channel", effect: "waits for other goroutines, of which nothing is recorded",
		use: "await a *holdfast.Future of holdfast.Go, a signal or a promise", turn: askOther, travels: true,
	}
	// timerReceive comes with the finding about the timer, which says it all
	// in a workflow.
	timerReceive = &rule{name: "channel", effect: channel.effect, turn: askLater, travels: true}
	selection    = &rule{
		name: "select", effect: "chooses by chance and waits for other goroutines",
		use: "use holdfast.Select", turn: askOther, travels: true,
	}
	// poll is a select with a default: it does not wait.
	poll = &rule{
		name: "select", effect: "depends on how far other goroutines are",
		use: "use holdfast.Select", travels: true,
	}
	goroutine = &rule{
		name: "goroutine", effect: "runs beside the workflow, and nothing of it is recorded",
		use: "use holdfast.Go", travels: true,
	}
	clock = &rule{
		name: "clock", effect: "gives another time in each execution",
		use: "use ctx.Now()", travels: true,
	}
	timer = &rule{
		name: "timer", effect: "fires in real time, and anew in each execution",
		use: "use ctx.Timer, and holdfast.Select to wait for it or something else", travels: true,
	}
	deadline = &rule{
		name: "deadline", effect: "ends in real time, at another step in each execution",
		use: "use ctx.Timer with holdfast.Select, or holdfast.Timeout for an activity", travels: true,
	}
	random = &rule{
		name: "random", effect: "gives another value in each execution",
		use: "use ctx.Rand(), or ctx.NewID() for an identifier", travels: true,
	}
	outside = &rule{
		name: "outside", effect: "depends on the machine or changes it, again in each execution",
		use: "wrap it in holdfast.Step, or call an activity", travels: true,
	}
	exit = &rule{
		name: "exit", effect: "ends the goroutine or the process under the workflow",
		use: "return an error", travels: true,
	}
	client = &rule{
		name: "client", effect: "goes past the record of the workflow",
		use: "give ctx itself to the handle, as in Deposit.Call(ctx, key, in)", turn: askOther, travels: true,
	}
	once = &rule{
		name: "once", effect: "may wait for another workflow, and runs in one execution only",
		use: "do it before the app is served, or in holdfast.Step",
	}
	lock = &rule{
		name: "lock", effect: "can wait for another workflow",
		use: "leave it out, for coroutines of a workflow run one at a time; to keep others away, " +
			"use Locks of the binding or an entity",
	}
	thread = &rule{
		name: "thread", effect: "keeps the thread across a wait, which ends the process",
		use: "call runtime.UnlockOSThread before the wait, or do the work in holdfast.Step",
	}
	recovery = &rule{
		name: "recover", effect: "also swallows the unwinding by which the runtime ends a workflow",
		use: "panic again with what was recovered, or recover in a function that waits for nothing",
	}
	variable = &rule{
		name: "variable", effect: "is shared by all workflows and part of no record",
		use: "keep it in a local variable, or in an entity",
	}
	order = &rule{
		name: "order", effect: "has another order in each execution",
		use: "range over slices.Sorted(maps.Keys(m))",
	}
	output = &rule{
		name: "output", effect: "is written again in each execution",
		use: "use ctx.Log()",
	}
)

// ranked lists all rules. Of several things that one call leads to, the
// earliest is reported.
var ranked = []*rule{
	exit, thread, sleep, network, wait, channel, timerReceive, selection, poll, goroutine, timer, deadline, clock,
	random, outside, client, once, lock, recovery, variable, order, output,
}

// rank is the place of a rule in the list, which also names it in facts.
func (r *rule) rank() int {
	for i, other := range ranked {
		if other == r {
			return i
		}
	}
	return len(ranked)
}

// advice says what replaces a finding in code of a role; empty if it is allowed
// there.
func (r *rule) advice(in role) string {
	switch in {
	case workflow:
		return r.use
	case turn:
		return r.turn
	}
	return ""
}
