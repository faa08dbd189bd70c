package invariant

// Site is a place in production code where it may do something that is right and
// rarely happens. Under the build tag "invariants" a simulator makes it happen, so
// that what comes of it is tested: this is what FoundationDB calls buggify. Without
// the tag it costs nothing.
type Site uint8

// The sites. The comment at each says what happens there.
const (
	AcceptAtOnce Site = iota // engine: a message that waits is made durable at the receiver at once
	AckAlone                 // engine: an acknowledgement gets a record of its own at once
	FewGaps                  // engine: few messages may be overtaken before the oldest is accepted
	FillBuffer               // committer: there is no room in the open buffer
	WriteAtOnce              // committer: a frame is written although more could be gathered
	RollEarly                // embedded: a segment ends although there is room in it
	RefuseWork               // ingress: a request is refused, as if there were no room for new work
	ForgetRun                // workflow: a run that waits is not kept in memory
	SiteCount                // number of sites
)

var siteNames = [SiteCount]string{
	AcceptAtOnce: "accept at once", AckAlone: "acknowledge alone", FewGaps: "few gaps", FillBuffer: "fill the buffer",
	WriteAtOnce: "write at once", RollEarly: "roll early", RefuseWork: "refuse work", ForgetRun: "forget a run",
}

// String is the name of the site in traces.
func (s Site) String() string { return siteNames[s] }
