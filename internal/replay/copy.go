package replay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
)

// copyAttempts is how often a directory is copied that is in use: files may go,
// and frames come, while they are copied.
const copyAttempts = 5

// openCopy copies a data directory and opens the copy.
func openCopy(dir, to string) (*embedded.Host, error) {
	identity, found, err := embedded.IdentityOf(dir)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s is no data directory: name one with --data", dir)
	}
	for attempt := 1; ; attempt++ {
		copied := filepath.Join(to, fmt.Sprintf("copy-%d", attempt))
		err := copyAll(dir, copied)
		if err == nil {
			var h *embedded.Host
			if h, err = embedded.Open(embedded.Config{Dir: copied, Identity: identity}); err == nil {
				return h, nil
			}
		}
		passes := errors.Is(err, fs.ErrNotExist) || errors.Is(err, host.ErrCorrupt)
		if !passes || attempt == copyAttempts {
			return nil, fmt.Errorf("copy %s: %w", dir, err)
		}
		if err := os.RemoveAll(copied); err != nil {
			return nil, err
		}
	}
}

// copyAll copies a directory: its checkpoints before its log, so that the log of
// the copy reaches as far as the checkpoints know.
func copyAll(from, to string) error {
	var names []string
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			name, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case entry.Type().IsRegular():
			names = append(names, path)
		}
		return nil
	})
	for _, name := range names { // in lexical order: "checkpoints" before "log"
		if err == nil {
			err = copyFile(from, to, name)
		}
	}
	return err
}

func copyFile(from, to, path string) (err error) {
	name, err := filepath.Rel(from, path)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(to, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
