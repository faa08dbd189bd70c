package holdfast_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// upper is a codec that is no JSON: a string in upper case.
type upper struct{}

func (upper) ContentType() string { return "text/upper" }

func (upper) Marshal(v any) ([]byte, error) {
	text := fmt.Sprint(v)
	if text == "{refuse}" || text == "refuse" {
		return nil, errors.New("refused")
	}
	return []byte(strings.ToUpper(text)), nil
}

func (upper) Unmarshal(b []byte, v any) error {
	switch v := v.(type) {
	case *string:
		*v = strings.ToLower(string(b))
	case *account:
		v.Owner = strings.ToLower(string(b))
	default:
		return fmt.Errorf("no idea of %T", v)
	}
	return nil
}

func TestDescription(t *testing.T) {
	type id string
	kind := holdfast.NewEntityIn[account](holdfast.NewAffinity[id]("space"), "z", holdfast.Doc("a kind"))
	other := holdfast.NewEntity[account]("a")
	b := holdfast.NewUpdate[move, int64](kind, "b", holdfast.Doc("does b"), holdfast.Alias("c"), holdfast.Creates())
	a := holdfast.NewRead[void, []string](kind, "a")
	u := holdfast.NewUpdate[void, void](other, "u")
	app := holdfast.NewApp("app", u.Handle(update), holdfast.Version("v7"),
		b.Handle(func(*holdfast.UpdateContext[account], move) (int64, error) { return 0, nil }),
		a.Handle(func(*holdfast.ReadContext[account], void) ([]string, error) { return nil, nil }),
		kind.Options(holdfast.EntityOptions[account]{
			IdleTTL: time.Hour, StateBytesMax: 9, Strict: true, Version: 1,
		}))
	got := app.Program().Describe()
	want := []msg.Kind{
		{Name: "a", Handlers: []msg.Handler{{Name: "u", Mode: msg.ModeUpdate}}},
		{Name: "z", Affinity: "space", Doc: "a kind", StateVersion: 1, StateBytesMax: 9, IdleTTL: time.Hour, Strict: true, Handlers: []msg.Handler{
			{Name: "a", Mode: msg.ModeRead, Output: []byte(`{"items":{"type":"string"},"type":"array"}`)},
			{Name: "b", Mode: msg.ModeUpdate, Aliases: []string{"c"}, Creates: true, Doc: "does b",
				Input:  []byte(`{"properties":{"Amount":{"format":"int64","type":"integer"},"To":{"type":"string"}},"type":"object"}`),
				Output: []byte(`{"format":"int64","type":"integer"}`)},
		}},
	}
	if got.App != "app" || got.CodeVersion != "v7" || !reflect.DeepEqual(got.Kinds, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if version := bankApp().Program().Describe().CodeVersion; version == "" {
		t.Error("an app without Version has no code version")
	}
}

func TestAliasReachesTheHandler(t *testing.T) {
	kind := holdfast.NewEntity[account]("account")
	u := holdfast.NewUpdate[int64, int64](kind, "new", holdfast.Alias("old"))
	app := holdfast.NewApp("a", u.Handle(deposit))
	if o := run(t, app, turnOf("old", `3`, ``)); string(o.Output.Body) != `3` {
		t.Errorf("got %s, %s", o.Output.Body, o.Fault)
	}
}

type tree struct {
	Left, Right *tree
	When        time.Time `json:"when"`
	Raw         json.RawMessage
	Bytes       []byte
	Flag        bool `json:",omitempty"`
	Ratio       float32
	Count       uint8
	Hidden      int `json:"-"`
	Text        int `json:",string"`
	Free        any
	Size        [2]int
	Keys        map[string]int
	Items       holdfast.Map[string, tree]
	Log         holdfast.List[int]
	inner
}

func TestSchemaDescribesWhatJSONWrites(t *testing.T) {
	kind := holdfast.NewEntity[account]("k")
	r := holdfast.NewRead[void, tree](kind, "r")
	app := holdfast.NewApp("a", r.Handle(func(*holdfast.ReadContext[account], void) (tree, error) { return tree{}, nil }))
	var got struct {
		Type       string
		Properties map[string]json.RawMessage
	}
	if err := json.Unmarshal(app.Program().Describe().Kinds[0].Handlers[0].Output, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Left": `{}`, "Right": `{}`, "when": `{"format":"date-time","type":"string"}`, "Raw": `{}`,
		"Bytes": `{"contentEncoding":"base64","type":"string"}`, "Flag": `{"type":"boolean"}`, "Ratio": `{"type":"number"}`,
		"Count": `{"minimum":0,"type":"integer"}`, "Text": `{"type":"string"}`, "Free": `{}`,
		"Size":  `{"items":{"format":"int64","type":"integer"},"type":"array"}`,
		"Keys":  `{"additionalProperties":{"format":"int64","type":"integer"},"type":"object"}`,
		"Items": `{"additionalProperties":{},"type":"object"}`, "Log": `{"items":{"format":"int64","type":"integer"},"type":"array"}`,
		"X": `{"format":"int64","type":"integer"}`,
	}
	for name, schema := range want {
		if string(got.Properties[name]) != schema {
			t.Errorf("%s is %s, want %s", name, got.Properties[name], schema)
		}
	}
	if len(got.Properties) != len(want) || got.Type != "object" {
		t.Errorf("got %d properties of %s, want %d", len(got.Properties), got.Type, len(want))
	}
	text, _ := json.Marshal(tree{Flag: true}) // the schema has the names that JSON has
	var names map[string]any
	_ = json.Unmarshal(text, &names)
	for name := range names {
		if want[name] == "" {
			t.Errorf("JSON has %s, the schema does not", name)
		}
	}
}

func TestCodecOfAHandler(t *testing.T) {
	kind := holdfast.NewEntity[account]("account")
	u := holdfast.NewUpdate[string, string](kind, "u", holdfast.WithCodec(upper{}))
	app := holdfast.NewApp("a", u.Handle(func(ctx *holdfast.UpdateContext[account], in string) (string, error) {
		u.Send(ctx, "b", in)
		return in + "!", nil
	}))
	turn := turnOf("u", `HELLO`, ``)
	turn.Message.Payload.ContentType = "text/upper"
	o := run(t, app, turn)
	if string(o.Output.Body) != "HELLO!" || o.Output.ContentType != "text/upper" {
		t.Errorf("got %+v %v", o.Output, o.Err)
	}
	if p := o.Sends[0].Payload; string(p.Body) != "HELLO" || p.ContentType != "text/upper" {
		t.Errorf("sent %+v", p)
	}
	if o = run(t, app, turnOf("u", `"json"`, ``)); string(o.Output.Body) != "JSON!" {
		t.Errorf("JSON is not understood: %+v %v", o.Output, o.Err)
	}
	if schema := app.Program().Describe().Kinds[0].Handlers[0].Input; string(schema) != "{}" {
		t.Errorf("schema %s", schema)
	}
}

func TestCodecOfAState(t *testing.T) {
	kind := holdfast.NewEntity[account]("account", holdfast.WithCodec(upper{}))
	u := holdfast.NewUpdate[void, string](kind, "u")
	app := holdfast.NewApp("a", u.Handle(func(ctx *holdfast.UpdateContext[account], _ void) (string, error) {
		return ctx.State.Owner, nil
	}))
	turn := turnOf("u", ``, `ANN`)
	turn.State.Root.ContentType = "text/upper"
	o := run(t, app, turn)
	if string(o.Output.Body) != `"ann"` || string(o.Root.Body) != "{ANN 0}" || o.Root.ContentType != "text/upper" {
		t.Errorf("got %s, root %+v", o.Output.Body, o.Root)
	}
}

type principal struct{}

func TestInterceptorsSurroundTheHandler(t *testing.T) {
	var trace []string
	note := func(name string) holdfast.Part {
		return holdfast.Intercept(func(ctx context.Context, info holdfast.InvocationInfo, next func(context.Context) error) error {
			trace = append(trace, "begin "+name+" "+info.Handler)
			err := next(context.WithValue(ctx, principal{}, name))
			trace = append(trace, fmt.Sprintf("end %s %v", name, err))
			return err
		})
	}
	app := holdfast.NewApp("a", act(func(ctx *holdfast.UpdateContext[account]) (int64, error) {
		trace = append(trace, fmt.Sprint("handler for ", ctx.Context().Value(principal{})))
		return 0, errInsufficient
	}), note("outer"), note("inner"))
	undone(t, run(t, app, turnOf("deposit", `1`, ``)), "insufficient_funds", "")
	want := []string{
		"begin outer deposit", "begin inner deposit", "handler for inner",
		"end inner insufficient_funds", "end outer insufficient_funds",
	}
	if !reflect.DeepEqual(trace, want) {
		t.Errorf("got %q, want %q", trace, want)
	}
}

func TestInterceptorDecides(t *testing.T) {
	type intercept = func(ctx context.Context, info holdfast.InvocationInfo, next func(context.Context) error) error
	for name, c := range map[string]struct {
		by         intercept
		code, want string
	}{
		"refuses": {func(context.Context, holdfast.InvocationInfo, func(context.Context) error) error {
			return holdfast.ErrDenied.Withf("not you")
		}, "denied", "not you"},
		"replaces the error": {func(ctx context.Context, _ holdfast.InvocationInfo, next func(context.Context) error) error {
			_ = next(ctx)
			return errInsufficient
		}, "insufficient_funds", ""},
		"forgets the handler": {func(context.Context, holdfast.InvocationInfo, func(context.Context) error) error {
			return nil
		}, "failed", "neither an error nor called next"},
		"runs it twice": {func(ctx context.Context, _ holdfast.InvocationInfo, next func(context.Context) error) error {
			_ = next(ctx)
			return next(ctx)
		}, "failed", "called next 2 times"},
		"panics": {func(context.Context, holdfast.InvocationInfo, func(context.Context) error) error { panic("boom") }, "panic", "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			app := holdfast.NewApp("a", bankApp(), holdfast.Intercept(c.by))
			captured(t, func() { undone(t, run(t, app, turnOf("deposit", `1`, ``)), c.code, c.want) })
		})
	}
}

func TestInterceptorMayHealAndSeesATailAsSuccess(t *testing.T) {
	swallow := holdfast.Intercept(func(ctx context.Context, _ holdfast.InvocationInfo, next func(context.Context) error) error {
		if err := next(ctx); err != nil && !errors.Is(err, errInsufficient) {
			t.Errorf("the interceptor sees %v", err)
		}
		return nil
	})
	app := holdfast.NewApp("a", bankApp(), swallow)
	if o := run(t, app, turnOf("withdraw", `1`, `{"Balance":0}`)); o.Err != nil || o.Root == nil {
		t.Errorf("got %v", o.Err)
	}
	app = holdfast.NewApp("a", swallow, act(func(ctx *holdfast.UpdateContext[account]) (int64, error) { return withdrawing.Tail(ctx, "b", 1) }))
	if o := run(t, app, turnOf("deposit", `1`, ``)); o.Err != nil || o.Tail == nil {
		t.Errorf("got %v, tail %v", o.Err, o.Tail)
	}
}
