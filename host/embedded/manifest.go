package embedded

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Names in the data directory.
const (
	checkpointDirectory = "checkpoints"
	manifestName        = "MANIFEST"
	checkpointSuffix    = ".checkpoint"
)

// published is a checkpoint as the manifest has it.
type published struct {
	host.Checkpoint
	checkpointFile
}

// manifest lists what is current. It is replaced as a whole.
type manifest map[msg.Partition]published

// checkpointName is the path of a checkpoint file.
func checkpointName(directory string, p msg.Partition, sequence uint64) string {
	return filepath.Join(directory, checkpointDirectory, fmt.Sprintf("%04d-%d%s", p, sequence, checkpointSuffix))
}

// isCheckpoint says whether a name is that of a checkpoint file.
func isCheckpoint(name string) bool { return strings.HasSuffix(name, checkpointSuffix) }

const (
	manifestHead  = "holdfast checkpoints\n"
	manifestVerb  = "format %d\nreader %d\n"
	manifestEntry = "partition %d start %d end %d frame %d bytes %d file %d slices %d sum %08x"
)

// sorted lists the entries in order of partitions.
func (m manifest) sorted() []published {
	list := make([]published, 0, len(m))
	for _, p := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[p])
	}
	return list
}

// encode gives the text of the manifest file.
func (m manifest) encode() []byte {
	text := fmt.Appendf(nil, manifestHead+manifestVerb, formatVersion, readerVersion)
	for _, c := range m.sorted() {
		text = fmt.Appendf(text, manifestEntry+"\n",
			c.Partition, c.Start, c.End, c.Frame, c.Bytes, c.sequence, c.slices, c.checksum)
	}
	return sumLine(text)
}

// decodeManifest reads the text of the manifest file.
func decodeManifest(name string, text []byte) (manifest, error) {
	lines, err := cutSumLine(text)
	if err != nil {
		return nil, corrupt(name, 0, "%w: restore it from a backup", err)
	}
	body, ok := bytes.CutPrefix(lines, []byte(manifestHead))
	var format, reader int
	if _, err := fmt.Sscanf(string(body), manifestVerb, &format, &reader); !ok || err != nil {
		return nil, corrupt(name, 0, "it does not begin as a manifest does")
	}
	if reader > formatVersion {
		return nil, fmt.Errorf("%s: %w: format %d needs a reader of format %d, this program reads up to %d: use the newer version of holdfast that wrote it",
			name, host.ErrIncompatible, format, reader, formatVersion)
	}
	m := make(manifest)
	entries := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")[2:]
	for _, line := range entries {
		entry, err := decodeManifestEntry(line)
		if err != nil {
			return nil, corrupt(name, 0, "line %s: %w", strconv.Quote(line), err)
		}
		m[entry.Partition] = entry
	}
	return m, nil
}

// decodeManifestEntry reads one line.
func decodeManifestEntry(line string) (published, error) {
	var c published
	_, err := fmt.Sscanf(line, manifestEntry,
		&c.Partition, &c.Start, &c.End, &c.Frame, &c.Bytes, &c.sequence, &c.slices, &c.checksum)
	return c, err
}
