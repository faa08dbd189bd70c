package native

import (
	"encoding/json"
	"strings"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// object is a JSON object; encoding/json writes its members in order of name,
// so equal descriptions give equal documents.
type object = map[string]any

// OpenAPI describes what a program serves as an OpenAPI 3.1 document: a path
// for every handler with the schemas of its input and output, the paths that
// every kind has, and those of the server.
func OpenAPI(d program.Description, version string) []byte {
	paths := serverPaths()
	tags := []object{}
	for i := range d.Kinds {
		kind := &d.Kinds[i]
		if kind.Hidden() {
			continue
		}
		tags = append(tags, described(object{"name": kind.Name}, kind.Doc))
		if kind.Form == msg.FormWorkflow {
			addWorkflow(paths, kind)
			continue
		}
		addKind(paths, kind)
	}
	title := d.App
	if title == "" {
		title = "holdfast"
	}
	if d.CodeVersion != "" {
		version = d.CodeVersion
	}
	document := object{
		"openapi":    "3.1.0",
		"info":       object{"title": title, "version": version},
		"tags":       append(tags, object{"name": "server"}),
		"paths":      paths,
		"components": components(),
	}
	text, err := json.MarshalIndent(document, "", "  ")
	invariant.Check(err == nil, "the OpenAPI document does not encode: %v", err)
	return append(text, '\n')
}

func described(o object, doc string) object {
	if doc != "" {
		o["description"] = doc
	}
	return o
}

// addKind adds the paths of one kind.
func addKind(paths object, kind *msg.Kind) {
	root := "/v1/entities/" + kind.Name
	operation := func(id, summary string, parameters []object, responses object) object {
		return object{
			"operationId": kind.Name + "." + id, "tags": []string{kind.Name}, "summary": summary,
			"parameters": parameters, "responses": withErrors(responses),
		}
	}
	paths[root] = object{
		"get": operation("_list", "List keys in order",
			[]object{limitParameter, queryParameter("after", stringSchema)},
			object{"200": jsonResponse("A page of keys; next is empty after the last", reference("Page"))}),
	}
	paths[root+"/{key}"] = object{
		"parameters": []object{keyParameter},
		"get":        operation("_inspect", "Committed state", nil, object{"200": jsonResponse("The state", reference("Entity"))}),
		"head":       operation("_exists", "Whether it exists", nil, object{"200": emptyResponse("It exists")}),
		"delete":     operation("_delete", "Delete it", []object{parameterRef("IdempotencyKey")}, object{"204": emptyResponse("It does not exist any more")}),
	}
	paths[root+"/{key}/reminders"] = object{
		"parameters": []object{keyParameter},
		"get":        operation("_reminders", "Reminders that are set", nil, object{"200": jsonResponse("The reminders", reference("Reminders"))}),
	}
	for i := range kind.Handlers {
		addHandler(paths, root, kind, &kind.Handlers[i])
	}
}

// addHandler adds the paths of one handler: its call and, for an update, its
// send.
func addHandler(paths object, root string, kind *msg.Kind, handler *msg.Handler) {
	path := root + "/{key}/" + handler.Name
	operation := func(id string, parameters []object, responses object) object {
		return object{"parameters": []object{keyParameter}, "post": post(kind, handler, id, parameters, responses)}
	}
	result := outputResponse(handler)
	common := []object{parameterRef("IdempotencyKey"), parameterRef("RequestTimeout")}
	id := kind.Name + "." + handler.Name
	if handler.Mode == msg.ModeRead {
		peek := queryParameter("peek", object{"type": "boolean"})
		paths[path] = operation(id, []object{parameterRef("RequestTimeout"), peek}, object{"200": result})
		return
	}
	if kind.Form != msg.FormMachine { // a message is sent: nobody answers it
		paths[path] = operation(id, common, object{"200": result})
	}
	paths[path+"/send"] = operation(id+".send",
		append(common, queryParameter("delay", stringSchema), queryParameter("at", timeSchema)),
		object{"202": jsonResponse("The request is durable", reference("Submitted"))})
}

// post is the operation that hands a handler its input.
func post(kind *msg.Kind, handler *msg.Handler, id string, parameters []object, responses object) object {
	o := object{
		"operationId": id, "tags": []string{kind.Name},
		"parameters": parameters, "responses": withErrors(responses),
	}
	if handler.Input != nil {
		o["requestBody"] = object{"required": true, "content": jsonContent(json.RawMessage(handler.Input))}
	}
	return described(o, handler.Doc)
}

func outputResponse(handler *msg.Handler) object {
	if handler.Output == nil {
		return emptyResponse("null: the handler has no output")
	}
	return jsonResponse("The handler's output", json.RawMessage(handler.Output))
}

// serverPaths are the paths that do not depend on what is served.
func serverPaths() object {
	operation := func(id, summary string, responses object, parameters ...object) object {
		return object{
			"operationId": id, "tags": []string{"server"}, "summary": summary,
			"parameters": parameters, "responses": withErrors(responses),
		}
	}
	done := object{"204": emptyResponse("Done")}
	id, kind := pathParameter("id"), pathParameter("kind")
	return object{
		"/v1/invocations/{id}": object{"get": operation("invocation", "Status and result of a sent invocation",
			object{"200": jsonResponse("As it stands", reference("Invocation"))}, id, queryParameter("wait", stringSchema))},
		"/v1/promises/{id}/resolve": object{"post": operation("resolve", "Complete a promise of a workflow with the body",
			object{"202": emptyResponse("The promise is completed")}, id, parameterRef("IdempotencyKey"))},
		"/v1/promises/{id}/reject": object{"post": operation("reject", "Fail a promise of a workflow with the error in the body",
			object{"202": emptyResponse("The promise is completed")}, id, parameterRef("IdempotencyKey"))},
		"/v1/parked": object{"get": operation("parked", "Entities that have stopped taking inputs",
			object{"200": jsonResponse("A page of entities; next is empty after the last", reference("ParkedPage"))}, limitParameter, cursorParameter)},
		"/v1/parked/{kind}/{key}/resume": object{"post": operation("resume", "Take a parked entity up again", done, kind, keyParameter)},
		"/v1/parked/{kind}/{key}/skip":   object{"post": operation("skip", "Give up the input that an entity is parked on", done, kind, keyParameter)},
		"/v1/events/{name}": object{"post": operation("raise", "Apply an event to every entity that it names, or to none",
			object{"200": emptyResponse("It is applied everywhere")}, pathParameter("name"), parameterRef("IdempotencyKey"), parameterRef("RequestTimeout"))},
		"/v1/events/{name}/send": object{"post": operation("sendEvent", "Raise an event without waiting",
			object{"202": jsonResponse("It will be raised", reference("Submitted"))}, pathParameter("name"), parameterRef("IdempotencyKey"))},
		"/v1/locks": object{"get": operation("locks", "Keys that workflows hold",
			object{"200": jsonResponse("A page of keys; next is empty after the last", reference("LockPage"))}, limitParameter, cursorParameter)},
		"/v1/locks/{kind}/{key}/release": object{"post": operation("release", "Take a lock from its holders; what they do there later is refused", done,
			kind, keyParameter, queryParameter("workflow", stringSchema), queryParameter("id", stringSchema), queryParameter("run", integerSchema))},
		"/v1/dead-letters": object{"get": operation("deadLetters", "Messages that were given up",
			object{"200": jsonResponse("A page of messages; next is empty after the last", reference("DeadLetterPage"))}, limitParameter, cursorParameter)},
		"/v1/dead-letters/{id}":           object{"delete": operation("discard", "Forget a message", done, id)},
		"/v1/dead-letters/{id}/redeliver": object{"post": operation("redeliver", "Take a message up again", done, id)},
		"/healthz":                        object{"get": operation("health", "Whether the process answers", object{"200": emptyResponse("It does")})},
		"/readyz":                         object{"get": operation("ready", "Whether requests are admitted", object{"200": emptyResponse("They are")})},
		"/metrics":                        object{"get": operation("metrics", "Metrics in the Prometheus text format", object{"200": emptyResponse("The metrics")})},
		"/openapi.json":                   object{"get": operation("openapi", "This document", object{"200": emptyResponse("The document")})},
	}
}

var (
	stringSchema  = object{"type": "string"}
	integerSchema = object{"type": "integer"}
	timeSchema    = object{"type": "string", "format": "date-time"}
	keyParameter  = object{
		"name": "key", "in": "path", "required": true,
		"description": "1 to 1,024 bytes of UTF-8, escaped; not . or ..",
		"schema":      object{"type": "string", "minLength": 1},
	}
)

var (
	limitParameter  = queryParameter("limit", object{"type": "integer", "minimum": 1, "maximum": ingress.ListLimitMax, "default": ingress.ListLimitDefault})
	cursorParameter = described(queryParameter("after", stringSchema), "The next of the page before, unchanged")
)

func pathParameter(name string) object {
	return object{"name": name, "in": "path", "required": true, "schema": stringSchema}
}

func queryParameter(name string, schema object) object {
	return object{"name": name, "in": "query", "schema": schema}
}

func parameterRef(name string) object {
	return object{"$ref": "#/components/parameters/" + name}
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func jsonContent(schema any) object {
	return object{"application/json": object{"schema": schema}}
}

func jsonResponse(text string, schema any) object {
	return object{"description": text, "content": jsonContent(schema)}
}

func emptyResponse(text string) object { return object{"description": text} }

// withErrors adds the answer to everything that goes wrong.
func withErrors(responses object) object {
	responses["default"] = object{"$ref": "#/components/responses/Error"}
	return responses
}

// properties is the schema of an object; required names members.
func properties(required string, members object) object {
	return object{"type": "object", "required": strings.Fields(required), "properties": members}
}

func components() object {
	errorSchema := properties("error", object{"error": reference("ErrorObject")})
	return object{
		"responses": object{"Error": jsonResponse(
			"400 invalid_argument, 403 denied, 404 not_found, 405 method_not_allowed, 409 conflict, already_exists or cancelled, "+
				"413 payload_too_large, 422 unprocessable, 429 resource_exhausted, 500 failed or panic, 503 unavailable, "+
				"504 deadline_exceeded; or a handler's own code with the status of its class",
			reference("Error"))},
		"parameters": object{
			"IdempotencyKey": object{"name": headerIdempotencyKey, "in": "header",
				"description": "Repeats with the same key and body are one request",
				"schema":      object{"type": "string", "minLength": 1, "maxLength": 255}},
			"RequestTimeout": object{"name": headerRequestTimeout, "in": "header",
				"description": "A Go duration or a number of seconds: do not begin later, do not wait longer",
				"schema":      stringSchema},
		},
		"schemas": object{
			"Error": errorSchema,
			"ErrorObject": properties("code message", object{
				"class": described(object{"type": "integer"}, "Of a failed invocation: 0 failed, 1 invalid argument, 2 not found, 3 conflict, 4 denied, 5 exhausted, 6 unavailable"),
				"code":  stringSchema, "message": stringSchema, "detail": object{},
				"detail_base64": object{"type": "string", "contentEncoding": "base64"}}),
			"Page": properties("entities next", object{
				"entities": object{"type": "array", "items": stringSchema}, "next": stringSchema}),
			"Entity": properties("kind key version state", object{
				"kind": stringSchema, "key": stringSchema, "version": integerSchema, "state": object{}}),
			"Submitted": properties("invocation_id", object{"invocation_id": stringSchema}),
			"Invocation": properties("id status", object{
				"id": stringSchema, "status": object{"enum": []string{"pending", "completed", "failed"}},
				"result": object{}, "error": reference("ErrorObject")}),
			"ParkedPage": properties("parked next", object{"next": stringSchema, "parked": object{"type": "array", "items": properties(
				"kind key reason since waiting", object{"kind": stringSchema, "key": stringSchema, "reason": stringSchema,
					"since": timeSchema, "waiting": integerSchema})}}),
			"LockPage": properties("locks next", object{"next": stringSchema, "locks": object{"type": "array", "items": properties(
				"kind key waiting holders", object{"kind": stringSchema, "key": stringSchema, "waiting": integerSchema,
					"holders": object{"type": "array", "items": properties("workflow id run shared since", object{
						"workflow": stringSchema, "id": stringSchema, "run": integerSchema, "shared": object{"type": "boolean"}, "since": timeSchema})}})}}),
			"DeadLetterPage": properties("dead_letters next", object{"next": stringSchema, "dead_letters": object{"type": "array", "items": properties(
				"id kind key handler input reason time", object{"id": stringSchema, "kind": stringSchema, "key": stringSchema,
					"handler": stringSchema, "input": object{}, "reason": stringSchema, "time": timeSchema})}}),
			"Reminders": properties("reminders", object{"reminders": object{"type": "array", "items": properties("name handler due", object{
				"name": stringSchema, "handler": stringSchema, "due": timeSchema,
				"every": stringSchema, "cron": stringSchema})}}),
			"Workflow": workflowSchema(),
			"Workflows": properties("workflows next", object{
				"workflows": object{"type": "array", "items": reference("Workflow")}, "next": stringSchema}),
			"History": historySchema(),
		},
	}
}
