package bench

import (
	"strconv"
	"sync/atomic"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// tally is a small entity: a counter.
type tally struct{ N int64 }

// link is an entity of a chain.
type link struct{ N int64 }

// record is an entity that holds a text.
type record struct{ Text string }

// hop is the input of a link: which chain, and which of its links.
type hop struct{ Chain, Link int }

// chainLinks is how many entities a call of the workload chain passes through.
const chainLinks = 10

var (
	tallies = holdfast.NewEntity[tally]("tally")
	add     = holdfast.NewUpdate[int64, int64](tallies, "add")
	get     = holdfast.NewRead[holdfast.Void, int64](tallies, "get")

	links   = holdfast.NewEntity[link]("link")
	passOn  = holdfast.NewUpdate[hop, int64](links, "pass-on")
	records = holdfast.NewEntity[record]("record")
	put     = holdfast.NewUpdate[string, holdfast.Void](records, "put")
	look    = holdfast.NewRead[holdfast.Void, int](records, "look")
)

// application is what is measured, with what its callers must know about it.
type application struct {
	app     *holdfast.App
	done    atomic.Uint64 // additions
	chains  [][chainLinks]string
	rallies rallies
}

// newApplication makes an application with so many chains, the links of each on
// partitions of their own.
func newApplication(chains, partitions int) *application {
	a := &application{chains: make([][chainLinks]string, chains)}
	for i := range a.chains {
		for j := range a.chains[i] {
			a.chains[i][j] = keyOn(i, j, partitions)
		}
	}
	a.app = holdfast.NewApp("bench",
		add.Handle(a.add), get.Handle(holdfast.NoInput(a.get)),
		passOn.Handle(a.passOn),
		put.Handle(a.put), look.Handle(holdfast.NoInput(a.look)),
		a.workflowParts())
	return a
}

// keyOn finds a key for a link that belongs to its partition. Neighbours in a
// chain are on neighbouring partitions, chains begin on different ones.
func keyOn(chain, link, partitions int) string {
	want := msg.Partition((chain + link) % partitions)
	for salt := 0; ; salt++ {
		key := strconv.Itoa(chain) + "-" + strconv.Itoa(link) + "-" + strconv.Itoa(salt)
		if msg.PartitionOf(msg.Ref{Kind: "link", Key: key}, "", partitions) == want {
			return key
		}
	}
}

func (a *application) add(ctx *holdfast.UpdateContext[tally], n int64) (int64, error) {
	ctx.State.N += n
	a.done.Add(1)
	return ctx.State.N, nil
}

func (a *application) get(ctx *holdfast.ReadContext[tally]) (int64, error) { return ctx.State.N, nil }

func (a *application) passOn(ctx *holdfast.UpdateContext[link], at hop) (int64, error) {
	ctx.State.N++
	if at.Link++; at.Link == chainLinks {
		return ctx.State.N, nil
	}
	return passOn.Tail(ctx, a.chains[at.Chain][at.Link], at)
}

func (a *application) put(ctx *holdfast.UpdateContext[record], text string) (holdfast.Void, error) {
	ctx.State.Text = text
	return holdfast.None, nil
}

func (a *application) look(ctx *holdfast.ReadContext[record]) (int, error) {
	return len(ctx.State.Text), nil
}
