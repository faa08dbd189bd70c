package native

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

var bankDescription = program.Description{
	App: "bank", CodeVersion: "v7",
	Kinds: []msg.Kind{{
		Name: "account", Doc: "Money.",
		Handlers: []msg.Handler{
			{Name: "balance", Mode: msg.ModeRead, Output: []byte(`{"type":"integer"}`)},
			{Name: "deposit", Mode: msg.ModeUpdate, Doc: "Adds money.", Input: []byte(`{"type":"integer"}`), Output: []byte(`{"type":"integer"}`)},
			{Name: "expire", Mode: msg.ModeUpdate},
		},
	}, {
		Name: "broker", Form: msg.FormMachine, Handlers: []msg.Handler{{Name: "begin", Mode: msg.ModeUpdate}},
	}},
}

// TestOpenAPIDescribesEveryHandler compares the document with the parts that
// follow from a description.
func TestOpenAPIDescribesEveryHandler(t *testing.T) {
	document := documentOf(t, bankDescription)
	if document.OpenAPI != "3.1.0" || document.Info.Title != "bank" || document.Info.Version != "v7" {
		t.Errorf("got %s %+v, want 3.1.0 bank v7", document.OpenAPI, document.Info)
	}
	for route, want := range map[string]bool{
		"get /v1/entities/account":                      true,
		"get /v1/entities/account/{key}":                true,
		"head /v1/entities/account/{key}":               true,
		"delete /v1/entities/account/{key}":             true,
		"get /v1/entities/account/{key}/reminders":      true,
		"post /v1/entities/account/{key}/deposit":       true,
		"post /v1/entities/account/{key}/deposit/send":  true,
		"post /v1/entities/account/{key}/expire/send":   true,
		"post /v1/entities/account/{key}/balance":       true,
		"post /v1/entities/account/{key}/balance/send":  false,
		"post /v1/entities/broker/{key}/begin":          false,
		"post /v1/entities/broker/{key}/begin/send":     true,
		"get /v1/entities/account/{key}/deposit":        false,
		"get /v1/invocations/{id}":                      true,
		"post /v1/dead-letters/{id}/redeliver":          true,
		"post /v1/parked/{kind}/{key}/resume":           true,
		"post /v1/events/{name}":                        true,
		"post /v1/events/{name}/send":                   true,
		"get /v1/locks":                                 true,
		"post /v1/locks/{kind}/{key}/release":           true,
		"get /healthz":                                  true,
		"get /readyz":                                   true,
		"get /openapi.json":                             true,
		"post /v1/entities/account/{key}/balance/peek ": false,
	} {
		method, path, _ := strings.Cut(route, " ")
		if _, ok := document.Paths[path][method]; ok != want {
			t.Errorf("%s: documented %v, want %v", route, ok, want)
		}
	}
	var deposit struct {
		Description string
		RequestBody struct {
			Content map[string]struct{ Schema json.RawMessage }
		}
	}
	if err := json.Unmarshal(document.Paths["/v1/entities/account/{key}/deposit"]["post"], &deposit); err != nil {
		t.Fatal(err)
	}
	schema := new(bytes.Buffer)
	_ = json.Compact(schema, deposit.RequestBody.Content["application/json"].Schema)
	if schema.String() != `{"type":"integer"}` || deposit.Description != "Adds money." {
		t.Errorf("deposit: got schema %s and %q", schema, deposit.Description)
	}
}

// openAPIDocument is what the tests look at in a document.
type openAPIDocument struct {
	OpenAPI    string
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]json.RawMessage
	Components map[string]map[string]json.RawMessage
}

// documentOf gets the document of a program, and resolves every reference in it
// and compares its operation ids.
func documentOf(t *testing.T, d program.Description) (document openAPIDocument) {
	t.Helper()
	text := exchange(&fakeDoor{description: d}, "GET", "/openapi.json", "").Body.Bytes()
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatalf("the document is not JSON: %v", err)
	}
	references := regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(string(text), -1)
	if len(references) == 0 {
		t.Error("the document has no references")
	}
	for _, reference := range references {
		if document.Components[reference[1]][reference[2]] == nil {
			t.Errorf("%s names nothing", reference[0])
		}
	}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(`"operationId": "([^"]*)"`).FindAllSubmatch(text, -1) {
		if seen[string(id[1])] {
			t.Errorf("two operations have the id %s", id[1])
		}
		seen[string(id[1])] = true
	}
	return document
}

// TestOpenAPIOfAnEmptyProgram: there is a document before there is a program.
func TestOpenAPIOfAnEmptyProgram(t *testing.T) {
	if text := OpenAPI(program.Description{}, "v1"); !json.Valid(text) || !bytes.Contains(text, []byte(`"title": "holdfast"`)) {
		t.Errorf("got %s", text)
	}
}
