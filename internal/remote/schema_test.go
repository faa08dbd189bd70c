package remote

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: the published schema says what the code does. Method: it is made from the
// code (names and comments from its text, numbers and kinds from what the
// descriptions of fields list) and compared with the file; and what is encoded is
// decoded and encoded again by google.golang.org/protobuf with that schema.
// HOLDFAST_UPDATE=1 writes the file.

const schemaPath = "../../proto/holdfast/session/v1/session.proto"

// crossing are the nouns that frames hold.
var crossing = []Noun{&Hello{}, &Welcome{}, &Request{}, &Answer{}, &Assignment{}, &Completion{}, &Attempt{}, &Credit{}, &Goodbye{}, &Inactive{}}

// field is a field as the code describes it.
type field struct {
	number   int
	kind     string // of the schema; or the message
	repeated bool
	of       Noun
}

func fieldsOf(n Noun) (list []field) {
	v := visitor{list: func(number msg.FieldNumber, kind string, repeated bool, of Noun) {
		list = append(list, field{int(number), kind, repeated, of})
	}}
	n.fields(&v)
	return list
}

// goNames are the names in the code: fields by number, for each noun.
type source struct {
	fields   map[string]map[int]string    // noun, number: the name of the Go field
	comments map[string]map[string]string // noun or enumeration, field or constant
	docs     map[string]string
	enums    map[string][]string // constants in order, from 1
}

var messageNames = map[string]string{"header": "Header", "ref": "Ref", "replyTo": "ReplyTo"}

func nameOf(n Noun) string {
	name := reflect.TypeOf(n).Elem().Name()
	if published := messageNames[name]; published != "" {
		return published
	}
	return name
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{map[string]map[int]string{}, map[string]map[string]string{}, map[string]string{}, map[string][]string{}}
	for _, path := range []string{"remote.go", "fields.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				s.readTypes(d)
			case *ast.FuncDecl:
				s.readFields(d)
			}
		}
	}
	return s
}

func (s *source) readTypes(d *ast.GenDecl) {
	last := ""
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.docs[spec.Name.Name] = strings.TrimSpace(d.Doc.Text())
			if structure, ok := spec.Type.(*ast.StructType); ok {
				s.comments[spec.Name.Name] = map[string]string{}
				for _, f := range structure.Fields.List {
					for _, name := range f.Names {
						s.comments[spec.Name.Name][name.Name] = strings.TrimSpace(f.Comment.Text())
					}
				}
			}
		case *ast.ValueSpec:
			if name, ok := spec.Type.(*ast.Ident); ok && d.Tok == token.CONST {
				last = name.Name
			}
			if constant := spec.Names[0].Name; last != "" && strings.HasSuffix(last, "Kind") && ast.IsExported(constant) {
				s.enums[last] = append(s.enums[last], constant)
				if s.comments[last] == nil {
					s.comments[last] = map[string]string{}
				}
				s.comments[last][constant] = strings.TrimSpace(spec.Comment.Text())
			}
		}
	}
}

// readFields finds the names of fields in a method "fields".
func (s *source) readFields(d *ast.FuncDecl) {
	if d.Name.Name != "fields" || d.Recv == nil {
		return
	}
	noun := d.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
	if published := messageNames[noun]; published != "" {
		noun = published
	}
	s.fields[noun] = map[int]string{}
	ast.Inspect(d.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		number := 0
		for _, a := range call.Args {
			if literal, ok := a.(*ast.BasicLit); ok && literal.Kind == token.INT && number == 0 {
				number, _ = strconv.Atoi(literal.Value)
			}
		}
		if number == 0 {
			return true
		}
		ast.Inspect(call.Args[len(call.Args)-1], func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok && s.fields[noun][number] == "" && ast.IsExported(selector.Sel.Name) {
				if _, receiver := selector.X.(*ast.Ident); receiver && selector.X.(*ast.Ident).Name == d.Recv.List[0].Names[0].Name {
					s.fields[noun][number] = selector.Sel.Name
				}
			}
			return true
		})
		return false
	})
}

var camel = regexp.MustCompile(`([a-z0-9])([A-Z])`)

func snake(name string) string { return strings.ToLower(camel.ReplaceAllString(name, "${1}_${2}")) }

// constant is the name of a constant in the schema.
func constant(enum, name string) string {
	return strings.ToUpper(snake(enum)) + "_" + strings.ToUpper(snake(strings.TrimPrefix(name, strings.TrimSuffix(enum, "Kind"))))
}

// schema is the text of the schema, and the same as a descriptor.
func schema(s *source) (string, *descriptorpb.FileDescriptorProto) {
	var out bytes.Buffer
	out.WriteString(schemaHead)
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("session.proto"), Package: proto.String("holdfast.session.v1"), Syntax: proto.String("proto3")}
	seen := map[string]bool{}
	var messages []Noun
	var visit func(n Noun)
	visit = func(n Noun) {
		if seen[nameOf(n)] {
			return
		}
		seen[nameOf(n)] = true
		messages = append(messages, n)
		for _, f := range fieldsOf(n) {
			if f.of != nil {
				visit(f.of)
			}
		}
	}
	for _, n := range crossing {
		visit(n)
	}
	enums := map[string]bool{}
	for _, n := range messages {
		name := nameOf(n)
		m := &descriptorpb.DescriptorProto{Name: proto.String(name)}
		writeComment(&out, "", s.docs[name])
		fmt.Fprintf(&out, "message %s {\n", name)
		for _, f := range fieldsOf(n) {
			goName := s.fields[name][f.number]
			kind, repeated := f.kind, ""
			if f.of != nil {
				kind = nameOf(f.of)
			}
			if f.repeated {
				repeated = "repeated "
			}
			if s.enums[kind] != nil {
				enums[kind] = true
			}
			packed := ""
			if f.repeated && kind == "uint64" {
				packed = " [packed = true]"
			}
			writeComment(&out, "  ", sentence(s.comments[name][goName]))
			fmt.Fprintf(&out, "  %s%s %s = %d%s;\n", repeated, kind, snake(goName), f.number, packed)
			m.Field = append(m.Field, describe(f, goName, kind, s))
		}
		out.WriteString("}\n\n")
		file.MessageType = append(file.MessageType, m)
	}
	for _, name := range []string{"InvocationKind", "ChangeKind", "RequestKind", "QueryKind"} {
		e := &descriptorpb.EnumDescriptorProto{Name: proto.String(name), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: proto.String(constant(name, "Unspecified")), Number: proto.Int32(0)}}}
		writeComment(&out, "", s.docs[name])
		fmt.Fprintf(&out, "enum %s {\n  %s = 0;\n", name, constant(name, "Unspecified"))
		for n, c := range s.enums[name] {
			writeComment(&out, "  ", sentence(s.comments[name][c]))
			fmt.Fprintf(&out, "  %s = %d;\n", constant(name, c), n+1)
			e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String(constant(name, c)), Number: proto.Int32(int32(n + 1))})
		}
		out.WriteString("}\n\n")
		file.EnumType = append(file.EnumType, e)
	}
	return strings.TrimSuffix(out.String(), "\n"), file
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func writeComment(out *bytes.Buffer, indent, text string) {
	for _, line := range strings.Split(text, "\n") {
		if line != "" {
			fmt.Fprintf(out, "%s// %s\n", indent, line)
		}
	}
}

var scalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"string": descriptorpb.FieldDescriptorProto_TYPE_STRING, "bytes": descriptorpb.FieldDescriptorProto_TYPE_BYTES,
	"bool": descriptorpb.FieldDescriptorProto_TYPE_BOOL, "uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32,
	"uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64, "sfixed64": descriptorpb.FieldDescriptorProto_TYPE_SFIXED64,
}

func describe(f field, goName, kind string, s *source) *descriptorpb.FieldDescriptorProto {
	d := &descriptorpb.FieldDescriptorProto{Name: proto.String(snake(goName)), Number: proto.Int32(int32(f.number)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	if f.repeated {
		d.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	switch {
	case f.of != nil:
		d.Type, d.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), proto.String(".holdfast.session.v1."+kind)
	case s.enums[kind] != nil:
		d.Type, d.TypeName = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum(), proto.String(".holdfast.session.v1."+kind)
	default:
		scalar := scalars[kind]
		d.Type = &scalar
	}
	return d
}

func TestTheSchemaSaysWhatTheCodeDoes(t *testing.T) {
	text, file := schema(readSource(t))
	if os.Getenv("HOLDFAST_UPDATE") != "" {
		if err := os.WriteFile(schemaPath, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(published) != text {
		t.Errorf("%s is not what the code says; HOLDFAST_UPDATE=1 writes it", schemaPath)
	}
	if _, err := protodesc.NewFile(file, nil); err != nil {
		t.Errorf("the schema is not valid: %v", err)
	}
}

// filled is a noun of which every field has a value.
func filled(n Noun) Noun {
	fill(reflect.ValueOf(n).Elem(), 1)
	return n
}

func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for n := range v.NumField() {
			fill(v.Field(n), depth)
		}
	case reflect.Pointer:
		if depth < 4 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("some bytes"))
			return
		}
		if depth < 4 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for n := range 2 {
				fill(v.Index(n), depth+1)
			}
		}
	case reflect.Array:
		for n := range v.Len() {
			v.Index(n).SetUint(uint64(n + 1))
		}
	case reflect.String:
		v.SetString("text of " + v.Type().Name())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(123456789)
	default:
		v.SetUint(2)
	}
}

func TestWhatIsEncodedIsWhatTheSchemaSays(t *testing.T) {
	_, file := schema(readSource(t))
	described, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range crossing {
		n := filled(n)
		ours := Append(nil, n)
		m := dynamicpb.NewMessage(described.Messages().ByName(protoreflect.Name(nameOf(n))))
		if err := (proto.UnmarshalOptions{DiscardUnknown: false}).Unmarshal(ours, m); err != nil {
			t.Errorf("%s: %v", nameOf(n), err)
			continue
		}
		if len(m.GetUnknown()) > 0 {
			t.Errorf("%s has fields that the schema does not have", nameOf(n))
		}
		theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%s: the two encodings differ:\n%x\n%x", nameOf(n), ours, theirs)
		}
	}
}

// kept are the nouns that only the server keeps.
var kept = []Noun{&Actor{}, &Sent{}, &Told{}, &Promise{}, &Topic{}, &Event{}, &Subscriber{}, &Reminder{}, &Subscription{}, &Invocation{}}

func TestEveryFieldSurvives(t *testing.T) {
	for _, n := range append(append([]Noun{}, crossing...), kept...) {
		n := filled(n)
		again := reflect.New(reflect.TypeOf(n).Elem()).Interface().(Noun)
		if err := Decode(nameOf(n), Append(nil, n), again); err != nil {
			t.Errorf("%s: %v", nameOf(n), err)
		}
		if !reflect.DeepEqual(n, again) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", nameOf(n), again, n)
		}
		empty := reflect.New(reflect.TypeOf(n).Elem()).Interface().(Noun)
		if b := Append(nil, empty); len(b) > 0 {
			t.Errorf("an empty %s has %d bytes", nameOf(n), len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range crossing {
		f.Add(Append(nil, filled(n)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range append(append([]Noun{}, crossing...), kept...) {
			decoded := reflect.New(reflect.TypeOf(n).Elem()).Interface().(Noun)
			if Decode("fuzzed", b, decoded) != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(n).Elem()).Interface().(Noun)
			if err := Decode("again", Append(nil, decoded), again); err != nil {
				t.Fatalf("%s was decoded, and then not: %v", nameOf(n), err)
			}
			if !bytes.Equal(Append(nil, decoded), Append(nil, again)) {
				t.Fatalf("%s changes when it is encoded again", nameOf(n))
			}
		}
	})
}

const schemaHead = `// The session between a server and a program in another process.
//
// The connection begins as GET /v1/session over HTTP/1.1 with the header
// "Upgrade: holdfast-session/1", which the server answers with 101. What follows
// are frames in both directions: four bytes of length (big-endian, of all that
// follows), one byte of type, and one of these messages in protobuf wire format.
//
//	type  message     from
//	1     Hello       the program: begins or resumes a session
//	2     Welcome     the server: answers Hello
//	3     Request     the program
//	4     Answer      the server: to a Request
//	5     Assignment  the server: asks for an attempt
//	6     Completion  the program: what an attempt came to
//	7     Attempt     the server: it is not listened to any more
//	8     Credit      either: so many bytes more may be sent
//	9     none        either: is heard of
//	10    Goodbye     either: the session ends
//	11    Inactive    the program: an actor is no longer active
//
// Rules:
//
//  1. Frames of the types 3, 5 and 6 may be sent while there is credit, which
//     begins with Welcome.window and of which each costs its length.
//  2. Each side is heard of three times in Welcome.lease. A program that is not
//     heard of for a lease has lost its session, and its attempts are made by
//     others; a program that learns that must end its application.
//  3. Requests of one lane follow each other: the next one is sent when the one
//     before was answered, with a higher number. After a break, a request that
//     was not answered is sent again with the same lane and number, and is the
//     same request.
//  4. An Assignment may come again after a break. A program that makes that
//     attempt goes on; one that has made it sends its Completion again.
//  5. Fields are written in the order of their numbers, and a field with the zero
//     value is not written. A field numbered below 1000 is critical: who does not
//     know it stops.
//
// This file is made from the code (internal/remote), and a test holds the two
// together.
syntax = "proto3";

package holdfast.session.v1;

`
