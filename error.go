package holdfast

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Class maps an outcome to the codes of transports. Over HTTP the classes are
// 500, 400, 404, 409, 403, 429 and 503, in the order of the constants.
type Class int

// The classes of outcomes.
const (
	Failed          = Class(msg.ClassFailed)
	InvalidArgument = Class(msg.ClassInvalidArgument)
	NotFound        = Class(msg.ClassNotFound)
	Conflict        = Class(msg.ClassConflict)
	Denied          = Class(msg.ClassDenied)
	Exhausted       = Class(msg.ClassExhausted)
	Unavailable     = Class(msg.ClassUnavailable)
)

// Errors that the system makes. Match them with errors.Is: an error that came
// over the wire is equal to them if its code is. Those marked retryable say
// that the same request may succeed later.
var (
	ErrInvalidArgument   = NewError(msg.CodeInvalidArgument, InvalidArgument) // the request makes no sense, ever
	ErrNotFound          = NewError(msg.CodeNotFound, NotFound)               // no such entity, kind, handler or invocation
	ErrAlreadyExists     = NewError(msg.CodeAlreadyExists, Conflict)          // it was made or settled before
	ErrConflict          = NewError(msg.CodeConflict, Conflict)               // it contradicts what is there
	ErrUnprocessable     = NewError(msg.CodeUnprocessable, InvalidArgument)   // the idempotency key came with another body before
	ErrTooLarge          = NewError(msg.CodePayloadTooLarge, InvalidArgument) // a body or state is over its limit
	ErrDenied            = NewError(msg.CodeDenied, Denied)                   // the caller may not
	ErrFailed            = NewError(msg.CodeFailed, Failed)                   // the handler returned an error without a code
	ErrPanic             = NewError(msg.CodePanic, Failed)                    // the handler panicked
	ErrQuarantined       = NewError(msg.CodeQuarantined, Failed)              // the input has killed too many attempts
	ErrCancelled         = NewError(msg.CodeCancelled, Conflict)              // somebody asked for it to stop
	ErrDeadline          = NewError(msg.CodeDeadlineExceeded, Unavailable)    // it had not begun by its Deadline
	ErrResourceExhausted = NewError(msg.CodeResourceExhausted, Exhausted)     // a limit is reached; retryable
	ErrUnavailable       = NewError(msg.CodeUnavailable, Unavailable)         // nobody can answer now; retryable
	ErrWouldDeadlock     = NewError(msg.CodeWouldDeadlock, Conflict)          // it could only wait for locks of who waits for it
	errTailed            = errors.New("holdfast: the result of Tail, which its handler must return as it is")
)

// Error is an outcome with a stable code: how a handler says that it refuses.
// A plain error from a handler is an outcome too, with the code "failed".
//
// errors.Is compares codes, so that a declared Error matches what arrives at
// a caller in another process.
type Error struct {
	Code    string
	Class   Class
	Message string
	Detail  []byte // for programs; travels with the error

	cause error
}

// NewError declares an outcome, usually as a package variable. The code is part
// of the contract: it is what callers compare.
func NewError(code string, class Class) *Error { return &Error{Code: code, Class: class} }

// Error gives code and message.
func (e *Error) Error() string {
	if e == nil { // Go's nil pointer in an interface: nothing failed, and yet err != nil
		return "a nil *holdfast.Error was returned as an error; return nil itself"
	}
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Is reports whether target is an Error with the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && e != nil && other != nil && other.Code == e.Code
}

// Unwrap gives what Withf was given with %w, or at a client the *client.Error
// that arrived, which says whether the request's fate is known.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Withf returns a copy with a message, formatted as by fmt.Errorf.
func (e *Error) Withf(format string, args ...any) *Error {
	text := fmt.Errorf(format, args...)
	with := *e
	with.Message, with.cause = text.Error(), errors.Unwrap(text)
	return &with
}

// keptError is what Keep returns.
type keptError struct{ error }

func (e *keptError) Unwrap() error { return e.error }

// Keep makes a handler return err to its caller and keep the changes and sends
// of the turn all the same. Keep(nil) is nil.
func Keep(err error) error {
	if err == nil {
		return nil
	}
	return &keptError{err}
}

// outcomeOf gives a handler's error as data. A wrapped Error keeps its code and
// takes the text of the whole chain as its message.
func outcomeOf(err error) *msg.Error {
	if kept, ok := err.(*keptError); ok {
		err = kept.error
	}
	var e *Error
	if !errors.As(err, &e) || e == nil {
		return &msg.Error{Code: msg.CodeFailed, Class: msg.ClassFailed, Message: textOf(err)}
	}
	out := &msg.Error{Code: e.Code, Class: msg.Class(e.Class), Message: e.Message, Detail: e.Detail}
	if error(e) != err {
		out.Message = textOf(err)
	}
	if out.Code == "" {
		out.Code = msg.CodeFailed
	}
	if out.Message == "" { // whoever does not know the code reads words all the same
		out.Message = strings.ReplaceAll(out.Code, "_", " ")
	}
	return out
}

// textOf gives an error's text, also where err is a nil pointer of a type whose
// Error method does not expect one.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("an error of type %T that cannot be printed (a nil pointer?)", err)
		}
	}()
	return err.Error()
}

// arrived turns an error of a connection into one that callers compare. What
// did not come from the server stays as it is. ended is not nil if the caller's
// context was over, which is then part of the error.
func arrived(err, ended error) error {
	var e *client.Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Code: e.Code, Class: Class(e.Class), Message: e.Message, Detail: e.Detail, cause: errors.Join(err, ended)}
}
