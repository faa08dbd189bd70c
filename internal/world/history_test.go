package world_test

import (
	"fmt"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// history is what clients did with registers, and when.
type history struct{ operations []porcupine.Operation }

// question is what a client asked of a register.
type question struct {
	key   string
	write bool
	value string
}

// answer is what it was told.
type answer struct {
	value   string
	unknown bool // nothing
}

// registerModel is a register: a write returns what it replaced.
var registerModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		of := map[string][]porcupine.Operation{}
		for _, o := range all {
			k := o.Input.(question).key
			of[k] = append(of[k], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range of {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		q, a := input.(question), output.(answer)
		next := state
		if q.write {
			next = q.value
		}
		return a.unknown || a.value == state.(string), next
	},
}

// act does something with a register and notes it.
func (h *history) act(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	q := question{key: key(c), write: c.Random.IntN(2) == 0}
	begun, a, err := w.Clock(), answer{}, error(nil)
	if q.write {
		q.value = fmt.Sprint("v", len(h.operations), c.Name)
		a.value, err = replace.Call(door, q.key, q.value)
	} else {
		a.value, err = look.Call(door, q.key, holdfast.Void{})
	}
	expect(w, err)
	ended := int64(w.Clock())
	if err != nil {
		if !q.write {
			return // it has seen nothing
		}
		// It may be done, now or ever: or not at all, which is after the end.
		a.unknown, ended = true, 1<<62
	}
	h.operations = append(h.operations, porcupine.Operation{Input: q, Call: int64(begun), Output: a, Return: ended})
}

// check says whether the history has an order.
func (h *history) check() error {
	if !porcupine.CheckOperations(registerModel, h.operations) {
		return fmt.Errorf("the %d operations on registers have no order", len(h.operations))
	}
	return nil
}

func TestAHistoryWithoutAnOrderIsFound(t *testing.T) {
	write := func(value, old string, begin, end int64) porcupine.Operation {
		return porcupine.Operation{Input: question{key: "k", write: true, value: value}, Output: answer{value: old}, Call: begin, Return: end}
	}
	read := func(value string, begin, end int64) porcupine.Operation {
		return porcupine.Operation{Input: question{key: "k"}, Output: answer{value: value}, Call: begin, Return: end}
	}
	lost := write("b", "", 3, 1<<62)
	lost.Output = answer{unknown: true}
	for name, tc := range map[string]struct {
		history history
		ordered bool
	}{
		"one after the other":           {history{[]porcupine.Operation{write("a", "", 1, 2), read("a", 3, 4)}}, true},
		"a stale read":                  {history{[]porcupine.Operation{write("a", "", 1, 2), read("", 3, 4)}}, false},
		"a write that replaces nothing": {history{[]porcupine.Operation{write("a", "", 1, 2), write("b", "", 3, 4)}}, false},
		"a write that may be done":      {history{[]porcupine.Operation{write("a", "", 1, 2), lost, read("b", 5, 6)}}, true},
		"and need not be":               {history{[]porcupine.Operation{write("a", "", 1, 2), lost, read("a", 5, 6)}}, true},
		"but not undone":                {history{[]porcupine.Operation{write("a", "", 1, 2), lost, read("b", 5, 6), read("a", 7, 8)}}, false},
	} {
		if err := tc.history.check(); (err == nil) != tc.ordered {
			t.Errorf("%s: got %v, want ordered %v", name, err, tc.ordered)
		}
	}
}
