package sim

import (
	"maps"
	"slices"
)

// PageBytes is what a disk writes whole.
const PageBytes = 4096

// versionsMax bounds what is remembered of a page that is written again and
// again without a sync. Older versions are forgotten from the second on.
const versionsMax = 16

// page is never changed once it is stored, so that copies of a disk share it.
// nil is a page of zeros.
type page [PageBytes]byte

// inode is a file without its names.
type inode struct {
	cache []*page // what is read
	disk  []*page // what a power cut leaves
	// dirty holds the versions of pages that a sync would write, oldest first.
	// A page whose cache and disk differ and that is not dirty was lost by a
	// failed sync.
	dirty map[int][]*page

	size, diskSize int64
	held           map[int]bool // pages that take room
}

// newInode is an empty file.
func newInode() *inode {
	return &inode{dirty: make(map[int][]*page), held: make(map[int]bool)}
}

// at gives a page, nil behind the end.
func at(pages []*page, number int) *page {
	if number >= len(pages) {
		return nil
	}
	return pages[number]
}

// put sets a page.
func put(pages []*page, number int, p *page) []*page {
	for len(pages) <= number {
		pages = append(pages, nil)
	}
	pages[number] = p
	return pages
}

// readAt copies out of the cache.
func (n *inode) readAt(b []byte, offset int64) int {
	if offset >= n.size {
		return 0
	}
	b = b[:min(int64(len(b)), n.size-offset)]
	for done := 0; done < len(b); {
		number, from := int((offset+int64(done))/PageBytes), int((offset+int64(done))%PageBytes)
		part := b[done:min(len(b), done+PageBytes-from)]
		if p := at(n.cache, number); p != nil {
			copy(part, p[from:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(b)
}

// writeAt copies into the cache.
func (n *inode) writeAt(b []byte, offset int64) {
	for done := 0; done < len(b); {
		number, from := int((offset+int64(done))/PageBytes), int((offset+int64(done))%PageBytes)
		part := b[done:min(len(b), done+PageBytes-from)]
		next := new(page)
		if p := at(n.cache, number); p != nil {
			*next = *p
		}
		copy(next[from:], part)
		n.setPage(number, next)
		done += len(part)
	}
	n.size = max(n.size, offset+int64(len(b)))
}

// setPage makes a version of a page the one that is read.
func (n *inode) setPage(number int, p *page) {
	n.cache = put(n.cache, number, p)
	n.held[number] = true
	versions := append(n.dirty[number], p)
	if len(versions) > versionsMax {
		versions = slices.Delete(versions, 1, 2)
	}
	n.dirty[number] = versions
}

// truncate sets the size. What is cut off reads as zeros afterwards.
func (n *inode) truncate(size int64) {
	for number := int(size / PageBytes); number < len(n.cache); number++ {
		old := n.cache[number]
		if old == nil {
			continue
		}
		var next *page
		if keep := size - int64(number)*PageBytes; keep > 0 {
			next = new(page)
			copy(next[:keep], old[:])
		}
		n.setPage(number, next)
	}
	maps.DeleteFunc(n.held, func(number int, _ bool) bool { return int64(number)*PageBytes >= size })
	n.size = size
}

// sync makes everything durable.
func (n *inode) sync() {
	for number, versions := range n.dirty {
		n.disk = put(n.disk, number, versions[len(versions)-1])
	}
	clear(n.dirty)
	n.diskSize = n.size
}

// failSync makes the chosen pages durable and forgets that the others are
// dirty: they can be read, and no later sync writes them.
func (n *inode) failSync(keep func() bool) {
	for _, number := range n.dirtyPages() {
		if versions := n.dirty[number]; keep() {
			n.disk = put(n.disk, number, versions[len(versions)-1])
		}
	}
	clear(n.dirty)
	if keep() {
		n.diskSize = n.size
	}
}

// dirtyPages lists the pages that a sync would write, in order.
func (n *inode) dirtyPages() []int { return slices.Sorted(maps.Keys(n.dirty)) }

// evict makes clean pages read as they are on the disk.
func (n *inode) evict() {
	for number := range n.cache {
		if _, dirty := n.dirty[number]; !dirty {
			n.cache[number] = at(n.disk, number)
		}
	}
}

// fall makes what is on the disk the file.
func (n *inode) fall() {
	n.cache = slices.Clone(n.disk)
	clear(n.dirty)
	n.size = n.diskSize
	clear(n.held)
	for number, p := range n.cache {
		if p != nil && int64(number)*PageBytes < n.size {
			n.held[number] = true
		}
	}
}

// clone copies the file. Pages are shared.
func (n *inode) clone() *inode {
	c := &inode{
		cache: slices.Clone(n.cache), disk: slices.Clone(n.disk),
		size: n.size, diskSize: n.diskSize,
		dirty: make(map[int][]*page, len(n.dirty)), held: maps.Clone(n.held),
	}
	for number, versions := range n.dirty {
		c.dirty[number] = slices.Clone(versions)
	}
	return c
}

// damage flips bits of a byte, in the cache and on the disk.
func (n *inode) damage(offset int64, mask byte) {
	number, from := int(offset/PageBytes), offset%PageBytes
	flip := func(p *page) *page {
		next := new(page)
		if p != nil {
			*next = *p
		}
		next[from] ^= mask
		return next
	}
	cached, durable := at(n.cache, number), at(n.disk, number)
	n.cache = put(n.cache, number, flip(cached))
	n.disk = put(n.disk, number, flip(durable))
	for i, p := range n.dirty[number] {
		n.dirty[number][i] = flip(p)
	}
}
