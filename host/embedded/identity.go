package embedded

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/holdfast-io/holdfast/host"
)

// IdentityOf says what a data directory was made for, so that it can be opened
// again without saying it. It is false if there is no data directory yet. It
// takes no lock and changes nothing; Open compares what it says with what it
// finds then.
func IdentityOf(dir string) (identity host.Identity, found bool, err error) {
	return identityOf(osFS{}, dir)
}

// identityOf is IdentityOf on any disk.
func identityOf(files FS, dir string) (identity host.Identity, found bool, err error) {
	identity, err = readFormat(files, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return host.Identity{}, false, nil
	}
	if err != nil {
		return host.Identity{}, false, fmt.Errorf("open data directory %s: %w", dir, explain(err))
	}
	return identity, true, nil
}
