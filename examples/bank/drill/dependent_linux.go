package drill

import "syscall"

// dependent makes a process that ends with this one, and that Ctrl-C at the
// terminal does not reach: this process decides when it ends.
func dependent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
