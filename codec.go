package holdfast

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/holdfast-io/holdfast/internal/form"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/plain"
)

// Void is the input or output of a handler that has none. On the wire it is an
// empty body; null is understood too.
type Void struct{}

// None is the value of Void.
var None Void

var voidType = reflect.TypeFor[Void]()

// Codec turns values into bytes. It is used by many goroutines at once. An
// empty or JSON content type is reserved: it means JSON.
type Codec interface {
	ContentType() string
	Marshal(v any) ([]byte, error)
	Unmarshal(b []byte, v any) error
}

const contentJSON = "application/json"

var errEmpty = errors.New("the body is empty")
var errNull = errors.New("the body is null")

// shape is how values of one type travel; it is prepared where the type is
// declared, once.
type shape struct {
	value    reflect.Type
	codec    Codec // nil: JSON
	void     bool
	nullable bool        // null is a value of the type
	plain    *plain.Plan // a short way for JSON; nil: there is none
}

func newShape(t reflect.Type, codec Codec) shape {
	return shape{value: t, codec: codec, void: t == voidType, nullable: form.Nullable(t), plain: plain.PlanOf(t)}
}

// schema gives the JSON schema of a shape; nil if there is no body, and the
// schema of everything if a codec decides.
func (s *shape) schema() []byte {
	if s.void {
		return nil
	}
	if s.codec != nil {
		return []byte("{}")
	}
	return form.Schema(s.value, storedElement)
}

// encode writes the value that pointer points to.
func (s *shape) encode(pointer any) (p msg.Payload, err error) {
	switch {
	case s.void:
		return p, nil
	case s.codec == nil:
		p.Body, err = encodeJSON(s.plain, pointer)
	default:
		p.ContentType = s.codec.ContentType()
		p.Body, err = s.codec.Marshal(reflect.ValueOf(pointer).Elem().Interface())
	}
	return p, err
}

// decode reads a value to where pointer points. Fields that the type does not
// have are skipped; anything else that does not fit is an error. A handle with
// a codec of its own understands JSON as well, which gateways speak.
func (s *shape) decode(p msg.Payload, pointer any) error {
	if s.codec != nil && !isJSON(p.ContentType) {
		return s.codec.Unmarshal(p.Body, pointer)
	}
	if s.void && len(p.Body) == 0 {
		return nil
	}
	if len(p.Body) == 0 {
		return errEmpty
	}
	if !s.nullable && !s.void && string(p.Body) == "null" {
		return errNull
	}
	return decodeJSON(s.plain, p.Body, pointer)
}

func isJSON(contentType string) bool {
	return contentType == "" || strings.HasPrefix(contentType, contentJSON)
}

// encodeJSON is json.Marshal with a short way for the commonest small values
// and for plain structs.
func encodeJSON(short *plain.Plan, pointer any) ([]byte, error) {
	if body, ok := short.Encode(pointer); ok {
		return body, nil
	}
	switch v := pointer.(type) {
	case *int64:
		return strconv.AppendInt(nil, *v, 10), nil
	case *int:
		return strconv.AppendInt(nil, int64(*v), 10), nil
	case *bool:
		return strconv.AppendBool(nil, *v), nil
	}
	return json.Marshal(pointer)
}

// decodeJSON is json.Unmarshal with a short way for integers and for plain
// structs.
func decodeJSON(short *plain.Plan, body []byte, pointer any) error {
	if short.Decode(body, pointer) {
		return nil
	}
	switch v := pointer.(type) {
	case *int64:
		if n, ok := smallInteger(body); ok {
			*v = n
			return nil
		}
	case *int:
		if n, ok := smallInteger(body); ok {
			*v = int(n)
			return nil
		}
	}
	return json.Unmarshal(body, pointer)
}

// smallInteger reads an integer of at most nine digits, which fits every int.
// It says false about everything else, right or wrong.
func smallInteger(body []byte) (n int64, ok bool) {
	digits := body
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 9 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if len(digits) < len(body) {
		n = -n
	}
	return n, true
}

func shapeOf[T any]() shape { return newShape(reflect.TypeFor[T](), nil) }

// wrapJSON puts a value that is no JSON into a JSON text.
func wrapJSON(p msg.Payload) ([]byte, error) {
	return json.Marshal(map[string]any{"content_type": p.ContentType, "base64": p.Body})
}

// unwrapJSON gives a value inside of a JSON text: what is no JSON itself stands
// there as {"content_type","base64"}.
func unwrapJSON(body []byte) (p msg.Payload, err error) {
	var wrapped struct {
		ContentType string `json:"content_type"`
		Base64      []byte
	}
	if err := json.Unmarshal(body, &wrapped); err != nil {
		return p, err
	}
	return msg.Payload{ContentType: wrapped.ContentType, Body: wrapped.Base64}, nil
}
