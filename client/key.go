package client

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// KeyBytesMax is the longest key, in bytes of UTF-8.
const KeyBytesMax = msg.KeyBytesMax

// CheckKey says what is wrong with the key of an entity; nil if nothing is.
// Keys are part of URLs, where "." and ".." mean something else.
func CheckKey(key string) error { return msg.ValidKey(key) }

// RunID makes the id of a run of a workflow whose caller gave none: 32
// hexadecimal digits. It is random, unless there is an idempotency key: then it
// is the same for the same key, so that repeats are one run.
func RunID(workflow, idempotencyKey string) string {
	if idempotencyKey == "" {
		id := make([]byte, 16)
		rand.Read(id) // never fails: crypto/rand stops the process instead
		return hex.EncodeToString(id)
	}
	id := msg.FingerprintOf("run", workflow, idempotencyKey)
	return hex.EncodeToString(id[:])
}
