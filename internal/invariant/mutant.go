package invariant

// Mutant is a bug that can be planted in production code, under the build tag
// "invariants", to show that tests find it. Without the tag there is none.
type Mutant int32

// The mutants. The comment at each says what the planted code does.
const (
	None                Mutant = iota
	SkipDeduplication          // engine: a message that was consumed is taken again
	HighWaterMark              // engine: a mark instead of the set of what is consumed
	DropOutbox                 // engine: a message is missing in an outbox after a start
	DoubleFire                 // engine: a reminder fires twice
	EarlyFire                  // engine: a reminder fires before it is due
	ForgetAnswers              // engine: what callers were told is forgotten at a start
	DeliverBeforeAppend        // loop: effects leave before their record is in the buffer
	ReleaseEarly               // loop: a reply leaves before its record is durable
	PerformEarly               // loop: an activity begins before what asks for it is durable
	PublishEarly               // loop: a checkpoint is published before the log is durable at its end
	ApplyPastHole              // recovery: the log is trimmed too far, and nobody minds that records are missing
	TrustCache                 // embedded: what was read from the page cache is taken for durable
	UnsortedLocks              // engine: keys are locked in one order or the other, as they are named
	EventWithoutAbort          // engine: what was prepared of an event is applied although another entity has refused it
	ReverseDeferred            // engine: what was deferred is offered again in reverse order
	SplitGroups                // workflow: what was delivered together is delivered one by one when a journal is executed again
	SkipChecksum               // embedded: the checksums in a checkpoint are not looked at
	MutantCount                // number of mutants
)

var mutantNames = [MutantCount]string{
	None: "none", SkipDeduplication: "skip deduplication", HighWaterMark: "a high-water mark instead of the consumed set",
	DropOutbox: "drop an outbox entry", DoubleFire: "double-fire a timer", EarlyFire: "fire a timer early",
	ForgetAnswers:       "forget answers at a start",
	DeliverBeforeAppend: "deliver before append", ReleaseEarly: "release a reply before durable",
	PerformEarly: "dispatch an activity before durable", PublishEarly: "publish a checkpoint early", ApplyPastHole: "apply past a hole", TrustCache: "trust the page cache at recovery",
	UnsortedLocks: "unsorted locks", EventWithoutAbort: "event without abort", ReverseDeferred: "deferred messages in reverse order",
	SplitGroups: "re-execution without delivery groups", SkipChecksum: "skip a checksum",
}

// String says what the bug is.
func (m Mutant) String() string { return mutantNames[m] }
