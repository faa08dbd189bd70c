//go:build !unix

package sidecar

import "net"

// isQuiet cannot tell here: idle connections are not used again.
func isQuiet(net.Conn) bool { return false }
