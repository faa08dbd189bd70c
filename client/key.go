package client

import "github.com/holdfast-io/holdfast/internal/msg"

// KeyBytesMax is the longest key, in bytes of UTF-8.
const KeyBytesMax = msg.KeyBytesMax

// CheckKey says what is wrong with the key of an entity; nil if nothing is.
// Keys are part of URLs, where "." and ".." mean something else.
func CheckKey(key string) error { return msg.ValidKey(key) }
