//go:build unix

package session

import "syscall"

// writeNow writes what the system takes without waiting.
func writeNow(fd uintptr, b []byte) int {
	n, err := syscall.Write(int(fd), b)
	if err != nil {
		return 0
	}
	return n
}
