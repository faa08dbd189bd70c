package holdfast_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
)

// here gives the file:line of its caller.
func here() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d: ", file, line)
}

// mistakes gives what Validate says, one mistake in each line.
func mistakes(t *testing.T, app *holdfast.App) []string {
	t.Helper()
	err := app.Validate()
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// wants checks that each wanted text is in a mistake, and nothing else is wrong.
func wants(t *testing.T, app *holdfast.App, want ...string) {
	t.Helper()
	got := mistakes(t, app)
	for _, w := range want {
		found := false
		for i, g := range got {
			if strings.Contains(g, w) {
				got, found = append(got[:i:i], got[i+1:]...), true
				break
			}
		}
		if !found {
			t.Errorf("no mistake with %q", w)
		}
	}
	for _, g := range got {
		t.Errorf("unwanted: %s", g)
	}
}

func update(*holdfast.UpdateContext[account], holdfast.Void) (holdfast.Void, error) {
	return holdfast.None, nil
}

type void = holdfast.Void

func TestGoodAppValidates(t *testing.T) { wants(t, bankApp()) }

func TestMistakesHaveTheirSourceLine(t *testing.T) {
	kind, kindAt := holdfast.NewEntity[account]("bad kind"), here()
	unbound, unboundAt := holdfast.NewUpdate[void, void](kind, "unbound"), here()
	twice, twiceAt := holdfast.NewUpdate[void, void](kind, "twice"), here()
	_, _ = unbound, twiceAt
	first, firstAt := twice.Handle(update), here()
	second, secondAt := twice.Handle(update), here()
	options, optionsAt := kind.Options(holdfast.EntityOptions[account]{IdleTTL: -1}), here()
	app, appAt := holdfast.NewApp("a b", first, second, options, nil), here()
	wants(t, app,
		kindAt+`kind "bad kind": the name "bad kind" contains ' '`,
		unboundAt+"update bad kind/unbound is declared and not bound; add to the app",
		secondAt+"update bad kind/twice is bound twice, first at "+strings.TrimSuffix(firstAt, ": "),
		optionsAt+"kind bad kind: IdleTTL is -1ns",
		appAt+`app "a b": the name "a b"`,
		appAt+"app a b: 1 of its parts are nil",
	)
}

func TestReadIsNamedAsSuch(t *testing.T) {
	kind := holdfast.NewEntity[account]("k")
	u := holdfast.NewUpdate[void, void](kind, "u")
	_, at := holdfast.NewRead[void, void](kind, "r"), here()
	wants(t, holdfast.NewApp("a", u.Handle(update)), at+"read k/r is declared and not bound")
}

func TestNamesOfHandlers(t *testing.T) {
	kind := holdfast.NewEntity[account]("k")
	var parts holdfast.Parts
	declare := func(name string, opts ...holdfast.HandleOption) {
		parts = append(parts, holdfast.NewUpdate[void, void](kind, name, opts...).Handle(update))
	}
	declare("send")
	declare("Reminders")
	declare("")
	declare("..")
	declare("a/b")
	declare("same")
	declare("same")
	declare("fine", holdfast.Alias("old"), holdfast.Alias("same"))
	declare("older", holdfast.Alias("old"))
	wants(t, holdfast.NewApp("a", parts),
		`"send" clashes with the route …/{kind}/{key}/{handler}/send`, `"Reminders" clashes with the route`,
		"the name is empty", `".."`, `the name "a/b" contains '/'`,
		`update k/same: the name "same" is taken by the update declared at `,
		`update k/fine: the name "same" is taken by the update`, `update k/older: the name "old" is taken`)
}

func TestTwoDeclarationsOfOneName(t *testing.T) {
	one, two := holdfast.NewEntity[account]("k"), holdfast.NewEntity[account]("k")
	type id string
	here1, here2 := holdfast.NewAffinity[id]("space"), holdfast.NewAffinity[id]("space")
	three, four := holdfast.NewEntityIn[account](here1, "l"), holdfast.NewEntityIn[account](here2, "m")
	wants(t, holdfast.NewApp("a",
		holdfast.NewUpdate[void, void](one, "u").Handle(update), holdfast.NewUpdate[void, void](two, "u").Handle(update),
		holdfast.NewUpdate[void, void](three, "u").Handle(update), holdfast.NewUpdate[void, void](four, "u").Handle(update)),
		"kind k is declared twice, first at ", "affinity space is declared twice, first at ")
}

type goodState struct {
	N      int
	When   time.Time
	Tags   map[string][]string
	Any    any
	Deep   struct{ P *inner }
	Items  holdfast.Map[string, inner]
	hidden func() `holdfast:"volatile"`
	Notify func() `holdfast:"volatile" json:"-"`
	inner
	_ [4]byte
}

type inner struct{ X int }

type badState struct {
	N      int
	secret int
	F      func()
	C      chan int
	Skip   int `json:"-"`
	Typo   int `holdfast:"volatil"`
	Twice  int `json:"N"`
	Writer interface{ Write() }
	Odd    map[struct{ A int }]int
	Z      complex128
	Deep   []struct {
		private int
		Chan    chan int `holdfast:"volatile"`
		Items   holdfast.List[int]
	}
	Entries holdfast.Map[string, struct{ lost int }]
}

func stateApp[S any](opts ...holdfast.HandleOption) *holdfast.App {
	kind := holdfast.NewEntity[S]("k", opts...)
	return holdfast.NewApp("a", holdfast.NewUpdate[void, void](kind, "u").Handle(
		func(*holdfast.UpdateContext[S], void) (void, error) { return holdfast.None, nil }))
}

func TestStateTypes(t *testing.T) {
	_ = badState{secret: 1, Entries: holdfast.Map[string, struct{ lost int }]{}}
	wants(t, stateApp[goodState]())
	wants(t, stateApp[int]())
	wants(t, stateApp[map[string]int]())
	wants(t, stateApp[badState](),
		"state holdfast_test.badState.secret: unexported fields are not stored; export it, or tag it",
		"badState.F: func() cannot be stored or sent; tag the field `holdfast:\"volatile\"` and rebuild it in Activate",
		"badState.C: chan int cannot be stored",
		"badState.Skip: `json:\"-\"` fields are not stored",
		"badState.Typo: unknown tag `holdfast:\"volatil\"`",
		`badState.Twice: the JSON name "N" is that of field N, too`,
		"badState.Writer: interface interface { Write() } cannot be decoded",
		"badState.Odd: map keys of type struct { A int }",
		"badState.Z: complex128 cannot",
		"badState.Deep[].private: unexported",
		"badState.Deep[].Chan: a volatile field below the state struct",
		"badState.Deep[].Items: a Map or List must be a direct field of the state struct",
		"badState.Entries[].lost: unexported",
	)
	wants(t, stateApp[*account](), "the state must not be a pointer; declare the entity with holdfast_test.account")
	wants(t, stateApp[func()](), "func() cannot be stored or sent")
	wants(t, stateApp[struct {
		inner
		Hook func() `holdfast:"volatile"`
	}](), "with an embedded field (inner), exported volatile fields must be tagged `json:\"-\"`")
	wants(t, stateApp[basket](holdfast.WithCodec(upper{})), "basket.Items: Map and List need a state in JSON", "basket.Log: Map and List")
	wants(t, stateApp[badState2](holdfast.WithCodec(upper{})))
}

type badState2 struct{ secret func() }

func TestInputAndOutputTypes(t *testing.T) {
	_ = badState2{}.secret
	kind := holdfast.NewEntity[account]("k")
	bad := holdfast.NewUpdate[chan int, func()](kind, "bad")
	deep := holdfast.NewUpdate[map[string][]struct{ E error }, void](kind, "deep")
	loose := holdfast.NewUpdate[struct{ private int }, any](kind, "loose")
	wants(t, holdfast.NewApp("a",
		bad.Handle(func(*holdfast.UpdateContext[account], chan int) (func(), error) { return nil, nil }),
		deep.Handle(func(*holdfast.UpdateContext[account], map[string][]struct{ E error }) (void, error) {
			return holdfast.None, nil
		}),
		loose.Handle(func(*holdfast.UpdateContext[account], struct{ private int }) (any, error) { return nil, nil })),
		"update k/bad: input chan int: chan int cannot be stored or sent", "update k/bad: output func(): func() cannot",
		"update k/deep: input map[string][]struct { E error }[][].E: interface error cannot be decoded")
}

func TestOptionsThatContradict(t *testing.T) {
	migrate := func(int, []byte) (account, error) { return account{}, nil }
	for want, o := range map[string]holdfast.EntityOptions[account]{
		"Migrate without Version":              {Migrate: migrate},
		"Version is 2 and there is no Migrate": {Version: 2},
		"Version is -1":                        {Version: -1},
		"StateBytesMax is -1":                  {StateBytesMax: -1},
		"no update is declared with Creates()": {Strict: true},
	} {
		kind := holdfast.NewEntity[account]("k")
		wants(t, holdfast.NewApp("a", holdfast.NewUpdate[void, void](kind, "u").Handle(update), kind.Options(o)), want)
	}
	kind := holdfast.NewEntity[account]("k")
	u := holdfast.NewUpdate[void, void](kind, "u", holdfast.Creates())
	good := kind.Options(holdfast.EntityOptions[account]{Strict: true, Version: 3, Migrate: migrate, IdleTTL: time.Hour, StateBytesMax: 10})
	wants(t, holdfast.NewApp("a", u.Handle(update), good))
	wants(t, holdfast.NewApp("a", u.Handle(update), good, kind.Options(holdfast.EntityOptions[account]{})), "its options are there twice, first at ")
}

func TestOtherMistakes(t *testing.T) {
	kind := holdfast.NewEntity[account]("k", holdfast.Creates())
	r := holdfast.NewRead[void, void](kind, "r", holdfast.Creates())
	n := holdfast.NewUpdate[void, void](kind, "n", holdfast.WithCodec(fakeJSON{}))
	var none holdfast.Entity[string, account]
	lost := holdfast.NewUpdate[void, void](none, "lost")
	var nowhere holdfast.Affinity[string]
	spaceless := holdfast.NewEntityIn[account](nowhere, "spaceless")
	wants(t, holdfast.NewApp("a", r.Handle(nil), n.Handle(nil), lost.Handle(update), none.Options(holdfast.EntityOptions[account]{}),
		holdfast.NewUpdate[void, void](spaceless, "u").Handle(update),
		holdfast.Version(""), holdfast.Version("2"), holdfast.Intercept(nil)),
		"kind k: Creates and Alias are options of handlers", "read k/r is bound to a nil function", "read k/r is declared with Creates()",
		"update k/n is bound to a nil function", `the codec's content type is "application/json", which is reserved`,
		"update lost of an undeclared kind: its Entity is a zero value", "options of an undeclared kind",
		`affinity "": the name is empty`,
		"Version is empty", "Version is there twice", "Intercept was given nil")
	wants(t, holdfast.NewApp("empty"), "app empty serves nothing")
}

type fakeJSON struct{ upper }

func (fakeJSON) ContentType() string { return "application/json" }

func TestAppsAndPartsNest(t *testing.T) {
	shared := bankApp()
	calls := 0
	count := holdfast.Intercept(func(ctx context.Context, _ holdfast.InvocationInfo, next func(context.Context) error) error {
		calls++
		return next(ctx)
	})
	inner := holdfast.NewApp("inner", shared, count, holdfast.Version("inner"))
	app := holdfast.NewApp("outer", inner, holdfast.Parts{shared, count}, holdfast.Version("outer"))
	wants(t, app)
	d := app.Program().Describe()
	if d.App != "outer" || app.Name() != "outer" || d.CodeVersion != "outer" || len(d.Kinds) != 1 || len(d.Kinds[0].Handlers) != 4 {
		t.Errorf("got %+v", d)
	}
	run(t, app, turnOf("deposit", `1`, ``))
	if calls != 1 {
		t.Errorf("an interceptor that is there twice ran %d times", calls)
	}
}
