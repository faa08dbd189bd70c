package msg

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"
)

// These tests hold the codec of the stored nouns to its laws and to the
// published schema. Nouns are drawn at random by walking their Go types beside
// the schema's messages, so a field that one side lacks is a failure; the bytes
// are compared with those that google.golang.org/protobuf writes for the same
// values under the published schema.

// noun is one stored noun with its codec.
type noun struct {
	name   string
	new    func() any // pointer to a zero value
	append func([]byte, any) []byte
	decode func([]byte) (any, error)
}

func nounOf[T any](append func([]byte, *T) []byte, decode func([]byte) (*T, error)) noun {
	return noun{
		name:   reflect.TypeFor[T]().Name(),
		new:    func() any { return new(T) },
		append: func(b []byte, v any) []byte { return append(b, v.(*T)) },
		decode: func(b []byte) (any, error) {
			v, err := decode(b)
			return v, err
		},
	}
}

func byValue[T any](decode func([]byte) (T, error)) func([]byte) (*T, error) {
	return func(b []byte) (*T, error) {
		v, err := decode(b)
		return &v, err
	}
}

var nouns = []noun{
	nounOf(AppendRecord, DecodeRecord),
	nounOf(AppendMessage, DecodeMessage),
	nounOf(AppendReminder, byValue(DecodeReminder)),
	nounOf(AppendAnswer, byValue(DecodeAnswer)),
	nounOf(AppendDeadLetter, byValue(DecodeDeadLetter)),
	nounOf(AppendKindRule, byValue(DecodeKindRule)),
	nounOf(AppendParked, byValue(DecodeParked)),
	nounOf(AppendWorkflow, DecodeWorkflow),
	nounOf(AppendEntry, byValue(DecodeEntry)),
	nounOf(AppendTask, byValue(DecodeTask)),
	nounOf(AppendPrepared, DecodePrepared),
	nounOf(AppendLockHolder, byValue(DecodeLockHolder)),
}

// schemaNames are the fields whose name in the schema is not that in Go.
var schemaNames = map[string]string{"KindRule.Partition": "partitions"}

// closedEnums are those of which a reader refuses a value that it does not
// know, because it would fold the record into another state. Kinds of records
// and classes of errors are for people and transports.
var closedEnums = map[protoreflect.Name]bool{
	"MessageKind": true, "Status": true, "ChangeKind": true,
	"ConflictPolicy": true, "WorkflowStatus": true, "DeliveryKind": true, "StepKind": true, "Form": true,
}

// fieldOf finds the schema's field for a field of a Go struct.
func fieldOf(t rapid.TB, message protoreflect.MessageDescriptor, owner reflect.Type, field reflect.StructField) protoreflect.FieldDescriptor {
	name, ok := schemaNames[owner.Name()+"."+field.Name]
	if !ok {
		name = snake(field.Name)
	}
	found := message.Fields().ByName(protoreflect.Name(name))
	if found == nil {
		t.Fatalf("message %s of the schema has no field %s for %s.%s", message.Name(), name, owner.Name(), field.Name)
	}
	return found
}

// snake turns NotBefore into not_before.
func snake(name string) string {
	var b strings.Builder
	previousUpper := true
	for _, r := range name {
		if unicode.IsUpper(r) && !previousUpper {
			b.WriteByte('_')
		}
		previousUpper = unicode.IsUpper(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// drawStruct fills a struct at random; about a third of the fields stay zero.
func drawStruct(t *rapid.T, v reflect.Value, message protoreflect.MessageDescriptor) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch {
		case field.Type == reflect.TypeFor[Schedule](): // its fields are the reminder's
			drawStruct(t, v.Field(i), message)
		case rapid.IntRange(0, 2).Draw(t, field.Name+" is set") > 0:
			drawValue(t, v.Field(i), fieldOf(t, message, v.Type(), field))
		}
	}
}

func drawValue(t *rapid.T, v reflect.Value, field protoreflect.FieldDescriptor) {
	name := string(field.Name())
	switch v.Kind() {
	case reflect.Struct:
		drawStruct(t, v, field.Message())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		drawStruct(t, v.Elem(), field.Message())
	case reflect.Slice:
		drawSlice(t, v, field)
	case reflect.Array:
		reflect.Copy(v, reflect.ValueOf(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, name)))
	case reflect.String:
		text := rapid.StringN(0, 20, 200)
		if field.Kind() == protoreflect.BytesKind && rapid.Bool().Draw(t, name+" is any bytes") {
			text = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 200), func(b []byte) string { return string(b) })
		}
		v.SetString(text.Draw(t, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, name))
	case reflect.Uint8:
		last := uint8(255)
		if enum := field.Enum().Name(); closedEnums[enum] {
			last = uint8(field.Enum().Values().Len() - 1)
		}
		v.SetUint(uint64(rapid.Uint8Max(last).Draw(t, name)))
	default:
		v.SetUint(rapid.Uint64().Draw(t, name) & (1<<v.Type().Bits() - 1))
	}
}

func drawSlice(t *rapid.T, v reflect.Value, field protoreflect.FieldDescriptor) {
	name := string(field.Name())
	switch list := v.Addr().Interface().(type) {
	case *[]byte:
		*list = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, name)
	case *[]MessageID:
		*list = drawMessageIDs(t)
	default:
		size := rapid.IntRange(0, 3).Draw(t, name+" size")
		v.Set(reflect.MakeSlice(v.Type(), size, size))
		for i := range size {
			drawValue(t, v.Index(i), field)
		}
	}
}

// drawMessageIDs draws ids of few channels, with numbers that mostly count up.
func drawMessageIDs(t *rapid.T) []MessageID {
	partition := rapid.SampledFrom([]Partition{0, 1, 200, 65535})
	list := []MessageID{}
	var id MessageID
	for range rapid.IntRange(0, 12).Draw(t, "ids") {
		switch rapid.IntRange(0, 5).Draw(t, "id") {
		case 0:
			id.Source, id.Destination = partition.Draw(t, "source"), partition.Draw(t, "destination")
		case 1:
			id.Number = Number(rapid.Uint64().Draw(t, "number"))
		default:
			id.Number++
		}
		list = append(list, id)
	}
	return list
}

// setStruct gives a message of google.golang.org/protobuf the values of a
// struct.
func setStruct(t rapid.TB, message protoreflect.Message, v reflect.Value) {
	for i := range v.NumField() {
		if schedule, ok := v.Field(i).Interface().(Schedule); ok {
			setStruct(t, message, reflect.ValueOf(schedule))
			continue
		}
		setField(t, message, fieldOf(t, message.Descriptor(), v.Type(), v.Type().Field(i)), v.Field(i))
	}
}

func setField(t rapid.TB, message protoreflect.Message, field protoreflect.FieldDescriptor, v reflect.Value) {
	switch {
	case v.IsZero():
	case field.IsList():
		setList(t, message.Mutable(field).List(), field, v)
	case v.Kind() == reflect.Struct: // not written if there is nothing in it
		sub := message.NewField(field)
		setStruct(t, sub.Message(), v)
		if proto.Size(sub.Message().Interface()) > 0 {
			message.Set(field, sub)
		}
	case v.Kind() == reflect.Pointer:
		setStruct(t, message.Mutable(field).Message(), v.Elem())
	default:
		message.Set(field, scalarOf(field, v))
	}
}

func setList(t rapid.TB, list protoreflect.List, field protoreflect.FieldDescriptor, v reflect.Value) {
	if ids, ok := v.Interface().([]MessageID); ok {
		setMessageIDs(list, ids)
		return
	}
	for i := range v.Len() {
		switch element := reflect.Indirect(v.Index(i)); element.Kind() {
		case reflect.Struct:
			setStruct(t, list.AppendMutable().Message(), element)
		default:
			list.Append(scalarOf(field, element))
		}
	}
}

// setMessageIDs puts ids that follow each other on one channel into one
// message.
func setMessageIDs(list protoreflect.List, ids []MessageID) {
	var current protoreflect.Message
	set := func(name string, v protoreflect.Value) {
		current.Set(current.Descriptor().Fields().ByName(protoreflect.Name(name)), v)
	}
	for i, id := range ids {
		if i > 0 && id.Source == ids[i-1].Source && id.Destination == ids[i-1].Destination {
			steps := current.Mutable(current.Descriptor().Fields().ByName("steps")).List()
			steps.Append(protoreflect.ValueOfInt64(int64(id.Number - ids[i-1].Number)))
			continue
		}
		current = list.AppendMutable().Message()
		set("source", protoreflect.ValueOfUint32(uint32(id.Source)))
		set("destination", protoreflect.ValueOfUint32(uint32(id.Destination)))
		set("number", protoreflect.ValueOfUint64(uint64(id.Number)))
	}
}

func scalarOf(field protoreflect.FieldDescriptor, v reflect.Value) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v.Bool())
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(v.Uint()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint())
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(v.Int())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytesOf(v))
	}
	panic("the codec has no fields of kind " + field.Kind().String())
}

func bytesOf(v reflect.Value) []byte {
	if v.Kind() == reflect.String {
		return []byte(v.String())
	}
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return b
}

// withoutEmpty makes empty lists nil, which is how they come back.
func withoutEmpty(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			withoutEmpty(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			withoutEmpty(v.Field(i))
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
		}
		for i := range v.Len() {
			withoutEmpty(v.Index(i))
		}
	}
}

// draw makes a noun at random.
func (n noun) draw(t *rapid.T, schema protoreflect.FileDescriptor) any {
	v := n.new()
	drawStruct(t, reflect.ValueOf(v).Elem(), schema.Messages().ByName(protoreflect.Name(n.name)))
	return v
}

// forEachNoun checks a property of each noun.
func forEachNoun(t *testing.T, property func(t *rapid.T, n noun, v any)) {
	schema := readSchema(t)
	for _, n := range nouns {
		t.Run(n.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { property(t, n, n.draw(t, schema)) })
		})
	}
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	forEachNoun(t, func(t *rapid.T, n noun, v any) {
		b := n.append(nil, v)
		got, err := n.decode(b)
		if err != nil {
			t.Fatalf("decode %x: %v", b, err)
		}
		again := n.append([]byte("before"), v)
		if !bytes.Equal(again, append([]byte("before"), b...)) {
			t.Fatalf("got %x after other bytes, want %x", again[6:], b)
		}
		clear(b) // the decoded noun must not notice
		withoutEmpty(reflect.ValueOf(v))
		if !reflect.DeepEqual(got, v) {
			t.Fatalf("got %+v, want %+v", got, v)
		}
		if b := n.append(nil, v); !bytes.Equal(b, again[6:]) {
			t.Fatalf("got %x for nil lists, want %x as for empty ones", b, again[6:])
		}
	})
}

func TestBytesAreThoseOfThePublishedSchema(t *testing.T) {
	schema := readSchema(t)
	forEachNoun(t, func(t *rapid.T, n noun, v any) {
		message := dynamicpb.NewMessage(schema.Messages().ByName(protoreflect.Name(n.name)))
		setStruct(t, message, reflect.ValueOf(v).Elem())
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		got := n.append(nil, v)
		if !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x\nfor %+v", got, want, v)
		}
		read := dynamicpb.NewMessage(message.Descriptor())
		if err := proto.Unmarshal(got, read); err != nil || !proto.Equal(read, message) {
			t.Fatalf("protobuf reads our bytes as %v, error %v, want %v", read, err, message)
		}
	})
}

func TestSchemaHasNoFieldsThatGoLacks(t *testing.T) {
	messages := readSchema(t).Messages()
	for _, v := range []any{
		Record{}, Ref{}, Payload{}, Header{}, Error{}, MessageID{}, ReplyTo{}, Identity{}, Message{}, Reminder{},
		Answer{}, AttemptCount{}, DeadLetter{}, Parked{}, Change{}, KindRule{},
		Workflow{}, Delivery{}, Step{}, Entry{}, Task{}, Retry{}, TaskName{},
		Holder{}, LockKey{}, LockChange{}, LockHolder{}, Prepared{},
	} {
		owner := reflect.TypeOf(v)
		message := messages.ByName(protoreflect.Name(owner.Name()))
		got, want := message.Fields().Len(), owner.NumField()
		if owner == reflect.TypeFor[Reminder]() {
			want += reflect.TypeFor[Schedule]().NumField() - 1
		}
		if got != want {
			t.Errorf("message %s of the schema has %d fields, the Go struct has %d", owner.Name(), got, want)
		}
	}
	if got, want := messages.Len(), 29; got != want { // MessageIDs has no struct of its own
		t.Errorf("the schema has %d messages, this test knows %d", got, want)
	}
}

// TestCutRecordIsAnErrorOrItsBeginning cuts at every byte. A cut between two
// fields cannot be seen: the length of a record is its frame's business.
func TestCutRecordIsAnErrorOrItsBeginning(t *testing.T) {
	for _, c := range goldenRecords() {
		whole := AppendRecord(nil, c.record)
		boundary := map[int]bool{}
		for end := 0; end < len(whole); {
			boundary[end] = true
			_, _, size := protowire.ConsumeField(whole[end:])
			end += size
		}
		for end := range whole {
			got, err := DecodeRecord(whole[:end])
			if !boundary[end] {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("%s cut after %d of %d bytes: got error %v, want ErrMalformed", c.name, end, len(whole), err)
				}
				continue
			}
			if err != nil || !bytes.Equal(AppendRecord(nil, got), whole[:end]) {
				t.Errorf("%s cut between fields after %d bytes: got %+v, error %v", c.name, end, got, err)
			}
		}
	}
}

// subMessages are the ways from a record to each message of the schema.
var subMessages = map[string][]FieldNumber{
	"Record": {}, "Ref": {5}, "MessageIDs": {6}, "Message": {7}, "Change": {9}, "Reminder": {12}, "Answer": {14},
	"AttemptCount": {15}, "DeadLetter": {16}, "KindRule": {19}, "MessageID": {7, 1}, "Payload": {7, 6}, "Header": {7, 7},
	"ReplyTo": {7, 11}, "Error": {7, 12}, "Identity": {7, 13},
	"Workflow": {32}, "Delivery": {32, 6}, "Task": {33}, "Retry": {33, 10}, "TaskName": {34},
	"Holder": {7, 17}, "LockKey": {7, 19}, "LockChange": {35}, "Prepared": {36},
}

// nest wraps fields so that they are those of the sub-message on the way.
func nest(fields []byte, way []FieldNumber) []byte {
	for i := len(way) - 1; i >= 0; i-- {
		fields = AppendBytesElement(nil, way[i], fields)
	}
	return fields
}

func TestUnknownCriticalFieldIsAnErrorEverywhere(t *testing.T) {
	for name, way := range subMessages {
		for _, field := range []FieldNumber{100, CriticalBelow - 1} {
			_, err := DecodeRecord(nest(AppendUvarintField(nil, field, 1), way))
			want := name + " field " + map[bool]string{true: "100", false: "999"}[field == 100] + ": unknown critical field"
			if !errors.Is(err, ErrUnknownField) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want …%s…", err, want)
			}
		}
	}
}

func TestUnknownFieldThatIsNotCriticalIsSkippedEverywhere(t *testing.T) {
	unknown := AppendUvarintField(nil, CriticalBelow, 300)
	unknown = AppendBytesField(unknown, 5000, []byte("from the future"))
	unknown = AppendTimeField(unknown, fieldNumberMax, 1)
	for name, way := range subMessages {
		want, err := DecodeRecord(nest(nil, way))
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRecord(nest(unknown, way))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, error %v, want %+v", name, got, err, want)
		}
	}
}

// TestValuesThatThisVersionKnows decodes the last value of each enum, and the
// one after it.
func TestValuesThatThisVersionKnows(t *testing.T) {
	enums := readSchema(t).Enums()
	for name, way := range map[protoreflect.Name][]FieldNumber{
		"RecordKind": {1}, "MessageKind": {7, 2}, "Class": {7, 12, 2}, "Status": {14, 2}, "ChangeKind": {9, 1},
		"ConflictPolicy": {7, 16}, "WorkflowStatus": {32, 2}, "DeliveryKind": {32, 6, 1}, "Form": {19, 5},
	} {
		values := enums.ByName(name).Values()
		last := uint64(values.Get(values.Len() - 1).Number())
		in, field := way[:len(way)-1], way[len(way)-1]
		if _, err := DecodeRecord(nest(AppendUvarintField(nil, field, last), in)); err != nil {
			t.Errorf("%s %d: %v", name, last, err)
		}
		_, err := DecodeRecord(nest(AppendUvarintField(nil, field, last+1), in))
		if got, want := errors.Is(err, ErrUnknownField), closedEnums[name]; got != want {
			t.Errorf("%s %d: got error %v, want one: %v", name, last+1, err, want)
		}
	}
	if len(closedEnums) != 8 || enums.Len() != 10 { // StepKind is in entries: see below
		t.Errorf("the schema has %d enums, this test knows 10", enums.Len())
	}
}

// TestAnEntryIsDecodedInPlaceOfAnother: nothing of what was there is left.
func TestAnEntryIsDecodedInPlaceOfAnother(t *testing.T) {
	full := Entry{Time: 7, Deliveries: []Delivery{{Kind: DeliverySignal, Name: "s", Payload: Payload{Body: []byte("x")}}, {Kind: DeliveryCancel}},
		Steps: []Step{{Kind: StepLocal, Name: "l", Output: Payload{Body: []byte("y")}, Err: Errorf("code", ClassFailed, "no")}}}
	for _, next := range []Entry{{}, {Time: 8}, {Deliveries: []Delivery{{Kind: DeliveryOutcome, Step: 3}}, Steps: []Step{{Kind: StepTimer}, {Kind: StepCall}}}} {
		var e Entry
		for _, stored := range []Entry{full, next} {
			if err := e.Decode(AppendEntry(nil, &stored)); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := AppendEntry(nil, &e), AppendEntry(nil, &next); !bytes.Equal(got, want) {
			t.Errorf("got %+v, want %+v", e, next)
		}
	}
}

// TestEntryOfANewerVersionIsRefused looks at what no record leads to: entries
// are in the values of changes.
func TestEntryOfANewerVersionIsRefused(t *testing.T) {
	for _, b := range [][]byte{
		AppendUvarintField(nil, 100, 1),
		nest(AppendUvarintField(nil, 100, 1), []FieldNumber{3}),
		nest(AppendUvarintField(nil, 1, uint64(StepFinish)+1), []FieldNumber{3}),
	} {
		if _, err := DecodeEntry(b); !errors.Is(err, ErrUnknownField) {
			t.Errorf("%x: got error %v, want ErrUnknownField", b, err)
		}
	}
}

func TestPromiseIDIsTextThatNamesAPromise(t *testing.T) {
	id := PromiseID{Target: Ref{Kind: "order", Key: "o/1 Ж"}, Run: 1 << 40, Step: 7}
	if got, err := ParsePromiseID(id.String()); err != nil || got != id {
		t.Errorf("got %+v, error %v, want %+v", got, err, id)
	}
	for _, text := range []string{"", "*", "AAAA", PromiseID{Target: id.Target, Run: 1}.String(), PromiseID{Run: 1, Step: 1}.String()} {
		if _, err := ParsePromiseID(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

func TestTokenIsThatOfAllAttemptsAndOfNoOtherTask(t *testing.T) {
	run := func(key string, task Task) string { return (&TaskRun{Ref{Kind: "order", Key: key}, task}).Token() }
	first := run("a", Task{Run: 1, Step: 2})
	if got := run("a", Task{Run: 1, Step: 2, Attempt: 3}); got != first {
		t.Errorf("got %s for another attempt, want %s", got, first)
	}
	for _, other := range []string{run("b", Task{Run: 1, Step: 2}), run("a", Task{Run: 2, Step: 2}), run("a", Task{Run: 1, Step: 3}), run("a", Task{Run: 12})} {
		if other == first {
			t.Errorf("another task has the token %s, too", first)
		}
	}
}

// TestListsMayComeInParts decodes two records that were written one after the
// other: as in any protobuf, their lists are joined.
func TestListsMayComeInParts(t *testing.T) {
	first := &Record{Consumed: consecutiveIDs(3), Finished: []Index{1, 2}, Forget: []string{"a"}}
	second := &Record{Consumed: consecutiveIDs(2), Finished: []Index{3}, Forget: []string{"b"}}
	want := &Record{
		Consumed: append(consecutiveIDs(3), consecutiveIDs(2)...), Finished: []Index{1, 2, 3}, Forget: []string{"a", "b"},
	}
	got, err := DecodeRecord(AppendRecord(AppendRecord(nil, first), second))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
}

func TestHugeLengthsDoNotAllocate(t *testing.T) {
	huge := protowire.AppendVarint(nil, 1<<40)
	for name, way := range subMessages {
		for field := FieldNumber(1); field < 30; field++ {
			b := nest(append(protowire.AppendTag(nil, protowire.Number(field), protowire.BytesType), huge...), way)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := DecodeRecord(b)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s field %d: got %v, want ErrMalformed", name, field, err)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<10 {
				t.Errorf("%s field %d: %d bytes were allocated", name, field, allocated)
			}
		}
	}
}

func TestAppendRecordDoesNotAllocate(t *testing.T) {
	for _, c := range benchmarkRecords {
		buffer := AppendRecord(nil, c.record)
		if got := testing.AllocsPerRun(100, func() { buffer = AppendRecord(buffer[:0], c.record) }); got != 0 {
			t.Errorf("%s: got %v allocations, want none", c.name, got)
		}
	}
}

func TestRunOfAcknowledgementsCostsAByteEach(t *testing.T) {
	r := &Record{Acked: consecutiveIDs(1000)}
	if got := len(AppendRecord(nil, r)); got > 1020 {
		t.Errorf("1,000 consecutive ids take %d bytes, want at most 1,020", got)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, c := range goldenRecords() {
		f.Add(AppendRecord(nil, c.record))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil {
			if r != nil {
				t.Error("a record comes with an error")
			}
			return
		}
		canonical := AppendRecord(nil, r)
		again, err := DecodeRecord(canonical)
		if err != nil {
			t.Fatalf("decode %x, encoded from %x: %v", canonical, b, err)
		}
		if !reflect.DeepEqual(again, r) {
			t.Errorf("got %+v, want %+v", again, r)
		}
	})
}
