package native

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

const (
	// bodyBytesPlain is the size up to which a body is read in one piece, into
	// memory that is taken before it has arrived.
	bodyBytesPlain = 64 << 10
	// bodyTime bounds how long a larger body may take to arrive: 8 MiB need
	// 140 kB/s for it.
	bodyTime = time.Minute
)

// Names of headers, as net/http writes them.
const (
	headerContentType    = "Content-Type"
	headerIdempotencyKey = "Idempotency-Key"
	headerSession        = "Holdfast-Session"
	headerRequestTimeout = "Request-Timeout"
	headerTraceparent    = "Traceparent"
	headerPrefix         = "X-Holdfast-Header-"
)

// readRequest fills in what a request says in its headers and body.
func (h *Handler) readRequest(w http.ResponseWriter, r *http.Request, request *msg.Request) *msg.Error {
	contentType, err := h.readHeader(r.Header, request)
	if err != nil {
		return err
	}
	body, err := h.readBody(w, r)
	if err != nil {
		return err
	}
	request.Payload, err = ingress.Input(contentType, body)
	return err
}

// readHeader goes over the headers once: a lookup for each would cost more.
func (h *Handler) readHeader(header http.Header, request *msg.Request) (contentType string, err *msg.Error) {
	for name, values := range header {
		switch name {
		case headerContentType:
			contentType = values[0]
		case headerTraceparent:
			if isTraceparent(values[0]) {
				request.Traceparent = values[0]
			}
		case headerIdempotencyKey:
			request.Identity.IdempotencyKey, err = idempotencyKey(values)
		case headerSession:
			request.Identity.Session, request.Identity.SessionNumber, err = session(values)
		case headerRequestTimeout:
			request.Deadline, err = deadline(values[0], h.now())
		default:
			request.Headers = appendHeader(request.Headers, name, values)
		}
		if err != nil {
			return "", err
		}
	}
	if request.Identity.IdempotencyKey != "" && !request.Identity.Session.IsZero() {
		return "", invalid("%s and %s exclude each other: a request has one identity", headerIdempotencyKey, headerSession)
	}
	if len(request.Headers) > 1 {
		ingress.SortHeaders(request.Headers)
	}
	return contentType, nil
}

func appendHeader(headers []msg.Header, name string, values []string) []msg.Header {
	name, ok := strings.CutPrefix(name, headerPrefix)
	if !ok || name == "" {
		return headers
	}
	return append(headers, msg.Header{Name: strings.ToLower(name), Value: strings.Join(values, ", ")})
}

// isTraceparent reports whether the text has the form of W3C Trace Context,
// section 3.2: a header that does not is to be ignored.
func isTraceparent(text string) bool {
	const length = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if len(text) < length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return false
	}
	return len(text) == length || len(text) <= 4*length && text[length] == '-'
}

func idempotencyKey(values []string) (string, *msg.Error) {
	if len(values) != 1 || values[0] == "" {
		return "", invalid("%s must have one value of 1 to %d characters", headerIdempotencyKey, ingress.IdempotencyKeyBytesMax)
	}
	return values[0], ingress.CheckIdempotencyKey(values[0])
}

// session reads 32 hexadecimal digits, a hyphen and a number from 1.
func session(values []string) (id msg.SessionID, number uint64, err *msg.Error) {
	text, count, _ := strings.Cut(values[0], "-")
	number, parseErr := strconv.ParseUint(count, 10, 64)
	if len(text) != hex.EncodedLen(len(id)) || parseErr != nil || number == 0 {
		return id, 0, invalidSession(values[0])
	}
	if _, decodeErr := hex.Decode(id[:], []byte(text)); decodeErr != nil || id.IsZero() {
		return id, 0, invalidSession(values[0])
	}
	return id, number, nil
}

func invalidSession(text string) *msg.Error {
	return invalid("%s is %.100q, want 32 hexadecimal digits that are not all zero, a hyphen and a number from 1", headerSession, text)
}

func deadline(text string, now time.Time) (msg.Time, *msg.Error) {
	timeout, ok := duration(text)
	if !ok || timeout <= 0 {
		return 0, invalid("%s is %.100q, want a duration above zero such as 500ms, or seconds", headerRequestTimeout, text)
	}
	at := now.Add(timeout)
	if at.After(ingress.Horizon.Std()) {
		return 0, invalid("%s is %.100q: that is after the year 2200", headerRequestTimeout, text)
	}
	return msg.TimeOf(at), nil
}

// duration reads a Go duration or a number of seconds.
func duration(text string) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// parameters reads the query. It may only have the known parameters, each of
// them once: a parameter with a slip in its name would otherwise be no delay.
func parameters(r *http.Request, known ...string) (url.Values, *msg.Error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query is malformed: %v", err)
	}
	for name, list := range values {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return nil, invalid("the query has %.100q, but %s takes no parameters", name, r.URL.Path)
			}
			return nil, invalid("the query has %.100q, but %s takes only %s", name, r.URL.Path, strings.Join(known, ", "))
		}
		if len(list) > 1 {
			return nil, invalid("the query has %.100q %d times", name, len(list))
		}
	}
	return values, nil
}

// readBody reads the whole body. The memory it takes grows with what has
// arrived, not with what was announced.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *msg.Error) {
	length := r.ContentLength // -1: chunked
	switch {
	case length == 0:
		return nil, nil
	case length > h.bodyBytesMax:
		return nil, tooLarge(h.bodyBytesMax)
	case 0 < length && length <= bodyBytesPlain:
		body := make([]byte, length)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, unreadable(err)
		}
		return body, nil
	}
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(bodyTime)) // not every server has deadlines
	defer func() { _ = controller.SetReadDeadline(time.Time{}) }()
	return h.readLargeBody(r.Body, length)
}

func (h *Handler) readLargeBody(from io.Reader, length int64) ([]byte, *msg.Error) {
	end := length
	if length < 0 {
		end = h.bodyBytesMax + 1 // one more shows that there is too much
	}
	body := make([]byte, 0, min(end, bodyBytesPlain))
	for int64(len(body)) < end {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(end, 2*int64(cap(body)))), body...)
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF && (length < 0 || int64(len(body)) == length) {
			break
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, unreadable(err)
		}
	}
	if int64(len(body)) > h.bodyBytesMax {
		return nil, tooLarge(h.bodyBytesMax)
	}
	if cap(body) > len(body)+len(body)/4 { // what is kept takes no more than it needs
		return bytes.Clone(body), nil
	}
	return slices.Clip(body), nil
}

func tooLarge(limit int64) *msg.Error {
	return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassInvalidArgument, "the body has more than %d bytes", limit)
}

func unreadable(err error) *msg.Error { return invalid("read the body: %v", err) }
