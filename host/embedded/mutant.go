package embedded

// mutant plants a mistake, so that a test can show that the conformance suite
// reports it. Production code never sets it.
type mutant uint8

const (
	mutantNone              mutant = iota
	mutantTrustPageCache           // what recovery read is not written again
	mutantAcceptTorn               // the checksum of a payload is not looked at
	mutantCutAlways                // damage is taken for a torn frame
	mutantNoDirectorySync          // names are not made durable
	mutantNoDataSync               // frames are not made durable
	mutantRetryAfterFailure        // a failed sync does not poison
	mutantAcceptStale              // frames of an earlier use of a file are accepted
	mutantPublishEarly             // a checkpoint is current before it is durable
	mutantNoFence                  // older epochs may write
)
