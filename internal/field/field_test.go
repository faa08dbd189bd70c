package field

import (
	"fmt"
	"testing"
)

// Goal: a view stays as it was. Method: fields that are changed in every way
// after a view of them was made.

func told(v *View) (s string) {
	for _, name := range v.Names() {
		s += fmt.Sprint(name, v.IsList(name), v.Len(name))
		v.Entries(name, func(key string, value []byte) bool { s += " " + key + "=" + string(value); return true })
		v.Items(name, func(n int, value []byte) bool { s += fmt.Sprint(" ", n, "=", string(value)); return true })
		s += "; "
	}
	return s
}

func TestAViewStaysAsItWas(t *testing.T) {
	for _, one := range []bool{true, false} {
		m, l := Map("m"), List("l")
		m.Entries.Set("a", []byte("1"))
		l.Items = append(make([][]byte, 0, 10), []byte("x"))
		fields := []*Field{l, m}
		if one {
			fields = fields[:1]
		}
		v := ViewOf(fields)
		before := told(v)
		m.Entries.Set("a", []byte("2"))
		m.Entries.Set("b", []byte("3"))
		m.Entries.Delete("a")
		l.Items = append(l.Items, []byte("y"))
		if got := told(v); got != before {
			t.Errorf("a view was %s, and is %s", before, got)
		}
		if again := told(ViewOf(fields)); again == before {
			t.Errorf("another view is still %s", again)
		}
	}
}

func TestWhatAViewDoesNotHave(t *testing.T) {
	v := ViewOf([]*Field{List("l"), Map("m")})
	if _, ok := v.Entry("none", "k"); ok || v.Len("none") != 0 || v.IsList("none") || v.IsList("m") {
		t.Error("a view has what is not there")
	}
	if _, ok := v.Entry("l", "k"); ok {
		t.Error("a list has an entry")
	}
	v.Items("none", func(int, []byte) bool { t.Error("an item of nothing"); return true })
	v.Entries("l", func(string, []byte) bool { t.Error("an entry of a list"); return true })
}
