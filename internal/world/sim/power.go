package sim

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// Crash ends the process: its files, mappings and locks are dead, and what it
// wrote stays in the page cache, where the next process reads it.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crash()
}

// crash ends the process. The lock is held.
func (d *Disk) crash() {
	d.endMappings()
	d.process++
	d.stopAt = -1
	clear(d.locks)
}

// endMappings leaves the memory of the process in the page cache. The lock is
// held.
func (d *Disk) endMappings() {
	for _, m := range d.mappings {
		if m.process == d.process {
			m.flush()
			m.process = -1
		}
	}
	d.mappings = nil
}

// Choice is something that a power cut may do in several ways.
type Choice struct {
	// What says it in words, for a failure message.
	What string
	// Options is the number of ways: 0 is as if it was never written, the last
	// is as it was read last.
	Options int
}

// Chooser decides what a power cut leaves. It is called in an order that only
// depends on what was done to the disk.
type Chooser func(Choice) int

// KeepNone loses everything that was not synced.
func KeepNone(Choice) int { return 0 }

// KeepAll loses nothing.
func KeepAll(c Choice) int { return c.Options - 1 }

// KeepSome decides from a seed.
func KeepSome(seed uint64) Chooser {
	random := rand.New(rand.NewPCG(seed, 2))
	return func(c Choice) int { return random.IntN(c.Options) }
}

// KeepExactly takes the decisions from a list, which must be as long as
// Unsynced says.
func KeepExactly(list []int) Chooser {
	return func(c Choice) int {
		first := list[0]
		list = list[1:]
		return first
	}
}

// Unsynced lists what a power cut would have to decide now.
func (d *Disk) Unsynced() []Choice {
	var list []Choice
	clone := d.Clone()
	clone.PowerCut(func(c Choice) int {
		list = append(list, c)
		return 0
	})
	return list
}

// PowerCut ends the process and the page cache with it. The chooser decides
// about every page, every size and every change of names that was not synced;
// nil decides from the disk's seed.
func (d *Disk) PowerCut(choose Chooser) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if choose == nil {
		choose = func(c Choice) int { return d.random.IntN(c.Options) }
	}
	d.crash()
	// Files first: a file that loses its name has been decided about anyway,
	// so the order of choices does not depend on choices.
	nodes := d.nodes()
	for _, named := range nodes {
		named.node.cut(named.name, choose)
	}
	for _, at := range slices.Sorted(maps.Keys(d.directories)) {
		d.directories[at].cut(at, choose)
	}
}

// namedNode is a file with one of its names.
type namedNode struct {
	name string
	node *inode
}

// nodes lists every file that a power cut may leave, in an order that does not
// depend on addresses.
func (d *Disk) nodes() []namedNode {
	var list []namedNode
	seen := make(map[*inode]bool)
	add := func(name string, n *inode) {
		if n != nil && !seen[n] {
			seen[n] = true
			list = append(list, namedNode{name, n})
		}
	}
	for _, at := range slices.Sorted(maps.Keys(d.directories)) {
		directory := d.directories[at]
		for _, names := range []map[string]*inode{directory.cache, directory.disk} {
			for _, name := range slices.Sorted(maps.Keys(names)) {
				add(path.Join(at, name), names[name])
			}
		}
		for _, change := range directory.pending {
			add(path.Join(at, change.set), change.node)
		}
	}
	return list
}

// cut decides what is left of a file.
func (n *inode) cut(name string, choose Chooser) {
	for _, number := range n.dirtyPages() {
		versions := n.dirty[number]
		choice := choose(Choice{What: fmt.Sprintf("page %d of %s", number, name), Options: len(versions) + 1})
		if choice > 0 {
			n.disk = put(n.disk, number, versions[choice-1])
		}
	}
	if n.size != n.diskSize && choose(Choice{What: fmt.Sprintf("size %d of %s", n.size, name), Options: 2}) == 1 {
		n.diskSize = n.size
	}
	n.fall()
}

// cut decides what is left of changes of names.
func (p *directory) cut(at string, choose Chooser) {
	for _, change := range p.pending {
		if choose(Choice{What: fmt.Sprintf("%v in %s", change, at), Options: 2}) == 1 {
			change.apply(p.disk)
		}
	}
	p.pending = nil
	p.cache = maps.Clone(p.disk)
}

// DropCaches forgets clean pages, as a kernel does that needs memory. What a
// failed sync lost reads as it is on the disk from then on.
func (d *Disk) DropCaches() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, named := range d.nodes() {
		named.node.evict()
	}
}

// Clone copies the disk, with its page cache, as it would be after a crash of
// the process. The process goes on with the original. The hook is not copied.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Disk{
		seed: d.seed, random: rand.New(rand.NewPCG(d.seed, uint64(d.operations))), process: d.process + 1,
		operations: d.operations, stopAt: -1, capacity: d.capacity,
		directories: make(map[string]*directory, len(d.directories)), locks: make(map[string]bool),
	}
	copies := make(map[*inode]*inode)
	copied := func(n *inode) *inode {
		if n == nil {
			return nil
		}
		if copies[n] == nil {
			copies[n] = n.clone()
		}
		return copies[n]
	}
	for at, directory := range d.directories {
		c.directories[at] = directory.clone(copied)
	}
	for _, m := range d.mappings {
		if m.process == d.process && copies[m.node] != nil {
			(&Mapping{node: copies[m.node], bytes: m.bytes}).flush()
		}
	}
	return c
}

// clone copies names.
func (p *directory) clone(copied func(*inode) *inode) *directory {
	c := newDirectory()
	for name, n := range p.cache {
		c.cache[name] = copied(n)
	}
	for name, n := range p.disk {
		c.disk[name] = copied(n)
	}
	for _, change := range p.pending {
		change.node = copied(change.node)
		c.pending = append(c.pending, change)
	}
	return c
}

// Damage flips the bits of the mask in a byte of a file, on the disk and in the
// page cache.
func (d *Disk) Damage(name string, offset int64, mask byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find("damage", name)
	if err != nil {
		return err
	}
	if offset < 0 || offset >= n.size {
		return fmt.Errorf("damage %s at byte %d: it has %d bytes", name, offset, n.size)
	}
	n.damage(offset, mask)
	return nil
}

// Files lists the paths of all files, sorted, with their sizes.
func (d *Disk) Files() []FileSize {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []FileSize
	for _, at := range slices.Sorted(maps.Keys(d.directories)) {
		for _, name := range slices.Sorted(maps.Keys(d.directories[at].cache)) {
			list = append(list, FileSize{path.Join(at, name), d.directories[at].cache[name].size})
		}
	}
	return list
}

// FileSize is a file and its length.
type FileSize struct {
	Name  string
	Bytes int64
}

// Dump writes the paths, sizes and content of all files, for comparing two
// disks.
func (d *Disk) Dump(w io.Writer) error {
	for _, file := range d.Files() {
		d.mu.Lock()
		n, err := d.find("dump", file.Name)
		if err != nil {
			d.mu.Unlock()
			return err
		}
		content := make([]byte, n.size)
		n.readAt(content, 0)
		d.mu.Unlock()
		if _, err := fmt.Fprintf(w, "%s %d %x\n", file.Name, file.Bytes, content); err != nil {
			return err
		}
	}
	return nil
}
