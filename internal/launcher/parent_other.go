//go:build !linux

package launcher

import "syscall"

// dieWithParent does nothing where the kernel does not offer it.
func dieWithParent(*syscall.SysProcAttr) {}
