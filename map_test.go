package holdfast_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

type basket struct {
	Note  string
	Items holdfast.Map[string, int] `json:"items"`
	Log   holdfast.List[string]
}

// shop is an app whose update does what the test says.
type shop struct {
	update func(ctx *holdfast.UpdateContext[basket]) error
	read   func(ctx *holdfast.ReadContext[basket]) (string, error)
	app    *holdfast.App
	entity *entity
}

func newShop(options ...holdfast.EntityOptions[basket]) *shop {
	s := &shop{entity: newEntity()}
	kind := holdfast.NewEntity[basket]("basket")
	change := holdfast.NewUpdate[holdfast.Void, holdfast.Void](kind, "change")
	look := holdfast.NewRead[holdfast.Void, string](kind, "look")
	parts := holdfast.Parts{
		change.Handle(holdfast.Plain(func(ctx *holdfast.UpdateContext[basket]) error { return s.update(ctx) })),
		look.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[basket]) (string, error) { return s.read(ctx) })),
	}
	for _, o := range options {
		parts = append(parts, kind.Options(o))
	}
	s.app = holdfast.NewApp("shop", parts)
	return s
}

func (s *shop) turn(handler string) *msg.Outcome {
	turn := turnOn("basket", handler, ``, ``)
	turn.State = s.entity.snapshot()
	if handler == "look" {
		turn.Mode = msg.ModeRead
	}
	o := s.app.Program().Turn(context.Background(), turn)
	s.entity.apply(o)
	return o
}

func (s *shop) do(t *testing.T, fn func(ctx *holdfast.UpdateContext[basket]) error) *msg.Outcome {
	t.Helper()
	s.update = fn
	o := s.turn("change")
	if o.Err != nil || o.Fault != "" {
		t.Fatalf("turn: %v %s", o.Err, o.Fault)
	}
	return o
}

func (s *shop) see(t *testing.T, fn func(ctx *holdfast.ReadContext[basket]) (string, error)) string {
	t.Helper()
	s.read = fn
	o := s.turn("look")
	var text string
	if o.Err != nil || o.Fault != "" || json.Unmarshal(o.Output.Body, &text) != nil {
		t.Fatalf("turn: %v %s %s", o.Err, o.Fault, o.Output.Body)
	}
	return text
}

// contents shows all that a reader can see of maps and lists.
func contents(ctx *holdfast.ReadContext[basket]) (string, error) {
	items := maps.Collect(ctx.State.Items.All())
	return fmt.Sprint(items, ctx.State.Items.Len(), slices.Collect(ctx.State.Log.All()), ctx.State.Log.Len()), nil
}

func TestMapAndListAreStoredByEntry(t *testing.T) {
	s := newShop()
	o := s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Note = "n"
		ctx.State.Items.Put("b", 2)
		ctx.State.Log.Append("one", "two")
		ctx.State.Items.Put("a", 1)
		ctx.State.Items.Delete("b")
		ctx.State.Items.Delete("never there")
		return nil
	})
	if string(o.Root.Body) != `{"Note":"n","items":null,"Log":null}` {
		t.Errorf("root %s", o.Root.Body)
	}
	var got []string
	for _, c := range o.Changes {
		got = append(got, fmt.Sprintf("%d %s %q %s", c.Kind, c.Field, c.Key, c.Value))
	}
	want := []string{
		fmt.Sprintf("%d items \"b\" 2", msg.ChangePut), fmt.Sprintf("%d Log \"\" \"one\"", msg.ChangeAppend),
		fmt.Sprintf("%d Log \"\" \"two\"", msg.ChangeAppend), fmt.Sprintf("%d items \"a\" 1", msg.ChangePut),
		fmt.Sprintf("%d items \"b\" ", msg.ChangeRemove),
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if seen := s.see(t, contents); seen != "map[a:1] 1 [one two] 2" {
		t.Errorf("a later read sees %s", seen)
	}
}

func TestUndoneTurnChangesNoMap(t *testing.T) {
	s := newShop()
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error { ctx.State.Items.Put("a", 1); return nil })
	s.update = func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Items.Clear()
		ctx.State.Log.Append("x")
		return errInsufficient
	}
	undone(t, s.turn("change"), "insufficient_funds", "")
	if seen := s.see(t, contents); seen != "map[a:1] 1 [] 0" {
		t.Errorf("sees %s", seen)
	}
}

func TestChangeInAReadPanics(t *testing.T) {
	for what, change := range map[string]func(s *basket){
		"Map.Put": func(s *basket) { s.Items.Put("a", 1) }, "Map.Delete": func(s *basket) { s.Items.Delete("a") },
		"Map.Clear": func(s *basket) { s.Items.Clear() }, "List.Append": func(s *basket) { s.Log.Append("a") },
		"List.Clear": func(s *basket) { s.Log.Clear() },
	} {
		s := newShop()
		s.read = func(ctx *holdfast.ReadContext[basket]) (string, error) { change(&ctx.State); return "", nil }
		var o *msg.Outcome
		captured(t, func() { o = s.turn("look") })
		undone(t, o, "panic", what)
		if !strings.Contains(o.Err.Message, "in read basket/look: a read may only look") {
			t.Errorf("message %q", o.Err.Message)
		}
	}
}

func TestMapUsedAfterItsHandlerReturnedPanics(t *testing.T) {
	s := newShop()
	var kept basket
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error { kept = ctx.State; return nil })
	for _, use := range []func(){
		func() { kept.Items.Get("a") }, func() { kept.Items.Put("a", 1) }, func() { kept.Items.Delete("a") },
		func() { kept.Items.Len() }, func() { kept.Items.Clear() }, func() { _ = maps.Collect(kept.Items.All()) },
		func() { kept.Log.Append("a") }, func() { kept.Log.Len() }, func() { kept.Log.Clear() }, func() { _ = slices.Collect(kept.Log.All()) },
		func() { _, _ = json.Marshal(kept) },
	} {
		mustPanic(t, "basket/change used after the handler returned", use)
	}
}

func TestMapAssignedByTheHandlerReplacesTheStoredOne(t *testing.T) {
	s := newShop()
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Items.Put("old", 1)
		ctx.State.Log.Append("old")
		return nil
	})
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State = basket{Note: "fresh"}
		ctx.State.Items.Put("new", 2)
		ctx.State.Log.Append("new")
		return nil
	})
	if seen := s.see(t, contents); seen != "map[new:2] 1 [new] 1" {
		t.Errorf("sees %s", seen)
	}
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error { ctx.State = basket{}; return nil })
	if seen := s.see(t, contents); seen != "map[] 0 [] 0" {
		t.Errorf("sees %s", seen)
	}
	if o := s.do(t, func(ctx *holdfast.UpdateContext[basket]) error { ctx.State = basket{}; return nil }); o.Changes != nil {
		t.Errorf("clearing what is empty is logged: %+v", o.Changes)
	}
}

func TestCopiesOfAMapAreTheSameMap(t *testing.T) {
	s := newShop()
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		items := ctx.State.Items
		items.Put("a", 1)
		if v, ok := ctx.State.Items.Get("a"); !ok || v != 1 {
			t.Errorf("got %d, %v", v, ok)
		}
		return nil
	})
	if seen := s.see(t, contents); seen != "map[a:1] 1 [] 0" {
		t.Errorf("sees %s", seen)
	}
}

func TestInitialAndOlderRootsFillMaps(t *testing.T) {
	s := newShop(holdfast.EntityOptions[basket]{Initial: func(key string) (b basket) {
		b.Items.Put(key, 1)
		b.Log.Append("born")
		return b
	}})
	if seen := s.see(t, contents); seen != "map[alice:1] 1 [born] 1" {
		t.Errorf("a read of what does not exist sees %s", seen)
	}
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error { ctx.State.Items.Put("x", 2); return nil })
	if seen := s.see(t, contents); seen != "map[alice:1 x:2] 2 [born] 1" {
		t.Errorf("sees %s", seen)
	}

	s = newShop() // a root from before the fields were a Map and a List
	s.entity.exists, s.entity.root = true, []byte(`{"items":{"p":7},"Log":["q"]}`)
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error { ctx.State.Items.Put("r", 8); return nil })
	if seen := s.see(t, contents); seen != "map[p:7 r:8] 2 [q] 1" || strings.Contains(string(s.entity.root), "p") {
		t.Errorf("sees %s, root %s", seen, s.entity.root)
	}
}

func TestStateAsOutputIsPlainJSON(t *testing.T) {
	s := newShop()
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Items.Put(`a"b`, 1)
		ctx.State.Items.Put("c", 2)
		ctx.State.Log.Append("x", "y")
		return nil
	})
	text := s.see(t, func(ctx *holdfast.ReadContext[basket]) (string, error) {
		b, err := json.Marshal(ctx.State)
		return string(b), err
	})
	if text != `{"Note":"","items":{"a\"b":1,"c":2},"Log":["x","y"]}` {
		t.Errorf("got %s", text)
	}
	var back basket
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if v, _ := back.Items.Get("c"); v != 2 || back.Items.Len() != 2 || back.Log.Len() != 2 {
		t.Errorf("read back %+v", back)
	}
	if empty, _ := json.Marshal(basket{}); string(empty) != `{"Note":"","items":{},"Log":[]}` {
		t.Errorf("an empty state is %s", empty)
	}
	if json.Unmarshal([]byte(`{"items":{"a":"x"}}`), &back) == nil || json.Unmarshal([]byte(`{"Log":[1]}`), &back) == nil {
		t.Error("entries of another type are accepted")
	}
}

func TestEntryThatDoesNotDecodeIsAFaultEvenIfRecovered(t *testing.T) {
	for _, fn := range []func(ctx *holdfast.UpdateContext[basket]){
		func(ctx *holdfast.UpdateContext[basket]) { ctx.State.Items.Get("a") },
		func(ctx *holdfast.UpdateContext[basket]) { defer func() { _ = recover() }(); ctx.State.Items.Get("a") },
		func(ctx *holdfast.UpdateContext[basket]) { _ = slices.Collect(ctx.State.Log.All()) },
	} {
		s := newShop()
		s.entity.exists, s.entity.root = true, []byte(`{}`)
		s.entity.maps["items"] = map[string][]byte{"a": []byte(`"text"`)}
		s.entity.lists["Log"] = [][]byte{[]byte(`1`)}
		s.update = func(ctx *holdfast.UpdateContext[basket]) error { fn(ctx); return nil }
		o := s.turn("change")
		if !strings.Contains(o.Fault, "state of basket/alice") || !strings.Contains(o.Fault, "field ") || o.Err != nil {
			t.Errorf("got fault %q, error %v", o.Fault, o.Err)
		}
	}
}

// The model test: a Map and a List in any sequence of operations and turns
// behave as a Go map and a slice do.
func TestMapAndListBehaveLikeGoMapsAndSlices(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		s, model, list := newShop(), map[string]int{}, []string{}
		for range 12 {
			fails := random.IntN(4) == 0
			trial, listTrial := maps.Clone(model), slices.Clone(list)
			s.update = func(ctx *holdfast.UpdateContext[basket]) error {
				for range random.IntN(8) {
					listTrial = oneOperation(t, random, &ctx.State, trial, listTrial)
				}
				compare(t, seed, &ctx.State, trial, listTrial)
				if fails {
					return errInsufficient
				}
				return nil
			}
			o := s.turn("change")
			if o.Fault != "" || (o.Err != nil) != fails {
				t.Fatalf("seed %d: %v %s", seed, o.Err, o.Fault)
			}
			if !fails {
				model, list = trial, listTrial
			}
		}
		s.see(t, func(ctx *holdfast.ReadContext[basket]) (string, error) {
			compare(t, seed, &ctx.State, model, list)
			return "", nil
		})
	}
}

func oneOperation(t *testing.T, random *rand.Rand, s *basket, model map[string]int, list []string) []string {
	key := string(rune('a' + random.IntN(6)))
	switch random.IntN(10) {
	case 0, 1, 2, 3:
		v := random.IntN(100)
		s.Items.Put(key, v)
		model[key] = v
	case 4, 5:
		s.Items.Delete(key)
		delete(model, key)
	case 6, 7:
		s.Log.Append(key, key+key)
		list = append(list, key, key+key)
	case 8:
		got, ok := s.Items.Get(key)
		if want, in := model[key]; ok != in || got != want {
			t.Errorf("Get(%s) is %d, %v; want %d, %v", key, got, ok, want, in)
		}
	case 9:
		if random.IntN(2) == 0 {
			s.Items.Clear()
			clear(model)
		} else {
			s.Log.Clear()
			list = nil
		}
	}
	return list
}

func compare(t *testing.T, seed uint64, s *basket, model map[string]int, list []string) {
	t.Helper()
	var keys []string
	for k, v := range s.Items.All() {
		keys = append(keys, k)
		if model[k] != v {
			t.Fatalf("seed %d: entry %s is %d, want %d", seed, k, v, model[k])
		}
	}
	if want := slices.Sorted(maps.Keys(model)); !slices.Equal(keys, want) || s.Items.Len() != len(model) {
		t.Fatalf("seed %d: keys %v and length %d, want %v", seed, keys, s.Items.Len(), want)
	}
	if got := slices.Collect(s.Log.All()); !slices.Equal(got, list) || s.Log.Len() != len(list) {
		t.Fatalf("seed %d: list %v and length %d, want %v", seed, got, s.Log.Len(), list)
	}
}

func TestMapMayChangeWhileItIsGoneThrough(t *testing.T) {
	s := newShop()
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		for i := range 6 {
			ctx.State.Items.Put(fmt.Sprint(i), i)
		}
		return nil
	})
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Items.Put("25", 25)
		var seen []string
		for k := range ctx.State.Items.All() {
			seen = append(seen, k)
			switch k {
			case "1":
				ctx.State.Items.Delete("2")
				ctx.State.Items.Delete("25")
			case "3":
				ctx.State.Items.Delete("3")
				ctx.State.Items.Clear()
			}
		}
		if fmt.Sprint(seen) != "[0 1 3]" {
			t.Errorf("saw %v", seen)
		}
		for range ctx.State.Log.All() {
			t.Error("the list is empty")
		}
		return nil
	})
}

func TestEarlyBreakEndsTheIteration(t *testing.T) {
	s := newShop()
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Items.Put("b", 1)
		ctx.State.Log.Append("x", "y")
		return nil
	})
	s.do(t, func(ctx *holdfast.UpdateContext[basket]) error {
		ctx.State.Items.Put("a", 1)
		ctx.State.Items.Put("c", 1)
		ctx.State.Log.Append("z")
		for range ctx.State.Items.All() {
			break
		}
		for range ctx.State.Log.All() {
			break
		}
		return nil
	})
}

type floats struct {
	M holdfast.Map[string, float64]
	L holdfast.List[float64]
}

func TestEntriesThatCannotBeStoredFailTheTurn(t *testing.T) {
	kind := holdfast.NewEntity[floats]("floats")
	u := holdfast.NewUpdate[string, holdfast.Void](kind, "u")
	nan := math.NaN()
	app := holdfast.NewApp("a", u.Handle(holdfast.NoResult(func(ctx *holdfast.UpdateContext[floats], what string) error {
		switch what {
		case "put":
			ctx.State.M.Put("a", nan)
		case "append":
			ctx.State.L.Append(1, nan, 2)
		case "key":
			ctx.State.M.Put("\xff", 1)
		}
		return nil
	})))
	for what, want := range map[string]string{
		"put": `put entry "a" of map M: json`, "append": "append to list L: json", "key": `put entry "\xff" of map M: the key is not UTF-8`,
	} {
		undone(t, run(t, app, turnOn("floats", "u", `"`+what+`"`, ``)), "failed", want)
	}
	var alone floats
	mustPanic(t, "put entry", func() { alone.M.Put("a", nan) })
	mustPanic(t, "append to list", func() { alone.L.Append(nan) })
}

func TestZeroMapAndListAreEmpty(t *testing.T) {
	var b basket
	if _, ok := b.Items.Get("a"); ok || b.Items.Len() != 0 || b.Log.Len() != 0 {
		t.Error("not empty")
	}
	for range b.Items.All() {
		t.Error("an entry")
	}
	for range b.Log.All() {
		t.Error("an item")
	}
	b.Items.Delete("a")
	b.Items.Clear()
	b.Log.Clear()
	b.Items.Put("a", 1)
	b.Log.Append("x")
	if b.Items.Len() != 1 || b.Log.Len() != 1 {
		t.Error("not usable")
	}
}
