package main

import (
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

func TestAddGivesTheNewValue(t *testing.T) {
	r := holdfasttest.Turn(add, Counter{N: 40}, 2)
	if r.Err != nil || r.Out != 42 || r.State.N != 42 {
		t.Fatalf("got %d, state %+v, error %v; want 42", r.Out, r.State, r.Err)
	}
}

func TestGetLooks(t *testing.T) {
	n, err := holdfasttest.Read(get, Counter{N: 7}, holdfast.None)
	if err != nil || n != 7 {
		t.Fatalf("got %d and error %v, want 7", n, err)
	}
}
