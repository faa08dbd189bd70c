package engine

import (
	"github.com/tidwall/btree"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// page gives the entries behind the place that a request names, and at most as
// many as it wants.
func page[V any](entries *btree.Map[string, V], r *msg.Request, take func(V)) {
	count := 0
	entries.Ascend(r.After, func(place string, entry V) bool {
		if place == r.After {
			return true
		}
		take(entry)
		count++
		return count != r.Limit
	})
}
