package msg

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// Bounds of what users name.
const (
	KeyBytesMax  = 1024
	NameBytesMax = 128
)

// ValidKey returns nil if an entity may have the key, and else an *Error with
// CodeInvalidArgument: a key is 1 to KeyBytesMax bytes of UTF-8, and not "." or
// "..", which URLs and proxies take for directories.
func ValidKey(key string) error {
	switch {
	case key == "":
		return invalid("the key is empty; a key is 1 to %d bytes of UTF-8", KeyBytesMax)
	case len(key) > KeyBytesMax:
		return invalid("the key is %d bytes long; a key is 1 to %d bytes of UTF-8", len(key), KeyBytesMax)
	case key == "." || key == "..":
		return invalid(`the key is %q; "." and ".." have a meaning of their own in URLs: choose another key`, key)
	case !utf8.ValidString(key):
		return invalid("the key %.64q is not UTF-8; write binary keys as text, for example in hexadecimal", key)
	}
	return nil
}

// ValidName returns nil if a kind or a handler may have the name, and else an
// *Error with CodeInvalidArgument: a name is 1 to NameBytesMax ASCII letters,
// digits, "_", "-" and ".", and not "." or "..".
func ValidName(name string) error {
	const rule = `a name is 1 to %d of the characters A-Z a-z 0-9 _ - .`
	switch at := strings.IndexFunc(name, func(r rune) bool { return !nameCharacter(r) }); {
	case name == "":
		return invalid("the name is empty; "+rule, NameBytesMax)
	case len(name) > NameBytesMax:
		return invalid("the name is %d bytes long; "+rule, len(name), NameBytesMax)
	case name == "." || name == "..":
		return invalid(`the name is %q; "." and ".." have a meaning of their own in URLs: choose another name`, name)
	case at >= 0:
		r, _ := utf8.DecodeRuneInString(name[at:])
		return invalid("the name %q contains %q; "+rule, name, r, NameBytesMax)
	}
	return nil
}

func nameCharacter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' || r == '.'
}

func invalid(format string, args ...any) *Error {
	return Errorf(CodeInvalidArgument, ClassInvalidArgument, format, args...)
}

// FingerprintOf is the beginning of the SHA-256 of the parts, each after its
// length, so that no two lists of parts are hashed as the same bytes.
func FingerprintOf[T ~string | ~[]byte](parts ...T) (f Fingerprint) {
	// Short parts are hashed together from the stack, and long ones piece by
	// piece: nothing is allocated for either.
	var buffer [512]byte
	digest := sha256.New()
	used := 0
	for _, part := range parts {
		if used > len(buffer)-8 {
			digest.Write(buffer[:used])
			used = 0
		}
		binary.BigEndian.PutUint64(buffer[used:], uint64(len(part)))
		used += 8
		for rest := part; len(rest) > 0; {
			if used == len(buffer) {
				digest.Write(buffer[:])
				used = 0
			}
			copied := copy(buffer[used:], rest)
			used += copied
			rest = rest[copied:]
		}
	}
	digest.Write(buffer[:used])
	var sum [sha256.Size]byte
	copy(f[:], digest.Sum(sum[:0]))
	return f
}
