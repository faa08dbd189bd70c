// Package outside pretends to be what only Holdfast makes.
package outside

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
)

type fake struct{}

func (fake) canSend(client.Request)                 {}
func (fake) canWait(client.Request) ([]byte, error) { return nil, nil }
func (fake) addTo(*holdfast.App)                    {}

var (
	_ holdfast.Sender = fake{}                             // want "unexported method canSend"
	_ holdfast.Caller = fake{}                             // want "unexported method canWait"
	_ holdfast.Part   = fake{}                             // want "unexported method addTo"
	_                 = holdfast.Invocation[int]{"1", nil} // want "implicit assignment to unexported field"
	_                 = holdfast.Void{1}                   // want "too many values in struct literal"
)
