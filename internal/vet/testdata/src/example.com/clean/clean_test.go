package clean

import (
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
)

func TestAWorkflowThatWaits(t *testing.T) {
	holdfast.NewWorkflow[int, int]("test").Handle(func(ctx *holdfast.WorkflowContext, in int) (int, error) {
		time.Sleep(1)
		return in, nil
	})
}
