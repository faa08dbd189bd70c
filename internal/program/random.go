package program

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
)

type randomKey struct{}

// WithRandom puts a source of random bytes into a context that is given to Turn or
// to a client, in place of the system's: see NewID. The source never fails.
func WithRandom(ctx context.Context, source io.Reader) context.Context {
	return context.WithValue(ctx, randomKey{}, source)
}

// NewID makes an id that nothing else has: 32 hexadecimal digits.
func NewID(ctx context.Context) string {
	source, ok := ctx.Value(randomKey{}).(io.Reader)
	if !ok {
		source = rand.Reader
	}
	var id [16]byte
	_, _ = io.ReadFull(source, id[:]) // neither source fails
	return hex.EncodeToString(id[:])
}
