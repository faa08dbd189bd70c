package plain

// Goal: the package says the same as encoding/json or nothing. Method: random
// values and random texts, some of them almost right, of types of every sort,
// compared with encoding/json.

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

type everything struct {
	A      int
	B      string `json:"b"`
	Truth  bool
	Small  int8
	Wide   int64 `json:",omitempty"`
	Octet  uint8
	Huge   uint64        `json:"huge,omitempty"`
	Note   string        `json:"note,omitempty"`
	Gone   int           `json:"-"`
	Dash   int           `json:"-,"`
	Flag   bool          `json:"flag,omitempty"`
	Took   time.Duration // named, without methods
	hidden int
	Word   word
	a      int
}

type word string

type caseTwins struct {
	A int
	B int `json:"a"`
}

type none struct{}

var plainTypes = []reflect.Type{
	reflect.TypeFor[everything](), reflect.TypeFor[caseTwins](), reflect.TypeFor[none](), reflect.TypeFor[struct{ N int64 }](),
	reflect.TypeFor[struct{ Chain, Link int }](), reflect.TypeFor[struct{ U uint16 }](), reflect.TypeFor[struct{ S string }](),
}

// strings that have something special, for values and texts.
var strange = []string{
	"", "x", "key-17", "a \"quoted\" one", `back\slash`, "<html> & more", "ünïcode", "日本", "\u2028 and \u2029", "\x00\x1f\x7f",
	"\xff\xfe", "half \xc3", "\ufffd", "emoji 🙂", "tab\tand\nline", strings.Repeat("long ", 100), "A", "true", "null",
}

func randomValue(random *rand.Rand, t reflect.Type) any {
	p := reflect.New(t)
	for i := range t.NumField() {
		f := p.Elem().Field(i)
		if !f.CanSet() || random.IntN(4) == 0 {
			continue
		}
		number := random.Uint64() >> random.IntN(64)
		switch {
		case f.CanInt():
			f.SetInt(int64(number))
		case f.CanUint():
			f.SetUint(number)
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		default:
			f.SetString(strange[random.IntN(len(strange))])
		}
	}
	return p.Interface()
}

func TestEncodeWritesWhatEncodingJSONWrites(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, kind := range plainTypes {
		plan := PlanOf(kind)
		if plan == nil {
			t.Fatalf("%v is not plain", kind)
		}
		for range 3_000 {
			value := randomValue(random, kind)
			got, ok := plan.Encode(value)
			want, err := json.Marshal(value)
			if !ok || err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%+v: got %q (%v), want %q (%v)", value, got, ok, want, err)
			}
		}
	}
}

// sameAsJSON decodes a text with fallback and without, into structs that hold
// something already, and compares.
func sameAsJSON(t *testing.T, kind reflect.Type, text []byte, from any) (accepted bool) {
	t.Helper()
	got, want := reflect.New(kind), reflect.New(kind)
	got.Elem().Set(reflect.ValueOf(from).Elem())
	want.Elem().Set(reflect.ValueOf(from).Elem())
	wrong := json.Unmarshal(text, want.Interface())
	accepted = PlanOf(kind).Decode(text, got.Interface())
	if accepted && wrong != nil {
		t.Fatalf("%v: %q is accepted, which is wrong: %v", kind, text, wrong)
	}
	if !accepted {
		_ = json.Unmarshal(text, got.Interface())
	}
	if wrong == nil && !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%v: %q gives %+v (accepted: %v), want %+v", kind, text, got, accepted, want)
	}
	return accepted
}

func TestDecodeReadsWhatEncodingJSONReads(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for _, kind := range plainTypes {
		accepted, refused := 0, 0
		for range 20_000 {
			text, err := json.Marshal(randomValue(random, kind))
			if err != nil {
				t.Fatal(err)
			}
			if random.IntN(4) > 0 {
				text = spoil(random, text)
			}
			if sameAsJSON(t, kind, text, randomValue(random, kind)) {
				accepted++
			} else {
				refused++
			}
		}
		if accepted == 0 || refused == 0 {
			t.Errorf("%v: %d texts were accepted and %d refused, want both", kind, accepted, refused)
		}
	}
}

// pieces are put into texts.
var pieces = []string{
	" ", "\n", ",", "{", "}", "[", "]", ":", "\"", "\\", "0", "-", "1", "999999999999999999", "1e3", ".5", "null", "true", "false",
	`"A":1,`, `"a":2,`, `,"A":null`, `,"b":"again"`, `"":0`, "\x80", "é", `é`, "-0", "00", "{}", "\x00", "\ufeff",
}

// spoil changes a text a little.
func spoil(random *rand.Rand, text []byte) []byte {
	for range 1 + random.IntN(3) {
		at := random.IntN(len(text) + 1)
		end := min(len(text), at+random.IntN(3))
		piece := ""
		if random.IntN(3) > 0 {
			piece = pieces[random.IntN(len(pieces))]
		}
		text = append(append(append([]byte(nil), text[:at]...), piece...), text[end:]...)
	}
	return text
}

func TestCommonTextsAreDecoded(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, `{"A":1}`, "{\n \"A\" : -17 ,\t\"b\":\"日本\"}\n", `{"b":"","Truth":true,"A":123456789012345678}`,
		`{"A":1,"A":2}`, `{"huge":7,"Octet":255,"Small":-128,"-":3,"Took":5,"flag":false}`,
	} {
		if !sameAsJSON(t, reflect.TypeFor[everything](), []byte(text), new(everything)) {
			t.Errorf("%s is left to encoding/json", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range pieces {
		f.Add([]byte(`{"A":1,` + s + `"b":"x"}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range plainTypes {
			sameAsJSON(t, kind, text, reflect.New(kind).Interface())
		}
	})
}

func TestWhatIsNotPlainHasNoPlan(t *testing.T) {
	for _, value := range []any{
		1, "", []int{}, map[string]int{}, struct{ F float64 }{}, struct{ P *int }{}, struct{ S []int }{}, struct{ T time.Time }{},
		struct{ N struct{ M int } }{}, struct{ everything }{}, struct{ I any }{}, struct{ J json.Number }{}, time.Time{},
		struct {
			N int `json:",string"`
		}{}, struct {
			N int `json:"n,omitzero"`
		}{}, struct {
			N int `json:"<n>"`
		}{}, struct{ Ä int }{}, struct{ M marshals }{}, struct{ M pointerMarshals }{},
	} {
		if PlanOf(reflect.TypeOf(value)) != nil {
			t.Errorf("%T is plain", value)
		}
	}
	twice := []reflect.StructField{
		{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"same"`}, {Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"same"`},
	}
	if PlanOf(reflect.StructOf(twice)) != nil {
		t.Error("two fields of one name are plain")
	}
	var none *Plan
	if _, ok := none.Encode(&everything{}); ok || none.Decode([]byte("{}"), &everything{}) {
		t.Error("no plan accepts something")
	}
}

type marshals int

func (marshals) MarshalText() ([]byte, error) { return []byte("m"), nil }

type pointerMarshals int

func (*pointerMarshals) UnmarshalJSON([]byte) error { return nil }

// BenchmarkState asks what a turn saves that reads and writes a small state.
func BenchmarkState(b *testing.B) {
	type state struct {
		Balance int64
		Owner   string
		Open    bool
	}
	plan, value := PlanOf(reflect.TypeFor[state]()), state{1234567, "alice@example.com", true}
	text, _ := json.Marshal(value)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var into state
			plan.Decode(text, &into)
			plan.Encode(&into)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var into state
			_ = json.Unmarshal(text, &into)
			_, _ = json.Marshal(&into)
		}
	})
}
