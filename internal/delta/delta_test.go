package delta_test

import (
	"math/rand/v2"
	"testing"

	"github.com/holdfast-io/holdfast/internal/delta"
)

func TestARegionTurnsOneTextIntoTheOther(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	text := func() []byte {
		b := make([]byte, random.IntN(8))
		for n := range b {
			b[n] = 'a' + byte(random.IntN(2))
		}
		return b
	}
	for range 10_000 {
		before, after := text(), text()
		r := delta.Between(before, after)
		got, err := delta.Apply(before, r)
		if err != nil || string(got) != string(after) {
			t.Fatalf("%q to %q by %+v: got %q, %v", before, after, r, got, err)
		}
		if string(before) == string(after) && (r.Remove != 0 || len(r.Insert) != 0) {
			t.Fatalf("the same text differs in %+v", r)
		}
	}
}

func TestARegionOutsideOfTheTextIsAnError(t *testing.T) {
	for _, r := range []delta.Region{{Offset: 2, Remove: 2}, {Offset: 4}, {Remove: 1<<32 - 1, Offset: 1<<32 - 1}} {
		if got, err := delta.Apply([]byte("abc"), r); err == nil {
			t.Errorf("%+v: got %q", r, got)
		}
	}
}
