package msg

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// This file reads the published schema. The reader knows just the part of the
// language that the schema uses, one statement on a line, and refuses anything
// else; google.golang.org/protobuf then checks the result as a compiler would.

const schemaPath = "../../proto/holdfast/log/v1/record.proto"

var (
	schemaOpen     = regexp.MustCompile(`^(message|enum) (\w+) \{$`)
	schemaField    = regexp.MustCompile(`^(repeated )?(\w+) (\w+) = (\d+)( \[packed = true\])?;$`)
	schemaValue    = regexp.MustCompile(`^(\w+) = (\d+);$`)
	schemaReserved = regexp.MustCompile(`^reserved (\d+) to (\d+);$`)
)

var schemaScalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"bool":     descriptorpb.FieldDescriptorProto_TYPE_BOOL,
	"bytes":    descriptorpb.FieldDescriptorProto_TYPE_BYTES,
	"int64":    descriptorpb.FieldDescriptorProto_TYPE_INT64,
	"sfixed64": descriptorpb.FieldDescriptorProto_TYPE_SFIXED64,
	"sint64":   descriptorpb.FieldDescriptorProto_TYPE_SINT64,
	"string":   descriptorpb.FieldDescriptorProto_TYPE_STRING,
	"uint32":   descriptorpb.FieldDescriptorProto_TYPE_UINT32,
	"uint64":   descriptorpb.FieldDescriptorProto_TYPE_UINT64,
}

// schemaReader turns the lines of a schema into a descriptor.
type schemaReader struct {
	file      *descriptorpb.FileDescriptorProto
	message   *descriptorpb.DescriptorProto
	enum      *descriptorpb.EnumDescriptorProto
	commented bool // the line before was a comment
}

// readSchema reads the published schema.
func readSchema(t testing.TB) protoreflect.FileDescriptor {
	t.Helper()
	text, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parseSchema(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func parseSchema(text string) (protoreflect.FileDescriptor, error) {
	r := &schemaReader{file: &descriptorpb.FileDescriptorProto{Name: proto.String("record.proto")}}
	lines := bufio.NewScanner(strings.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", number, line, err)
		}
		r.commented = strings.HasPrefix(line, "//")
	}
	r.resolve()
	return protodesc.NewFile(r.file, nil)
}

func (r *schemaReader) line(line string) error {
	switch {
	case line == "" || strings.HasPrefix(line, "//"):
		return nil
	case line == `syntax = "proto3";`:
		r.file.Syntax = proto.String("proto3")
		return nil
	case strings.HasPrefix(line, "package "):
		r.file.Package = proto.String(strings.TrimSuffix(strings.TrimPrefix(line, "package "), ";"))
		return nil
	case line == "}":
		r.message, r.enum = nil, nil
		return nil
	case !r.commented:
		return fmt.Errorf("there is no comment above it")
	case r.message != nil:
		return r.messageLine(line)
	case r.enum != nil:
		return r.enumLine(line)
	}
	return r.open(line)
}

func (r *schemaReader) open(line string) error {
	part := schemaOpen.FindStringSubmatch(line)
	switch {
	case part == nil:
		return fmt.Errorf("want the beginning of a message or enum")
	case part[1] == "enum":
		r.enum = &descriptorpb.EnumDescriptorProto{Name: proto.String(part[2])}
		r.file.EnumType = append(r.file.EnumType, r.enum)
	default:
		r.message = &descriptorpb.DescriptorProto{Name: proto.String(part[2])}
		r.file.MessageType = append(r.file.MessageType, r.message)
	}
	return nil
}

func (r *schemaReader) messageLine(line string) error {
	if part := schemaReserved.FindStringSubmatch(line); part != nil {
		r.message.ReservedRange = append(r.message.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{
			Start: number(part[1]), End: proto.Int32(*number(part[2]) + 1),
		})
		return nil
	}
	part := schemaField.FindStringSubmatch(line)
	if part == nil {
		return fmt.Errorf("want a field or a reserved range")
	}
	field := &descriptorpb.FieldDescriptorProto{
		Name:     proto.String(part[3]),
		Number:   number(part[4]),
		TypeName: proto.String(part[2]), // until resolve
		Label:    descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if part[1] != "" {
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	if part[5] != "" {
		field.Options = &descriptorpb.FieldOptions{Packed: proto.Bool(true)}
	}
	r.message.Field = append(r.message.Field, field)
	return nil
}

func (r *schemaReader) enumLine(line string) error {
	part := schemaValue.FindStringSubmatch(line)
	if part == nil {
		return fmt.Errorf("want a value")
	}
	r.enum.Value = append(r.enum.Value, &descriptorpb.EnumValueDescriptorProto{
		Name: proto.String(part[1]), Number: number(part[2]),
	})
	return nil
}

// resolve gives each field its type, now that all names are known.
func (r *schemaReader) resolve() {
	enums := map[string]bool{}
	for _, enum := range r.file.EnumType {
		enums[enum.GetName()] = true
	}
	for _, message := range r.file.MessageType {
		for _, field := range message.Field {
			name := field.GetTypeName()
			scalar, isScalar := schemaScalars[name]
			switch {
			case isScalar:
				field.Type, field.TypeName = scalar.Enum(), nil
				continue
			case enums[name]:
				field.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
			default:
				field.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
			}
			field.TypeName = proto.String("." + r.file.GetPackage() + "." + name)
		}
	}
}

func number(digits string) *int32 {
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		panic(err)
	}
	return proto.Int32(int32(n))
}

func TestSchemaReaderRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a field without comment":   {"// A.\nmessage A {\nbool a = 1;\n}", "line 5, \"bool a = 1;\": there is no comment above it"},
		"a message without comment": {"message A {\n}", "there is no comment above it"},
		"an import":                 {"// I.\nimport \"x.proto\";", "want the beginning of a message or enum"},
		"a map":                     {"// A.\nmessage A {\n// M.\nmap<string, string> a = 1;\n}", "want a field or a reserved range"},
		"one number twice":          {"// A.\nmessage A {\n// A.\nbool a = 1;\n// B.\nbool b = 1;\n}", "conflicting"},
		"a reserved number":         {"// A.\nmessage A {\n// R.\nreserved 1 to 2;\n// B.\nbool b = 2;\n}", "reserved number 2"},
		"an unknown type":           {"// A.\nmessage A {\n// A.\nB a = 1;\n}", "cannot resolve type"},
		"an enum that is not open":  {"// A.\nenum A {\n// B.\nB = 1;\n}", "zero"},
	} {
		if _, err := parseSchema("syntax = \"proto3\";\npackage x;\n" + c.text); err == nil {
			t.Errorf("%s: got no error, want …%s…", name, c.want)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", name, err, c.want)
		}
	}
}

func TestSchemaNumbersAllFieldsAsCritical(t *testing.T) {
	messages := readSchema(t).Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			if f := fields.Get(j); f.Number() >= protoreflect.FieldNumber(CriticalBelow) {
				t.Errorf("%s is %d: no reader of this version may skip it", f.FullName(), f.Number())
			}
		}
	}
}
