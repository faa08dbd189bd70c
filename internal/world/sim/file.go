package sim

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// File is an open file of a Disk.
type File struct {
	disk     *Disk
	node     *inode
	name     string
	process  int
	readOnly bool
	closed   bool
}

// begin asks whether an operation may be done.
func (f *File) begin(op Op) (Fault, error) {
	if f.closed {
		return Fault{}, &fs.PathError{Op: op.Kind.String(), Path: f.name, Err: fs.ErrClosed}
	}
	if f.readOnly && op.Kind.changes() {
		return Fault{}, &fs.PathError{Op: op.Kind.String(), Path: f.name, Err: syscall.EBADF}
	}
	op.Name = f.name
	return f.disk.begin(f.process, op)
}

// ReadAt reads what was written last, durable or not.
func (f *File) ReadAt(b []byte, offset int64) (int, error) {
	fault, err := f.begin(Op{Kind: OpRead, Offset: offset, Bytes: int64(len(b))})
	if err != nil {
		return 0, err
	}
	wanted := len(b)
	if fault.Err != nil {
		b = b[:min(fault.Bytes, int64(len(b)))]
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := f.node.readAt(b, offset)
	if fault.Err != nil {
		return n, &fs.PathError{Op: "read", Path: f.name, Err: fault.Err}
	}
	if n < wanted {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes to the page cache. On a full disk it writes the pages that
// fit.
func (f *File) WriteAt(b []byte, offset int64) (int, error) {
	fault, err := f.begin(Op{Kind: OpWrite, Offset: offset, Bytes: int64(len(b))})
	if err != nil {
		return 0, err
	}
	if fault.Err != nil {
		b = b[:min(fault.Bytes, int64(len(b)))]
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := f.room(len(b), offset)
	f.node.writeAt(b[:n], offset)
	switch {
	case fault.Err != nil:
		return n, &fs.PathError{Op: "write", Path: f.name, Err: fault.Err}
	case n < len(b):
		return n, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return n, nil
}

// room gives how many of the bytes find room.
func (f *File) room(bytes int, offset int64) int {
	if f.disk.capacity == 0 {
		return bytes
	}
	var added int64
	for at := offset; at < offset+int64(bytes); at = (at/PageBytes + 1) * PageBytes {
		if f.node.held[int(at/PageBytes)] {
			continue
		}
		if added++; !f.disk.fits(added) {
			return int(at - offset)
		}
	}
	return bytes
}

// Datasync makes what was written durable, with the size of the file.
func (f *File) Datasync() error {
	fault, err := f.begin(Op{Kind: OpSync})
	if err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if fault.Err != nil {
		f.node.failSync(func() bool { return f.disk.random.IntN(2) == 0 })
		return &fs.PathError{Op: "sync", Path: f.name, Err: fault.Err}
	}
	f.node.sync()
	return nil
}

// Truncate sets the size.
func (f *File) Truncate(bytes int64) error {
	fault, err := f.begin(Op{Kind: OpTruncate, Bytes: bytes})
	if err := faultOf("truncate", f.name, err, fault); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.node.truncate(bytes)
	return nil
}

// Allocate takes room for the bytes, all of it or nothing, and sets the size if
// it grows.
func (f *File) Allocate(bytes int64) error {
	fault, err := f.begin(Op{Kind: OpAllocate, Bytes: bytes})
	if err := faultOf("allocate", f.name, err, fault); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	pages := int((bytes + PageBytes - 1) / PageBytes)
	var added int64
	for number := range pages {
		if !f.node.held[number] {
			added++
		}
	}
	if !f.disk.fits(added) {
		return &fs.PathError{Op: "allocate", Path: f.name, Err: syscall.ENOSPC}
	}
	for number := range pages {
		f.node.held[number] = true
	}
	f.node.size = max(f.node.size, bytes)
	return nil
}

// Size is the length in bytes.
func (f *File) Size() (int64, error) {
	fault, err := f.begin(Op{Kind: OpSize})
	if err := faultOf("stat", f.name, err, fault); err != nil {
		return 0, err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.node.size, nil
}

// Close ends the use of the file. It makes nothing durable.
func (f *File) Close() error {
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}

// Mapping is a file in the memory of a process. What is written there is in the
// page cache when the process dies or the mapping is closed or synced.
type Mapping struct {
	disk    *Disk
	node    *inode
	name    string
	process int
	bytes   []byte
}

// Map maps the first bytes of a file.
func (d *Disk) Map(name string, bytes int) (*Mapping, error) {
	process := d.current()
	fault, err := d.begin(process, Op{Kind: OpMap, Name: name})
	if err := faultOf("map", name, err, fault); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find("map", name)
	if err != nil {
		return nil, err
	}
	if n.size < int64(bytes) {
		return nil, fmt.Errorf("map %s: the file has %d bytes, %d are wanted: a write behind the end kills a process", name, n.size, bytes)
	}
	m := &Mapping{disk: d, node: n, name: name, process: process, bytes: make([]byte, bytes)}
	n.readAt(m.bytes, 0)
	d.mappings = append(d.mappings, m)
	return m, nil
}

// Bytes is the memory.
func (m *Mapping) Bytes() []byte { return m.bytes }

// Sync makes the memory durable.
func (m *Mapping) Sync() error {
	fault, err := m.disk.begin(m.process, Op{Kind: OpSyncMap, Name: m.name})
	if err := faultOf("sync", m.name, err, fault); err != nil {
		return err
	}
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.flush()
	m.node.sync()
	return nil
}

// Close ends the mapping.
func (m *Mapping) Close() error {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if m.process != m.disk.process {
		return fmt.Errorf("unmap %s: %w", m.name, ErrStopped)
	}
	m.flush()
	m.process = -1
	return nil
}

// flush puts pages that were changed into the page cache.
func (m *Mapping) flush() {
	for from := 0; from < len(m.bytes); from += PageBytes {
		var now page
		copy(now[:], m.bytes[from:])
		var before page
		if p := at(m.node.cache, from/PageBytes); p != nil {
			before = *p
		}
		if now != before {
			m.node.setPage(from/PageBytes, &now)
		}
	}
}
