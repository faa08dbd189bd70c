// Package loops has ranges over maps.
package loops

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/holdfast-io/holdfast"
)

var add = holdfast.NewUpdate[int, int](holdfast.NewEntity[int]("counter"), "add")

type Shape interface{ ~map[string]int }

type Shaped interface{ Shape }

func effects(ctx *holdfast.WorkflowContext, in map[string]int) (string, error) {
	for k, v := range in { // want `a range over a map that calls Call with the context has another order in each execution: range over slices.Sorted\(maps.Keys\(m\)\)`
		if _, err := add.Call(ctx, k, v); err != nil {
			return "", err
		}
	}
	for k := range maps.Keys(in) { // want `a range over a map that calls Send with the context`
		add.Send(ctx, k, 1)
	}
	ids := map[string]string{}
	for k := range in { // want `a range over a map that calls NewID with the context`
		ids[k] = ctx.NewID()
	}
	send := func(k string) { add.Send(ctx, k, 1) }
	for k := range in { // want `a range over a map that calls send with the context`
		send(k)
	}
	var first, names []string
	for k := range in { // want `a range over a map that appends to first, which nothing sorts afterwards, has another order`
		first = append(first, k)
	}
	var values []int
	for k, v := range in { // want `a range over a map that appends to values`
		names, values = append(names, k), append(values, v)
	}
	sort.Strings(names)
	var searched []string
	for k := range in { // want `a range over a map that appends to searched`
		searched = append(searched, k)
	}
	_ = sort.SearchStrings(searched, "x")
	var text strings.Builder
	for k := range in { // want `a range over a map that writes has another order`
		text.WriteString(k)
	}
	for k := range in { // want `a range over a map that writes`
		fmt.Fprintf(&text, k)
	}
	joined, sum := "", 0.0
	for k := range in { // want `a range over a map that joins text`
		joined = joined + k
	}
	for _, v := range in { // want `a range over a map that adds floating-point numbers, which are rounded,`
		sum += float64(v)
	}
	keys := slices.Collect(maps.Keys(in)) // want `a slice of the keys or values of a map, which nothing sorts, has another order`
	_ = unsorted(in)                      // want `unsorted leads to a range over a map that appends to keys, which nothing sorts afterwards, \(loops.go:\d+\), which has another order`
	return joined + first[0] + keys[0], nil
}

func generic[M Shaped](ctx *holdfast.WorkflowContext, in M) {
	for k := range in { // want `a range over a map that calls Send with the context`
		add.Send(ctx, k, 1)
	}
}

func unsorted(in map[string]int) (keys []string) {
	for k := range in {
		keys = append(keys, k)
	}
	return keys
}

func orderless(ctx *holdfast.WorkflowContext, in map[string]int) (int, error) {
	sum, found := 0, false
	inverse := map[int][]string{}
	for k, v := range in {
		sum += v
		inverse[v] = append(inverse[v], k)
		found = found || v > 3
		var own []string
		own = append(own, k)
		ctx.Log().Info("seen", "key", k)
		var line strings.Builder
		line.WriteString(k)
	}
	var names, others []string
	for k := range in {
		names = append(names, k)
	}
	sort.Strings(names)
	for k := range maps.Keys(in) {
		others = append(others, k)
	}
	slices.SortFunc(others, strings.Compare)
	for _, k := range slices.Sorted(maps.Keys(in)) {
		add.Send(ctx, k, 1)
	}
	keys := slices.Collect(maps.Keys(in))
	slices.Sort(keys)
	sorted := unsorted(in)
	slices.Sort(sorted)
	var declared = unsorted(in)
	sort.Strings(declared)
	_ = slices.Sorted(slices.Values(unsorted(in)))
	return sum + len(keys), nil
}
