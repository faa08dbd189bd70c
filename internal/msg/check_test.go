package msg

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidKeyTakesAnyTextAndTeachesOtherwise(t *testing.T) {
	for _, key := range []string{
		"a", "alice@example.com", "a/b/../c", " ", "\x00", "...", "..a", "Ж", "🙂", strings.Repeat("x", KeyBytesMax), "%2e",
	} {
		if err := ValidKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for key, want := range map[string]string{
		"":                                   "the key is empty; a key is 1 to 1024 bytes of UTF-8",
		strings.Repeat("x", KeyBytesMax+1):   "the key is 1025 bytes long; a key is 1 to 1024",
		strings.Repeat("Ж", KeyBytesMax/2+1): "the key is 1026 bytes long",
		".":                                  `the key is "."`,
		"..":                                 "choose another key",
		"a\xff":                              `the key "a\xff" is not UTF-8; write binary keys as text`,
		"\xed\xa0\x80":                       "is not UTF-8",
	} {
		wantInvalid(t, key, ValidKey(key), want)
	}
}

func TestValidNameTakesNamesAndTeachesOtherwise(t *testing.T) {
	for _, name := range []string{"a", "Deposit", "com.example.Account", "_x-1", "...", ".hidden", strings.Repeat("x", NameBytesMax)} {
		if err := ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                                  "the name is empty; a name is 1 to 128 of the characters A-Z a-z 0-9 _ - .",
		strings.Repeat("x", NameBytesMax+1): "the name is 129 bytes long",
		".":                                 `the name is "."`,
		"..":                                "choose another name",
		"a b":                               `the name "a b" contains ' '; a name is`,
		"a/b":                               `contains '/'`,
		"größe":                             `contains 'ö'`,
		"a\xff":                             `contains '�'`,
	} {
		wantInvalid(t, name, ValidName(name), want)
	}
}

func wantInvalid(t *testing.T, input string, err error, want string) {
	t.Helper()
	var typed *Error
	if !errors.As(err, &typed) || typed.Code != CodeInvalidArgument || typed.Class != ClassInvalidArgument ||
		!strings.Contains(typed.Message, want) {
		t.Errorf("%.20q: got %v, want invalid_argument with …%s…", input, err, want)
	}
}

func TestFingerprintIsTheHashOfPartsWithTheirLengths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 700), func(b []byte) string { return string(b) })).Draw(t, "parts")
		hash := sha256.New()
		var other [][]byte
		for _, part := range parts {
			binary.Write(hash, binary.BigEndian, uint64(len(part)))
			hash.Write([]byte(part))
			other = append(other, []byte(part))
		}
		want := Fingerprint(hash.Sum(nil)[:16])
		if got := FingerprintOf(parts...); got != want {
			t.Fatalf("got %x of texts, want %x", got, want)
		}
		if got := FingerprintOf(other...); got != want {
			t.Fatalf("got %x of bytes, want %x", got, want)
		}
	})
}

// TestFingerprintOfPartsAroundTheBuffersEnd has parts begin and end at every
// place near the end of the buffer of 512 bytes.
func TestFingerprintOfPartsAroundTheBuffersEnd(t *testing.T) {
	long := strings.Repeat("x", 520)
	for size := 480; size <= len(long); size++ {
		hash := sha256.New()
		for _, part := range []string{long[:size], "end"} {
			binary.Write(hash, binary.BigEndian, uint64(len(part)))
			hash.Write([]byte(part))
		}
		if got, want := FingerprintOf(long[:size], "end"), Fingerprint(hash.Sum(nil)[:16]); got != want {
			t.Errorf("first part of %d bytes: got %x, want %x", size, got, want)
		}
	}
}

func TestFingerprintGoldens(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{nil, "e3b0c44298fc1c149afbf4c8996fb924"},
		{[]string{""}, "af5570f5a1810b7af78caf4bc70a660f"},
		{[]string{"account", "alice", "deposit", "key-1"}, "d61eda9ca264c32446d1ff7fcb1901bd"},
		{[]string{"accounta", "lice", "deposit", "key-1"}, "cf6bccc0c87435c1bd6fb7b2a1be19ef"},
	} {
		got := FingerprintOf(c.parts...)
		if hex.EncodeToString(got[:]) != c.want {
			t.Errorf("%q: got %x, want %s", c.parts, got, c.want)
		}
	}
}

func TestFingerprintDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	if got := testing.AllocsPerRun(100, func() { FingerprintOf("account", "alice", "deposit", long) }); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

func BenchmarkFingerprintOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		FingerprintOf("account", "alice-000123", "deposit", "a-key-of-20-bytes-00")
	}
}

// TestPlacementNeverChanges holds version 1 of the placement rule: data would
// not be found any more.
func TestPlacementNeverChanges(t *testing.T) {
	for _, c := range []struct {
		ref        Ref
		affinity   string
		partitions int
		want       Partition
	}{
		{Ref{Kind: "account", Key: "alice"}, "", 64, 43},
		{Ref{Kind: "account", Key: "bob"}, "", 64, 9},
		{Ref{Kind: "account", Key: "alice"}, "", 1024, 811},
		{Ref{Kind: "account", Key: "alice"}, "", 1, 0},
		{Ref{Kind: "order", Key: "alice"}, "customer", 64, 9},
		{Ref{Kind: "invoice", Key: "alice"}, "customer", 64, 9},
		{Ref{Namespace: "n", Kind: "account", Key: "alice"}, "", 64, 24},
		{Ref{Kind: "a", Key: "Ж/🙂"}, "", 1000, 79},
		{Ref{Kind: "ab", Key: "c"}, "", 1024, 502},
		{Ref{Kind: "a", Key: "bc"}, "", 1024, 409},
	} {
		if got := PartitionOf(c.ref, c.affinity, c.partitions); got != c.want {
			t.Errorf("%q of affinity %q among %d: got %d, want %d", c.ref, c.affinity, c.partitions, got, c.want)
		}
	}
}

// TestPlacementIsEven places 100,000 keys of several shapes and compares the
// spread with that of a fair die: chi square, less than five standard
// deviations above its mean.
func TestPlacementIsEven(t *testing.T) {
	const keys = 100_000
	for shape, format := range map[string]string{
		"counted": "%d", "padded": "user-%08d", "spread": "%x-customer", "long": "tenant/17/region/eu/user/%d/profile",
	} {
		for _, partitions := range []int{2, 64, 100, 1024} {
			counts := make([]int, partitions)
			for i := range keys {
				counts[PartitionOf(Ref{Kind: "account", Key: fmt.Sprintf(format, i)}, "", partitions)]++
			}
			expected := float64(keys) / float64(partitions)
			chi := 0.0
			for _, count := range counts {
				chi += (float64(count) - expected) * (float64(count) - expected) / expected
			}
			freedom := float64(partitions - 1)
			if limit := freedom + 5*math.Sqrt(2*freedom); chi > limit {
				t.Errorf("%s keys over %d partitions: chi square %.0f, want at most %.0f; from %d to %d keys, %.0f expected",
					shape, partitions, chi, limit, slices.Min(counts), slices.Max(counts), expected)
			}
		}
	}
}
