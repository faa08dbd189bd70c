package client

import (
	"fmt"
	"unicode/utf8"
)

// KeyBytesMax is the longest key, in bytes of UTF-8.
const KeyBytesMax = 1024

// CheckKey says what is wrong with the key of an entity; nil if nothing is.
// Keys are part of URLs, where "." and ".." mean something else.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("the key is empty; a key has 1 to %d bytes", KeyBytesMax)
	case len(key) > KeyBytesMax:
		return fmt.Errorf("the key has %d bytes; a key has 1 to %d", len(key), KeyBytesMax)
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %q is not UTF-8", key)
	case key == "." || key == "..":
		return fmt.Errorf("the key %q means something else in URLs; use another one", key)
	}
	return nil
}
