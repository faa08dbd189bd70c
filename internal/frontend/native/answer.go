package native

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// statusOfCode gives the status of errors that the system makes.
var statusOfCode = map[string]int{
	msg.CodeInvalidArgument:   http.StatusBadRequest,
	msg.CodeNotFound:          http.StatusNotFound,
	msg.CodeConflict:          http.StatusConflict,
	msg.CodeAlreadyExists:     http.StatusConflict,
	msg.CodePayloadTooLarge:   http.StatusRequestEntityTooLarge,
	msg.CodeUnprocessable:     http.StatusUnprocessableEntity,
	msg.CodeFailed:            http.StatusInternalServerError,
	msg.CodePanic:             http.StatusInternalServerError,
	msg.CodeQuarantined:       http.StatusInternalServerError,
	msg.CodeDenied:            http.StatusForbidden,
	msg.CodeMethodNotAllowed:  http.StatusMethodNotAllowed,
	msg.CodeCancelled:         http.StatusConflict,
	msg.CodeResourceExhausted: http.StatusTooManyRequests,
	msg.CodeDeadlineExceeded:  http.StatusGatewayTimeout,
	msg.CodeUnavailable:       http.StatusServiceUnavailable,
}

// statusOfClass gives the status of errors that handlers make.
var statusOfClass = [...]int{
	msg.ClassFailed:          http.StatusInternalServerError,
	msg.ClassInvalidArgument: http.StatusBadRequest,
	msg.ClassNotFound:        http.StatusNotFound,
	msg.ClassConflict:        http.StatusConflict,
	msg.ClassDenied:          http.StatusForbidden,
	msg.ClassExhausted:       http.StatusTooManyRequests,
	msg.ClassUnavailable:     http.StatusServiceUnavailable,
}

func statusOf(e *msg.Error) int {
	if status, ok := statusOfCode[e.Code]; ok {
		return status
	}
	if int(e.Class) < len(statusOfClass) {
		return statusOfClass[e.Class]
	}
	return http.StatusInternalServerError
}

func invalid(format string, args ...any) *msg.Error {
	return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, format, args...)
}

func denied(format string, args ...any) *msg.Error {
	return msg.Errorf(msg.CodeDenied, msg.ClassDenied, format, args...)
}

func notFound(format string, args ...any) *msg.Error {
	return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, format, args...)
}

func unknownPath(path string) *msg.Error {
	return notFound("nothing is served at %.200q: see /openapi.json for what is", path)
}

// Values of headers, made once: net/http does not write to them.
var (
	headerJSON       = []string{ingress.ContentTypeJSON}
	headerRetryAfter = []string{"1"} // second; a client of ours backs off by itself
)

// contentLengthBytes is the size from which on a body names its length here.
// net/http names it for everything that fits its buffer of 2,048 bytes, without
// an allocation.
const contentLengthBytes = 2000

func writeBody(w http.ResponseWriter, status int, contentType []string, body []byte) int {
	header := w.Header()
	header["Content-Type"] = contentType
	if len(body) >= contentLengthBytes {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails if the client has gone: nobody is left to be told
	return status
}

func writeJSON(w http.ResponseWriter, status int, body []byte) int {
	return writeBody(w, status, headerJSON, body)
}

// writeOutput answers with the output of a handler.
func writeOutput(w http.ResponseWriter, p msg.Payload) int {
	body, contentType := ingress.Output(p)
	if contentType == ingress.ContentTypeJSON {
		return writeJSON(w, http.StatusOK, body)
	}
	return writeBody(w, http.StatusOK, []string{contentType}, body)
}

func writeEmpty(w http.ResponseWriter, status int) int {
	w.WriteHeader(status)
	return status
}

func writeError(w http.ResponseWriter, e *msg.Error) int {
	status := statusOf(e)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header()["Retry-After"] = headerRetryAfter
	}
	return writeJSON(w, status, ingress.AppendError(nil, e))
}

// refuseMethod answers a method that the path does not have.
func refuseMethod(w http.ResponseWriter, r *http.Request, allowed ...string) int {
	list := strings.Join(allowed, ", ")
	w.Header().Set("Allow", list)
	return writeError(w, msg.Errorf(msg.CodeMethodNotAllowed, msg.ClassInvalidArgument,
		"%s does not take %s, only %s", r.URL.EscapedPath(), r.Method, list))
}

// isGet reports whether the request reads. HEAD is GET without the body, which
// net/http leaves out.
func isGet(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// queryError wraps what is wrong with a query parameter.
func queryError(name, value string, format string, args ...any) *msg.Error {
	return invalid("?%s=%.100s: %s", name, value, fmt.Sprintf(format, args...))
}
