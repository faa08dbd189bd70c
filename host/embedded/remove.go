package embedded

import (
	"os"
	"path/filepath"
)

// shrinkBytes is how much of a file is given back at once. A file system that
// tells the disk what is free does so while syncs wait: giving back 32 MiB held
// up appends for 70 to 180 ms, in steps of 1 MiB for 1 to 6 ms
// (BenchmarkAppendBesideCheckpoint).
const shrinkBytes = 1 << 20

// removedSuffix marks a file that nobody needs and that is being given back.
const removedSuffix = ".removed"

// shrink cuts a file to a size, a step at a time. The content is not needed any
// more and the next start removes what is left: errors do not matter.
func shrink(files FS, name string, to int64) {
	f, err := files.OpenFile(name, os.O_RDWR)
	if err != nil {
		return
	}
	defer f.Close()
	bytes, err := f.Size()
	for err == nil && bytes > to {
		bytes = max(to, bytes-shrinkBytes)
		if err = f.Truncate(bytes); err == nil {
			err = f.Datasync()
		}
	}
}

// removeGently removes a file that nobody needs.
func removeGently(files FS, name string) {
	shrink(files, name, shrinkBytes)
	_ = files.Remove(name)
}

// removeLeftovers removes files that never got their name, or have lost it.
func removeLeftovers(files FS, directory string) error {
	names, err := files.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, name := range names {
		if suffix := filepath.Ext(name); suffix != newSuffix && suffix != removedSuffix {
			continue
		}
		if err := files.Remove(filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	return nil
}
