package engine

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// digest writes what a run sees of an instance.
func digest(s *msg.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d %d %s", s.Exists, s.Version, s.StateVersion, hex.EncodeToString(s.Root.Body))
	if s.Fields == nil {
		return b.String()
	}
	for _, name := range s.Fields.Names() {
		fmt.Fprintf(&b, " %s(%d)", name, s.Fields.Len(name))
		if s.Fields.IsList(name) {
			s.Fields.Items(name, func(_ int, v []byte) bool { fmt.Fprintf(&b, " %q", v); return true })
		} else {
			s.Fields.Entries(name, func(k string, v []byte) bool { fmt.Fprintf(&b, " %s=%q", k, v); return true })
		}
	}
	return b.String()
}

// difference says where two dumps differ first; empty if they are equal.
func difference(got, want string) string {
	if got == want {
		return ""
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for n := range max(len(g), len(w)) {
		var a, b string
		if n < len(g) {
			a = g[n]
		}
		if n < len(w) {
			b = w[n]
		}
		if a != b {
			return fmt.Sprintf("line %d is\n  %.900s\nwant\n  %.900s", n+1, a, b)
		}
	}
	return "the dumps differ"
}
