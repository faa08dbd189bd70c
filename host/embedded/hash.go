package embedded

import "github.com/holdfast-io/holdfast/host"

// hashing is the hash of the last frame, which is needed when the next one
// comes: not before Append returns.
type hashing struct {
	hash host.FrameHash
	done chan host.FrameHash // nil if the hash is known
}

// begin hashes the frame. Its payload must not change until wait has returned.
func (h *hashing) begin(f host.Frame) {
	if len(f.Payload) < hashAside {
		h.hash = f.Hash()
		return
	}
	done := make(chan host.FrameHash, 1)
	h.done = done
	go func() { done <- f.Hash() }()
}

// wait gives the hash.
func (h *hashing) wait() host.FrameHash {
	if h.done != nil {
		h.hash, h.done = <-h.done, nil
	}
	return h.hash
}
