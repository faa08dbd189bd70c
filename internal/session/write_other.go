//go:build !unix

package session

// writeNow leaves everything to the goroutine that writes.
func writeNow(uintptr, []byte) int { return 0 }
