package remote

import "testing"

// BenchmarkInvocation encodes and decodes what crosses with a call.
func BenchmarkInvocation(b *testing.B) {
	a := &Assignment{Token: 1 << 60, Attempt: 1, Whole: true, State: []Entry{{Field: "s", Key: "n", Value: []byte("5")}},
		Invocation: Invocation{Request: "req-b6dca876-6ba7-e376-eb5f-a5c6b1ef6483", Flow: "flow-d7bc99d7-840d-e3f5-5715-be76c75448a7", Kind: InvocationCall,
			Target: Target{App: "bench", Type: "Bench", ID: "key-17"}, Path: "/bump", ContentType: "application/kar+json", Body: []byte("[]")}}
	bytes := Append(nil, a)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bytes = Append(bytes[:0], a)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var decoded Assignment
			if err := Decode("Assignment", bytes, &decoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
