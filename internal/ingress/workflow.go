package ingress

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// What is said about workflows as text, both over HTTP and in process.

// conflictPolicies are the names of what becomes of a start that meets a run.
var conflictPolicies = [...]string{
	msg.ConflictAttach:  "attach",
	msg.ConflictReject:  "reject",
	msg.ConflictReplace: "replace",
}

// ConflictPolicy reads the name of a policy; none is the first.
func ConflictPolicy(name string) (msg.ConflictPolicy, *msg.Error) {
	for policy, known := range conflictPolicies {
		if name == known {
			return msg.ConflictPolicy(policy), nil
		}
	}
	if name == "" {
		return msg.ConflictAttach, nil
	}
	return 0, invalid("the conflict policy is %.100q, want one of %s", name, strings.Join(conflictPolicies[:], ", "))
}

// WorkflowStatus reads the status that a list is to be filtered by; none is all.
func WorkflowStatus(name string) (msg.WorkflowStatus, *msg.Error) {
	var known []string
	for status := msg.WorkflowRunning; status <= msg.WorkflowTerminated; status++ {
		if name == status.String() {
			return status, nil
		}
		known = append(known, status.String())
	}
	if name == "" {
		return msg.WorkflowNone, nil
	}
	return 0, invalid("the status is %.100q, want one of %s", name, strings.Join(known, ", "))
}

// Promise reads the id of a promise.
func Promise(text string) (msg.PromiseID, *msg.Error) {
	id, err := msg.ParsePromiseID(text)
	if err != nil {
		return id, invalid("%v", err)
	}
	return id, nil
}

// classes are the names of the classes of errors.
var classes = [...]string{
	msg.ClassFailed:          "failed",
	msg.ClassInvalidArgument: "invalid_argument",
	msg.ClassNotFound:        "not_found",
	msg.ClassConflict:        "conflict",
	msg.ClassDenied:          "denied",
	msg.ClassExhausted:       "exhausted",
	msg.ClassUnavailable:     "unavailable",
}

// Rejection reads the error with which a promise is rejected: {"code","class",
// "message","detail"} or, for a detail that is not JSON, "detail_base64". The
// class is a name or a number. Everything may be left out; the code of an error
// without one is failed.
func Rejection(p msg.Payload) (*msg.Error, *msg.Error) {
	var body struct {
		Code, Message string
		Class         json.RawMessage
		Detail        json.RawMessage
		DetailBase64  []byte `json:"detail_base64"`
	}
	if !isJSON(p.ContentType) {
		return nil, invalid("a promise is rejected with an error as JSON, not with %.100s", p.ContentType)
	}
	if len(p.Body) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(p.Body))
		decoder.DisallowUnknownFields() // a slip in a name would lose what it says
		if err := decoder.Decode(&body); err != nil {
			return nil, invalid(`the body is no error, {"code","class","message","detail"}: %v`, err)
		}
	}
	class, err := classOf(body.Class)
	if err != nil {
		return nil, err
	}
	rejection := &msg.Error{Code: body.Code, Class: class, Message: body.Message, Detail: body.Detail}
	if rejection.Code == "" {
		rejection.Code = msg.CodeFailed
	}
	if body.DetailBase64 != nil {
		rejection.Detail = body.DetailBase64
	}
	return rejection, nil
}

func classOf(text json.RawMessage) (msg.Class, *msg.Error) {
	var name string
	var number uint8
	switch {
	case len(text) == 0:
		return msg.ClassFailed, nil
	case json.Unmarshal(text, &number) == nil && int(number) < len(classes):
		return msg.Class(number), nil
	case json.Unmarshal(text, &name) == nil:
		for class, known := range classes {
			if name == known {
				return msg.Class(class), nil
			}
		}
	}
	return 0, invalid("the class is %.100s, want one of %s, or its number from 0", text, strings.Join(classes[:], ", "))
}

// NeverBegun is the answer to a question about a workflow that nobody has begun.
func NeverBegun(target msg.Ref) *msg.Error {
	return notFound("there is no workflow %s: it has not begun, or ended longer ago than it is kept", target)
}
