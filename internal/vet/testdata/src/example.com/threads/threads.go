// Package threads has workflows that interfere with their goroutine.
package threads

import (
	"fmt"
	"runtime"

	"example.com/library"
	"github.com/holdfast-io/holdfast"
)

func held(ctx *holdfast.WorkflowContext, in int) (int, error) {
	runtime.LockOSThread() // want `runtime.LockOSThread keeps the thread across a wait, which ends the process: call runtime.UnlockOSThread before the wait, or do the work in holdfast.Step`
	defer runtime.UnlockOSThread()
	return 0, ctx.Sleep(1)
}

func never(ctx *holdfast.WorkflowContext, in int) (int, error) {
	runtime.LockOSThread() // want `runtime.LockOSThread keeps the thread`
	return 0, nil
}

func inside(ctx *holdfast.WorkflowContext, in int) (int, error) {
	pause := func() error {
		runtime.LockOSThread() // want `runtime.LockOSThread keeps the thread`
		defer runtime.UnlockOSThread()
		return ctx.Sleep(1)
	}
	return 0, pause()
}

func pinned(ctx *holdfast.WorkflowContext, in int) (int, error) {
	pin() // want `pin leads to runtime.LockOSThread \(threads.go:\d+\), which keeps the thread`
	return 0, ctx.Sleep(1)
}

func pin() { runtime.LockOSThread() }

func released(ctx *holdfast.WorkflowContext, in int) (int, error) {
	runtime.LockOSThread()
	_ = ctx.Now()
	runtime.UnlockOSThread()
	brief()
	return 0, ctx.Sleep(1)
}

func brief() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
}

func swallowing(ctx *holdfast.WorkflowContext, in int) (out int, err error) {
	defer func() { // want `a recover also swallows the unwinding by which the runtime ends a workflow: panic again with what was recovered`
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	defer rescue(&err)     // want `a recover also swallows`
	defer library.Rescue() // want `a recover also swallows`
	return 0, ctx.Sleep(1)
}

func rescue(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%v", r)
	}
}

func again(ctx *holdfast.WorkflowContext, in int) (out int, err error) {
	defer func() {
		r := recover()
		if _, mine := r.(fmt.Stringer); r != nil && !mine {
			panic(r)
		}
	}()
	defer func() { panic(recover()) }()
	return 0, ctx.Sleep(1)
}

// parse waits for nothing: no unwinding of a workflow comes through it.
func parse(text string) (err error) {
	defer rescue(&err)
	panic(text)
}

func calculating(ctx *holdfast.WorkflowContext, in string) (int, error) {
	err := func() (err error) {
		defer rescue(&err)
		return parse(in)
	}()
	if err != nil {
		return 0, err
	}
	return 0, ctx.Sleep(1)
}
