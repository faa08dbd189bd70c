// Package allows silences findings.
package allows

import (
	"time"

	"github.com/holdfast-io/holdfast"
)

func silenced(ctx *holdfast.WorkflowContext, in int) (int, error) {
	time.Sleep(1) //holdfast:allow a demonstration
	//holdfast:allow a demonstration
	time.Sleep(1)
	nap() //holdfast:allow a demonstration
	return 0, nil
}

func twice(ctx *holdfast.WorkflowContext, in int) (time.Duration, error) {
	//holdfast:allow the first of two
	return time.Since(time.Now()), nil //holdfast:allow the second of two
}

func nap() { time.Sleep(1) }

func quiet() {
	nap() //holdfast:allow a demonstration
}

func loud(ctx *holdfast.WorkflowContext, in int) (int, error) {
	quiet()
	_ = time.Since(time.Now()) /* want `time.Now` */ //holdfast:allow one of the two
	time.Sleep(1)              //holdfast:allow only this line
	time.Sleep(1)              // want `time.Sleep`
	//holdfast:allow only the next line

	time.Sleep(1) // want `time.Sleep`
	time.Sleep(1) /* want `time.Sleep` `//holdfast:allow gives no reason: write why this is safe here` */ //holdfast:allow
	time.Sleep(1) /* want `time.Sleep` */                                                                 //holdfast:allowance is another word
	return 0, nil
}
