package drill

import (
	"fmt"
	"strings"
	"time"
)

// report is what a drill found.
type report struct {
	transfers     int // answered, refusals included
	workflows     int // of those
	events        int // of those
	kills         int
	lost, doubled int           // transfers
	recovery      time.Duration // the longest, from starting the process to its first answer
	reasons       []string      // why the drill has failed
}

// reasonsMax bounds the last line: what is wrong once is often wrong a
// thousand times.
const reasonsMax = 5

func (r *report) sound() bool { return len(r.reasons) == 0 && r.lost == 0 && r.doubled == 0 }

func (r *report) wrong(format string, arguments ...any) {
	r.reasons = append(r.reasons, fmt.Sprintf(format, arguments...))
}

func (r *report) why() string {
	shown := r.reasons
	if len(shown) > reasonsMax {
		shown = append(shown[:reasonsMax:reasonsMax], fmt.Sprintf("and %d more", len(r.reasons)-reasonsMax))
	}
	return strings.Join(strings.Fields(strings.Join(shown, "; ")), " ") // one line
}

// String gives the fields of the last line. Readers find them by name: new ones
// go to the end.
func (r *report) String() string {
	return fmt.Sprintf("transfers=%d kills=%d lost=%d doubled=%d recovery_ms=%d workflows=%d events=%d",
		r.transfers, r.kills, r.lost, r.doubled, r.recovery.Milliseconds(), r.workflows, r.events)
}
