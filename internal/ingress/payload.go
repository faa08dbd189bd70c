package ingress

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// IdempotencyKeyBytesMax bounds an idempotency key.
const IdempotencyKeyBytesMax = 255

// Input makes the payload of a request from its body.
//
// A body without a content type is JSON, and so is one that says it is plain
// text or a form: those are what HTTP clients say when they were told nothing.
// JSON is checked, so that what cannot be read never becomes a durable input,
// and white space around it does not count. Null is a value like any other
// here: whether it means no input is for the handler to say. A body of any other
// content type is for the codec of the handler and passes unchanged.
func Input(contentType string, body []byte) (msg.Payload, *msg.Error) {
	if !isJSON(contentType) {
		return msg.Payload{ContentType: contentType, Body: body}, nil
	}
	value := bytes.TrimSpace(body)
	if len(value) == 0 {
		return msg.Payload{}, nil
	}
	if !json.Valid(value) {
		return msg.Payload{}, malformed(body)
	}
	if !utf8.Valid(value) {
		return msg.Payload{}, invalid("the body is not valid UTF-8 at offset %d", invalidOffset(body))
	}
	return msg.Payload{Body: value}, nil
}

// isNothing says that a payload is one of the ways to write no input.
func isNothing(p msg.Payload) bool {
	if !isJSON(p.ContentType) {
		return false
	}
	body := string(p.Body)
	return body == "null" || body == "{}"
}

func invalid(format string, args ...any) *msg.Error {
	return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, format, args...)
}

func isJSON(contentType string) bool {
	if contentType == "" || contentType == ContentTypeJSON {
		return true
	}
	mediaType, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(mediaType)) {
	case ContentTypeJSON, "text/json", "text/plain", "application/x-www-form-urlencoded":
		return true
	}
	return false
}

func malformed(body []byte) *msg.Error {
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	offset := int64(len(body))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	return invalid("the body is not valid JSON at offset %d: %v", offset, err)
}

func invalidOffset(body []byte) int {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(body)
}

// CheckIdempotencyKey says what is wrong with a key that is not empty: it is 1
// to 255 characters of printable ASCII without a space at either end, so that
// it is the same in an HTTP header and in process.
func CheckIdempotencyKey(key string) *msg.Error {
	if len(key) > IdempotencyKeyBytesMax {
		return invalid("the idempotency key has %d bytes, at most %d are allowed", len(key), IdempotencyKeyBytesMax)
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return invalid("the idempotency key has byte %#02x at offset %d, only printable ASCII is allowed", key[i], i)
		}
	}
	if strings.TrimSpace(key) != key {
		return invalid("the idempotency key %q begins or ends with a space", key)
	}
	return nil
}

// Headers makes sorted request metadata. Names are tokens as in HTTP and are
// the same in any case, so they become lower case; values are one line of text
// without a space at either end. So every header is the same in an HTTP request
// and in process.
func Headers(header map[string]string) ([]msg.Header, *msg.Error) {
	if len(header) == 0 {
		return nil, nil
	}
	headers := make([]msg.Header, 0, len(header))
	for name, value := range header {
		if !isToken(name) {
			return nil, invalid("the header name %q is not a token of letters, digits and !#$%%&'*+-.^_`|~", name)
		}
		if !isLine(value) {
			return nil, invalid("the value of header %q has a control character, or a space at one end", name)
		}
		headers = append(headers, msg.Header{Name: strings.ToLower(name), Value: value})
	}
	SortHeaders(headers)
	return headers, nil
}

// SortHeaders puts headers into the order that lists of them have.
func SortHeaders(headers []msg.Header) {
	slices.SortFunc(headers, func(a, b msg.Header) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
}

func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		letterOrDigit := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letterOrDigit && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

func isLine(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' && value[i] != '\t' || value[i] == 0x7f {
			return false
		}
	}
	return strings.Trim(value, " \t") == value
}
