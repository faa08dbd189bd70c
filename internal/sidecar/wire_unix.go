//go:build unix

package sidecar

import (
	"net"
	"syscall"
)

// isQuiet looks at a connection without waiting: one that is as it should be has
// nothing to read.
func isQuiet(c net.Conn) (quiet bool) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return quiet && err == nil
}
