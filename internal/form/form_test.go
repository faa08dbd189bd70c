package form

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// The package is tested against encoding/json itself here, and through the
// declarations that use it in the tests of package holdfast.

type plain struct {
	Name  string
	Count int    `json:"count,omitempty"`
	Cache int    `holdfast:"volatile"`
	next  *plain `holdfast:"volatile"`
}

// nothing stands for a program without Map and List.
func nothing(reflect.Type) (element reflect.Type, list, ok bool) { return nil, false, false }

func TestAViewHidesVolatileFieldsAndSharesMemory(t *testing.T) {
	p := PlanState(reflect.TypeFor[plain](), false, nothing)
	if len(p.Problems) > 0 || p.View == nil {
		t.Fatalf("got problems %q and view %v", p.Problems, p.View)
	}
	value := plain{Name: "a", Count: 2, Cache: 3, next: &plain{}}
	view := reflect.NewAt(p.View, reflect.ValueOf(&value).UnsafePointer()).Interface()
	body, err := json.Marshal(view)
	if err != nil || string(body) != `{"Name":"a","count":2}` {
		t.Errorf("the view is written as %s, %v", body, err)
	}
	if err := json.Unmarshal([]byte(`{"Name":"b","Cache":9}`), view); err != nil || value.Name != "b" || value.Cache != 3 {
		t.Errorf("read through the view: %+v, %v", value, err)
	}
}

func TestWhatJSONWouldLoseIsAProblem(t *testing.T) {
	for _, c := range []struct {
		of   reflect.Type
		want string
	}{
		{reflect.TypeFor[chan int](), "cannot be stored or sent"},
		{reflect.TypeFor[map[[2]int]string](), "have no JSON form"},
		{reflect.TypeFor[struct {
			A int `json:"B"`
			B int
		}](), "encoding/json drops both"},
	} {
		if problems := Check(c.of, nothing); len(problems) != 1 || !strings.Contains(problems[0], c.want) {
			t.Errorf("%v: got %q, want one about %q", c.of, problems, c.want)
		}
	}
	if problems := PlanState(reflect.TypeFor[struct{ hidden int }](), false, nothing).Problems; len(problems) != 1 {
		t.Errorf("an unexported field of a state: got %q, want one problem", problems)
	}
}

func TestASchemaDescribesWhatJSONWrites(t *testing.T) {
	const want = `{"properties":{"Name":{"type":"string"},"count":{"format":"int64","type":"integer"}},"type":"object"}`
	if got := string(Schema(reflect.TypeFor[plain](), nothing)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestACollectionIsAFieldOfItsOwn(t *testing.T) {
	type numbers struct{ _ [0]int }
	type state struct{ All numbers }
	stored := func(t reflect.Type) (reflect.Type, bool, bool) {
		return reflect.TypeFor[int](), true, t == reflect.TypeFor[numbers]()
	}
	p := PlanState(reflect.TypeFor[state](), false, stored)
	if len(p.Problems) > 0 || len(p.Fields) != 1 || p.Fields[0] != (Field{0, "All"}) {
		t.Errorf("got fields %v, problems %q", p.Fields, p.Problems)
	}
	if p = PlanState(reflect.TypeFor[state](), true, stored); len(p.Problems) != 1 {
		t.Errorf("with a codec: got %q, want one problem", p.Problems)
	}
}
