package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-io/holdfast/host"
)

// Names in the data directory.
const (
	lockName   = "LOCK"
	formatName = "FORMAT"
	marksName  = "MARKS"
)

const hostName = "embedded"

// smallFileBytesMax bounds the text files that are read whole.
const smallFileBytesMax = 1 << 20

// formatText is the content of the FORMAT file.
func formatText(identity host.Identity) []byte {
	return sumLine(fmt.Appendf(nil, "holdfast data directory\nformat %d\nreader %d\nhost %s\npartitions %d\n",
		formatVersion, readerVersion, hostName, identity.Partitions))
}

// sumLine appends the line with the checksum of the lines before it.
func sumLine(text []byte) []byte {
	return fmt.Appendf(text, "checksum %08x\n", crc32.Checksum(text, castagnoli))
}

// cutSumLine checks and removes the last line.
func cutSumLine(text []byte) ([]byte, error) {
	at := bytes.LastIndex(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) + 1
	var sum uint32
	if _, err := fmt.Sscanf(string(text[at:]), "checksum %08x\n", &sum); err != nil {
		return nil, fmt.Errorf("%w: the checksum in the last line is missing", errBad)
	}
	if sum != crc32.Checksum(text[:at], castagnoli) {
		return nil, fmt.Errorf("%w: the checksum in the last line does not match", errBad)
	}
	return text[:at], nil
}

// readFormat reads the FORMAT file and compares it with what is wanted. It is
// fs.ErrNotExist if there is none.
func readFormat(files FS, directory string) (host.Identity, error) {
	name := filepath.Join(directory, formatName)
	text, err := readSmall(files, name)
	if err != nil {
		return host.Identity{}, err
	}
	lines, err := cutSumLine(text)
	if err != nil {
		return host.Identity{}, corrupt(name, 0, "%w: restore it from a backup", err)
	}
	var format, reader int
	var found string
	var identity host.Identity
	if _, err := fmt.Sscanf(string(lines), "holdfast data directory\nformat %d\nreader %d\nhost %s\npartitions %d\n",
		&format, &reader, &found, &identity.Partitions); err != nil && reader <= formatVersion {
		return host.Identity{}, corrupt(name, 0, "it has no lines of a data directory: %w", err)
	}
	if reader > formatVersion {
		return host.Identity{}, fmt.Errorf("%s: %w: format %d needs a reader of format %d, this program reads up to %d: use the newer version of holdfast that wrote it",
			name, host.ErrIncompatible, format, reader, formatVersion)
	}
	if found != hostName {
		return host.Identity{}, fmt.Errorf("%s: %w: it was made for host %q, this is host %q: name another directory, or use that host",
			name, host.ErrIncompatible, found, hostName)
	}
	return identity, nil
}

// checkIdentity compares what the directory was made for with what is asked.
func checkIdentity(directory string, found, wanted host.Identity) error {
	if found == wanted {
		return nil
	}
	return fmt.Errorf("%s: %w: the directory was made for %d partitions, %d were asked for: the number is fixed when a directory is made; ask for %d, or name another directory",
		filepath.Join(directory, formatName), host.ErrIncompatible, found.Partitions, wanted.Partitions, found.Partitions)
}

// readSmall reads a file whole.
func readSmall(files FS, name string) ([]byte, error) {
	f, err := files.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > smallFileBytesMax {
		return nil, corrupt(name, smallFileBytesMax, "it has %d bytes, more than were ever written", size)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// replaceFile writes a file under another name, syncs it, and gives it its
// name. It says whether the name may have changed when it fails.
func replaceFile(files FS, name string, content []byte) (renamed bool, err error) {
	f, err := files.OpenFile(name+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return false, err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	if err := files.Rename(name+newSuffix, name); err != nil {
		return true, err
	}
	return true, files.SyncDir(filepath.Dir(name))
}

// ours says whether a name in the data directory is one that this host makes,
// or that a file system brings.
func ours(name string) bool {
	switch strings.TrimSuffix(name, newSuffix) {
	case lockName, formatName, marksName, logDirectory, checkpointDirectory, "lost+found":
		return true
	}
	return false
}

// mustBeNew says whether a directory without FORMAT may be made a data
// directory: there is nothing in it, or what an interrupted first start left.
func mustBeNew(config *Config) error {
	files, directory := config.FS, config.Dir
	names, err := files.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !ours(name) {
			return fmt.Errorf("%s: %w: it is not a data directory and holds %q: name an empty or a new directory",
				directory, host.ErrIncompatible, name)
		}
	}
	used, err := hasData(config)
	if err != nil {
		return err
	}
	if used {
		return fmt.Errorf("%s: %w: the file is missing, though there is a log or a checkpoint: restore it from a backup",
			filepath.Join(directory, formatName), host.ErrCorrupt)
	}
	return nil
}

// hasData says whether there is a frame or a checkpoint.
func hasData(config *Config) (bool, error) {
	name := filepath.Join(config.Dir, checkpointDirectory, manifestName)
	text, err := readSmall(config.FS, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil {
		if current, err := decodeManifest(name, text); len(current) > 0 || err != nil {
			return true, err
		}
	}
	segments, err := readSegmentHeaders(config.FS, config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || len(segments) == 0 {
		return false, err
	}
	t, err := findTail(config, segments)
	return t.number > 0, err
}
