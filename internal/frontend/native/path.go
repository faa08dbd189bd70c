package native

import (
	"net/url"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// segmentsMax is one more than the longest path has after its prefix.
const segmentsMax = 5

// segments is an escaped path cut at its slashes. Segments above the bound are
// counted as one, which no route has.
type segments struct {
	escaped [segmentsMax]string
	count   int
}

func cutPath(path string) (s segments) {
	for more := true; more && s.count < segmentsMax; s.count++ {
		s.escaped[s.count], path, more = strings.Cut(path, "/")
	}
	return s
}

// text gives a segment without its escapes.
func (s *segments) text(i int) string {
	escaped := s.escaped[i]
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped
	}
	text, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped // cannot be: net/url has checked the escapes of the whole path
	}
	return text
}

// target gives the kind and key in the first two segments.
func (s *segments) target() (msg.Ref, *msg.Error) {
	target := msg.Ref{Kind: s.text(0), Key: s.text(1)}
	if err := msg.ValidKey(target.Key); err != nil {
		return target, err.(*msg.Error) // ValidKey says so
	}
	return target, nil
}

// run gives the workflow and the id in the first two segments. What an id may be
// is for the door to say.
func (s *segments) run() msg.Ref { return msg.Ref{Kind: s.text(0), Key: s.text(1)} }
