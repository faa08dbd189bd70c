package client

import "context"

type contextKey struct{}

// NewContext puts a connection into a context, for the activities that run in
// it.
func NewContext(ctx context.Context, c Conn) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext gives the connection of a context; nil if it has none.
func FromContext(ctx context.Context) Conn {
	c, _ := ctx.Value(contextKey{}).(Conn)
	return c
}
