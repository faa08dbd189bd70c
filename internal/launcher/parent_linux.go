package launcher

import "syscall"

// dieWithParent lets the kernel kill the process when the thread ends that has
// started it.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
