package msg

import "testing"

// The benchmarks ask what one record costs the loop that writes it, and
// recovery, which reads it. A typical update is one change of 30 bytes and one
// answer that a session remembers.

func typicalRecord(kind ChangeKind) *Record {
	change := Change{Kind: kind, Value: []byte(`{"Balance":123456789,"Open":1}`), StateVersion: 1}
	if kind == ChangePatch {
		change.Base, change.Offset, change.Remove = 123_400, 11, 29
	}
	return &Record{
		Kind: RecordStep, Partition: 17, Index: 123_456, Time: 1_760_000_000_123_456_789,
		Instance: Ref{Kind: "account", Key: "alice-000123"},
		Changes:  []Change{change},
		Answers: []Answer{{
			Status: StatusCompleted, Payload: Payload{Body: []byte("123456789")},
			Session: SessionID{1, 2, 3, 15: 4}, SessionNumber: 4711,
		}},
	}
}

// typicalTransfer is a step that consumes a numbered message and sends one.
func typicalTransfer() *Record {
	r := typicalRecord(ChangePatch)
	r.Consumed = []MessageID{{Source: 3, Destination: 17, Number: 99_000}}
	r.Acked = []MessageID{{Source: 17, Destination: 4, Number: 88_000}, {Source: 17, Destination: 4, Number: 88_001}}
	r.Outbox = []*Message{{
		ID: MessageID{Source: 17, Destination: 5, Number: 77_000}, Kind: MessageSend,
		Sender: r.Instance, Target: Ref{Kind: "account", Key: "bob-000456"}, Handler: "deposit",
		Payload: Payload{Body: []byte("1000")}, Invocation: InvocationID{1, 15: 2},
	}}
	return r
}

func largeRecord() *Record {
	r := typicalRecord(ChangeRoot)
	r.Changes[0].Value = make([]byte, 64<<10)
	return r
}

var benchmarkRecords = []struct {
	name   string
	record *Record
}{
	{"patch", typicalRecord(ChangePatch)},
	{"root", typicalRecord(ChangeRoot)},
	{"transfer", typicalTransfer()},
	{"root-64KiB", largeRecord()},
	{"acked-1000", &Record{Kind: RecordAck, Partition: 1, Index: 5, Acked: consecutiveIDs(1000)}},
}

func consecutiveIDs(count int) (list []MessageID) {
	for i := range count {
		list = append(list, MessageID{Source: 1, Destination: 2, Number: Number(1_000_000 + i)})
	}
	return list
}

func BenchmarkAppendRecord(b *testing.B) {
	for _, c := range benchmarkRecords {
		b.Run(c.name, func(b *testing.B) {
			buffer := AppendRecord(nil, c.record)
			b.SetBytes(int64(len(buffer)))
			b.ReportAllocs()
			for b.Loop() {
				buffer = AppendRecord(buffer[:0], c.record)
			}
		})
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	for _, c := range benchmarkRecords {
		b.Run(c.name, func(b *testing.B) {
			buffer := AppendRecord(nil, c.record)
			b.SetBytes(int64(len(buffer)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeRecord(buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
