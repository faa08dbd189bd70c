package engine

import (
	"reflect"
	"testing"
)

// Add sums every number, and takes the older of two times.
func TestStatsAreSummed(t *testing.T) {
	var a, b Stats
	for n := range reflect.TypeFor[Stats]().NumField() {
		for factor, s := range []*Stats{&a, &b} {
			switch f := reflect.ValueOf(s).Elem().Field(n); f.Kind() {
			case reflect.Uint64:
				f.SetUint(uint64((n + 1) * (factor + 1)))
			default:
				f.SetInt(int64((n + 1) * (factor + 1)))
			}
		}
	}
	sum := a.Add(b)
	for n := range reflect.TypeFor[Stats]().NumField() {
		name := reflect.TypeFor[Stats]().Field(n).Name
		want := 3 * (n + 1)
		if name == "OldestAnswer" {
			want = n + 1
		}
		f := reflect.ValueOf(sum).Field(n)
		got := 0
		if f.CanUint() {
			got = int(f.Uint())
		} else {
			got = int(f.Int())
		}
		if got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
