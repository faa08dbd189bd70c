//go:build !linux

package drill

import "syscall"

// dependent makes a process that Ctrl-C at the terminal does not reach: this
// process decides when it ends. If this process is killed, the other stays.
func dependent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
