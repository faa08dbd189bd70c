package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Disk is a simulated disk with the processes that use it, one at a time. It is
// safe for concurrent use, though only calls in one order are reproducible.
type Disk struct {
	hook func(Op) Fault

	mu         sync.Mutex
	seed       uint64
	random     *rand.Rand
	process    int // handles of older ones are dead
	operations int64
	stopAt     int64 // -1 for never
	capacity   int64 // bytes; 0 for no bound

	directories map[string]*directory // every one, by path
	locks       map[string]bool
	mappings    []*Mapping
}

// directory has names as they are seen and as they are durable. Directories
// themselves are durable at once.
type directory struct {
	cache, disk map[string]*inode
	pending     []nameChange
}

// nameChange is a change of names that a power cut takes or leaves as a whole.
type nameChange struct {
	set    string // "" for none
	node   *inode
	delete string // "" for none
}

// apply changes names.
func (c nameChange) apply(names map[string]*inode) {
	if c.delete != "" {
		delete(names, c.delete)
	}
	if c.set != "" {
		names[c.set] = c.node
	}
}

// String describes the change.
func (c nameChange) String() string {
	switch {
	case c.delete == "":
		return "create " + c.set
	case c.set == "":
		return "remove " + c.delete
	}
	return "rename " + c.delete + " to " + c.set
}

// NewDisk makes an empty disk. The seed decides what nobody chooses.
func NewDisk(seed uint64) *Disk {
	return &Disk{
		seed: seed, random: rand.New(rand.NewPCG(seed, 1)), stopAt: -1,
		directories: map[string]*directory{"/": newDirectory(), ".": newDirectory()},
		locks:       make(map[string]bool),
	}
}

// newDirectory is empty.
func newDirectory() *directory {
	return &directory{cache: make(map[string]*inode), disk: make(map[string]*inode)}
}

// SetCapacity bounds the room for files in bytes; 0 for no bound. Every page
// that was written or allocated takes PageBytes.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used is the room that files take, in bytes.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// used counts the pages of all files that have a name.
func (d *Disk) used() int64 {
	var pages int64
	for _, directory := range d.directories {
		for _, n := range directory.cache {
			for _, held := range n.held {
				if held {
					pages++
				}
			}
		}
	}
	return pages * PageBytes
}

// fits says whether pages more can be held.
func (d *Disk) fits(pages int64) bool {
	return d.capacity == 0 || d.used()+pages*PageBytes <= d.capacity
}

// split gives the directory of a path, which must exist, and the last name.
func (d *Disk) split(operation, name string) (*directory, string, error) {
	parent, base := path.Split(clean(name))
	found, ok := d.directories[clean(parent)]
	if !ok {
		return nil, "", &fs.PathError{Op: operation, Path: name, Err: syscall.ENOENT}
	}
	return found, base, nil
}

// clean makes equal paths equal.
func clean(name string) string { return path.Clean(filepath.ToSlash(name)) }

// find gives a file by its name.
func (d *Disk) find(operation, name string) (*inode, error) {
	parent, base, err := d.split(operation, name)
	if err != nil {
		return nil, err
	}
	n, ok := parent.cache[base]
	if !ok {
		return nil, &fs.PathError{Op: operation, Path: name, Err: syscall.ENOENT}
	}
	return n, nil
}

// change makes a change of names that is not durable yet.
func (p *directory) change(c nameChange) {
	c.apply(p.cache)
	p.pending = append(p.pending, c)
}

// OpenFile opens a file with the flags of package os.
func (d *Disk) OpenFile(name string, flag int) (*File, error) {
	process, kind := d.current(), OpOpen
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		kind = OpCreate
	}
	fault, err := d.begin(process, Op{Kind: kind, Name: name})
	if err != nil || fault.Err != nil {
		return nil, faultOf("open", name, err, fault)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	parent, base, err := d.split("open", name)
	if err != nil {
		return nil, err
	}
	n, ok := parent.cache[base]
	switch {
	case !ok && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	case ok && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EEXIST}
	case !ok:
		n = newInode()
		parent.change(nameChange{set: base, node: n})
	case flag&os.O_TRUNC != 0:
		n.truncate(0)
	}
	return &File{disk: d, node: n, name: name, process: process, readOnly: flag&(os.O_WRONLY|os.O_RDWR) == 0}, nil
}

// current is the process that runs.
func (d *Disk) current() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.process
}

// faultOf gives the error of an operation that is not done.
func faultOf(operation, name string, err error, fault Fault) error {
	if err != nil {
		return err
	}
	if fault.Err != nil {
		return &fs.PathError{Op: operation, Path: name, Err: fault.Err}
	}
	return nil
}

// MkdirAll makes a directory and its parents.
func (d *Disk) MkdirAll(name string) error {
	fault, err := d.begin(d.current(), Op{Kind: OpMakeDir, Name: name})
	if err := faultOf("mkdir", name, err, fault); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := clean(name); d.directories[at] == nil; at = path.Dir(at) {
		d.directories[at] = newDirectory()
	}
	return nil
}

// ReadDir lists the names in a directory, sorted.
func (d *Disk) ReadDir(name string) ([]string, error) {
	fault, err := d.begin(d.current(), Op{Kind: OpReadDir, Name: name})
	if err := faultOf("readdir", name, err, fault); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := clean(name)
	found, ok := d.directories[at]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: syscall.ENOENT}
	}
	names := slices.Collect(maps.Keys(found.cache))
	for other := range d.directories {
		if other != at && path.Dir(other) == at {
			names = append(names, path.Base(other))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Size is the length of a file in bytes.
func (d *Disk) Size(name string) (int64, error) {
	fault, err := d.begin(d.current(), Op{Kind: OpSize, Name: name})
	if err := faultOf("stat", name, err, fault); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find("stat", name)
	if err != nil {
		return 0, err
	}
	return n.size, nil
}

// Rename gives a file another name in the same directory.
func (d *Disk) Rename(from, to string) error {
	fault, err := d.begin(d.current(), Op{Kind: OpRename, Name: from, To: to})
	if err := faultOf("rename", from, err, fault); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find("rename", from)
	if err != nil {
		return err
	}
	parent, base, err := d.split("rename", to)
	if err != nil {
		return err
	}
	if path.Dir(clean(from)) != path.Dir(clean(to)) {
		return &fs.PathError{Op: "rename", Path: to, Err: syscall.EXDEV}
	}
	parent.change(nameChange{set: base, node: n, delete: path.Base(clean(from))})
	return nil
}

// Remove deletes a file.
func (d *Disk) Remove(name string) error {
	fault, err := d.begin(d.current(), Op{Kind: OpRemove, Name: name})
	if err := faultOf("remove", name, err, fault); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.find("remove", name); err != nil {
		return err
	}
	parent, base, err := d.split("remove", name)
	if err != nil {
		return err
	}
	parent.change(nameChange{delete: base})
	return nil
}

// SyncDir makes the names in a directory durable.
func (d *Disk) SyncDir(name string) error {
	fault, err := d.begin(d.current(), Op{Kind: OpSyncDir, Name: name})
	if err := faultOf("sync", name, err, fault); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.directories[clean(name)]
	if !ok {
		return &fs.PathError{Op: "sync", Path: name, Err: syscall.ENOENT}
	}
	for _, change := range found.pending {
		change.apply(found.disk)
	}
	found.pending = nil
	return nil
}

// Lock takes a lock, which ends when it is closed or the process dies. It is
// ErrLocked if it is held.
func (d *Disk) Lock(name string) (*Lock, error) {
	process := d.current()
	fault, err := d.begin(process, Op{Kind: OpLock, Name: name})
	if err := faultOf("lock", name, err, fault); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := clean(name)
	if d.locks[at] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	d.locks[at] = true
	return &Lock{disk: d, name: at, process: process}, nil
}

// Lock is a lock that is held.
type Lock struct {
	disk    *Disk
	name    string
	process int
}

// Close gives the lock back.
func (l *Lock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.process == l.disk.process {
		delete(l.disk.locks, l.name)
	}
	return nil
}
