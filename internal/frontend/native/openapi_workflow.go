package native

import (
	"github.com/holdfast-io/holdfast/internal/msg"
)

// addWorkflow adds the paths of one workflow.
func addWorkflow(paths object, kind *msg.Kind) {
	root := "/v1/workflows/" + kind.Name
	one := root + "/{id}"
	id := pathParameter("id")
	operation := func(name, summary string, parameters []object, responses object) object {
		return object{
			"operationId": kind.Name + "." + name, "tags": []string{kind.Name}, "summary": summary,
			"parameters": parameters, "responses": withErrors(responses),
		}
	}
	paths[root] = object{"get": operation("_runs", "List runs, in no promised order",
		[]object{
			queryParameter("status", object{"enum": []string{"running", "completed", "failed", "cancelled", "terminated"}}),
			limitParameter, cursorParameter,
		},
		object{"200": jsonResponse("A page of runs; next is empty after the last", reference("Workflows"))})}
	paths[one] = object{
		"parameters": []object{id},
		"get": operation("_describe", "How a run stands", []object{queryParameter("wait", stringSchema)},
			object{"200": jsonResponse("As it stands, or has ended", reference("Workflow"))}),
	}
	paths[one+"/history"] = object{"parameters": []object{id},
		"get": operation("_history", "What a run was told and asked for", []object{queryParameter("journal", object{"type": "boolean"})},
			object{"200": jsonResponse("The journal", reference("History"))})}
	accepted := object{"202": emptyResponse("It is durable")}
	for name, summary := range map[string]string{
		"cancel": "Ask a run to stop", "terminate": "End a run at once", "pause": "Let a run take no step until it is resumed",
		"resume": "Let a paused or parked run go on", "restart": "End a run and begin another with the same input",
	} {
		paths[one+"/"+name] = object{"parameters": []object{id},
			"post": operation("_"+name, summary, []object{parameterRef("IdempotencyKey")}, accepted)}
	}
	for i := range kind.Handlers {
		addWorkflowHandler(paths, root, kind, &kind.Handlers[i])
	}
}

// addWorkflowHandler adds the paths of the function, a signal or a query.
func addWorkflowHandler(paths object, root string, kind *msg.Kind, handler *msg.Handler) {
	id, one := pathParameter("id"), root+"/{id}"
	durable := []object{
		parameterRef("IdempotencyKey"), parameterRef("RequestTimeout"), queryParameter("delay", stringSchema), queryParameter("at", timeSchema),
	}
	operation := func(parameters []object, responses object) object {
		return object{"parameters": []object{id}, "post": post(kind, handler, kind.Name+"."+handler.Name, parameters, responses)}
	}
	switch handler.Mode {
	case msg.ModeSignal:
		paths[one+"/signals/"+handler.Name] = operation(durable, object{"202": emptyResponse("The signal is durable")})
	case msg.ModeQuery:
		paths[one+"/queries/"+handler.Name] = operation([]object{parameterRef("RequestTimeout")}, object{"200": outputResponse(handler)})
	case msg.ModeWorkflow:
		start := append(durable, queryParameter("wait", stringSchema),
			queryParameter("on_conflict", object{"enum": []string{"attach", "reject", "replace"}, "default": "attach"}))
		responses := object{
			"200": jsonResponse("It has ended: with a result, or with an error", reference("Workflow")),
			"202": jsonResponse("It has begun", reference("Workflow")),
		}
		paths[one].(object)["post"] = post(kind, handler, kind.Name+".run", start, responses)
		paths[root].(object)["post"] = post(kind, handler, kind.Name+".run_new", start, responses)
	}
}

// workflowMembers are the members of how a run stands. The result has the schema
// of the workflow's output.
func workflowMembers() object {
	flag := object{"type": "boolean"}
	return object{
		"id": stringSchema, "name": stringSchema, "run": integerSchema, "code_version": stringSchema, "invocation_id": stringSchema,
		"status": described(object{"enum": []string{"scheduled", "running", "completed", "failed", "cancelled", "terminated"}},
			"scheduled is what a delayed start answers"),
		"started_at": timeSchema, "ended_at": timeSchema, "result": object{}, "error": reference("ErrorObject"),
		"tombstone": described(object{"type": "boolean"}, "Its retention is over: result, error and history are not kept"),
		"paused":    flag, "cancelling": flag,
		"parked": properties("reason since waiting", object{"reason": stringSchema, "since": timeSchema, "waiting": integerSchema}),
		"promises": object{"type": "array", "items": properties("step id", object{
			"step": integerSchema, "id": described(object{"type": "string"}, "To resolve or reject it by")})},
	}
}

func workflowSchema() object { return properties("id name status", workflowMembers()) }

func historySchema() object {
	members := workflowMembers()
	delivery := properties("kind", object{
		"kind": object{"enum": []string{"start", "outcome", "signal", "cancel"}},
		"name": stringSchema, "step": integerSchema, "payload": object{}})
	step := properties("number kind", object{
		"number": integerSchema, "kind": stringSchema, "name": stringSchema, "promise": stringSchema,
		"outcome": properties("time", object{"time": timeSchema, "result": object{}, "error": reference("ErrorObject")})})
	members["entries"] = object{"type": "array", "items": properties("time deliveries steps", object{
		"time":       timeSchema,
		"deliveries": object{"type": "array", "items": delivery},
		"steps":      object{"type": "array", "items": step}})}
	return properties("id name status entries", members)
}
