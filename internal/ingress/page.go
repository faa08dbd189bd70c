package ingress

import (
	"encoding/base64"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// deadLetterPageBytes bounds the inputs in one page of dead letters, apart from
// its first: 1,000 of the largest would not fit into memory.
// 16 MiB: two of the largest inputs, or a whole page of 16 KiB each.
const deadLetterPageBytes = 16 << 20

// PageOfParked cuts the answer to a request that asked for one entry more than
// the page has: next is a cursor if anything follows it, and empty otherwise.
func PageOfParked(list []msg.Parked, limit int) (page []msg.Parked, next string) {
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], cursor(list[limit-1].Place())
}

// PageOfLocks is PageOfParked for locks.
func PageOfLocks(list []msg.Lock, limit int) (page []msg.Lock, next string) {
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], cursor(list[limit-1].Place())
}

// PageOfDeadLetters is PageOfParked for dead letters. A page may have fewer than
// the limit although more follow, because their inputs are large.
func PageOfDeadLetters(list []msg.DeadLetter, limit int) (page []msg.DeadLetter, next string) {
	bytes := 0
	for n := range list {
		bytes += len(list[n].Message.Payload.Body)
		if n == limit || n > 0 && bytes > deadLetterPageBytes {
			return list[:n], cursor(list[n-1].Place())
		}
	}
	return list, ""
}

// cursor makes text of a place that means nothing to whoever passes it back.
func cursor(place string) string { return base64.RawURLEncoding.EncodeToString([]byte(place)) }

// ParseCursor gives the place that a page begins behind. Nothing is the
// beginning.
func ParseCursor(text string) (place string, err *msg.Error) {
	raw, decodeErr := base64.RawURLEncoding.DecodeString(text)
	if decodeErr != nil {
		return "", invalid("after is %.100q: it must be the next of the page before, unchanged", text)
	}
	return string(raw), nil
}
