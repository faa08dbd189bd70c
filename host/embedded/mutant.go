package embedded

// mutant plants a mistake in this package, so that a test can show that the
// conformance suite reports it. Production code never sets it. Mistakes that a
// disk can make for us (a sync that does nothing) are planted there instead.
type mutant uint8

const (
	mutantNone        mutant = iota
	mutantTrustCache         // what recovery read is not written again
	mutantTrustSeal          // a seal that was read is taken for durable
	mutantAcceptTorn         // the checksum of a payload is not looked at
	mutantAcceptStale        // bytes of an earlier use of a file are accepted
	mutantCutAlways          // damage is taken for a torn frame
	mutantGoOn               // a failed write or sync does not poison
	mutantAnyEpoch           // older epochs may write
	mutantAlwaysRoom         // room is never refused
	mutantForgetMarks        // marks are not zeroed at an orderly end
	mutantListByList         // a list of checkpoints is published one by one
)
