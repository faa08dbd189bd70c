package embedded

import (
	"errors"
	"path/filepath"
)

// marksBytes is enough for a few words for each of 1,024 partitions.
const marksBytes = 64 << 10

// openMarks maps the file of marks. Its room is taken first: a write into a
// mapped file on a full disk would kill the process.
func openMarks(files FS, directory string) (Mapping, error) {
	name := filepath.Join(directory, marksName)
	size, err := files.Size(name)
	if err != nil || size != marksBytes {
		if _, err := replaceFile(files, name, make([]byte, marksBytes)); err != nil {
			return nil, err
		}
	}
	return files.Map(name, marksBytes)
}

// closeMarks zeroes the marks, so that the next process sees that this one
// ended in order.
func closeMarks(m Mapping, planted mutant) error {
	if planted != mutantForgetMarks {
		clear(m.Bytes())
	}
	return errors.Join(m.Sync(), m.Close())
}
