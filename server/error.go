package server

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/holdfast-io/holdfast/host"
)

// Errors of New and Run. They are wrapped with what is known and what to do;
// match with errors.Is.
var (
	// ErrInvalid: the configuration or the application is not valid.
	ErrInvalid = errors.New("invalid configuration")
	// ErrAddressInUse: another process listens on the address.
	ErrAddressInUse = errors.New("the address is in use")
	// ErrDataInUse: another process has the data directory.
	ErrDataInUse = errors.New("the data directory is in use")
	// ErrIncompatible: the data belongs to another version, host, partition
	// count, or to kinds that were placed differently.
	ErrIncompatible = errors.New("the data does not fit")
	// ErrCorrupt: the data is damaged.
	ErrCorrupt = errors.New("the data is damaged")
	// ErrPermission: the operating system refuses the port or the directory.
	ErrPermission = errors.New("not permitted")
	// ErrNoSpace: the disk has no room to start.
	ErrNoSpace = errors.New("no space left")
	// ErrPoisoned: a write or sync of the log failed while the server ran. What
	// was not acknowledged may or may not be there after the next start.
	ErrPoisoned = errors.New("the log has failed")
)

// kinds maps causes to the errors above, most particular first.
var kinds = []struct {
	cause, kind error
	advice      string
}{
	{syscall.EADDRINUSE, ErrAddressInUse, "stop the other process, or listen elsewhere (--listen)"},
	{host.ErrInUse, ErrDataInUse, ""}, // what the host says has its advice
	{host.ErrIncompatible, ErrIncompatible, ""},
	{host.ErrCorrupt, ErrCorrupt, "`holdfast log verify` says more; restore the directory from a backup"},
	{host.ErrPoisoned, ErrPoisoned, "look after the disk, then start again"},
	{syscall.EADDRNOTAVAIL, ErrInvalid, "this machine does not have the address: listen elsewhere (--listen)"},
	{syscall.ENOTDIR, ErrInvalid, "the data needs a directory: name one that is not a file (--data)"},
	{host.ErrFull, ErrNoSpace, ""},
	{syscall.ENOSPC, ErrNoSpace, "make room on the disk"},
	{fs.ErrPermission, ErrPermission, "change the owner or mode, or use another port or directory"},
}

// explain makes an error of the parts that Run starts one of the kinds above. The
// action is what was tried, where the error does not say that itself.
func explain(action string, err error) error {
	if err == nil {
		return nil
	}
	if action != "" {
		err = fmt.Errorf("%s: %w", action, err)
	}
	for _, k := range kinds {
		if !errors.Is(err, k.cause) {
			continue
		}
		if k.advice == "" {
			return fmt.Errorf("%w: %w", k.kind, err)
		}
		return fmt.Errorf("%w: %w; %s", k.kind, err, k.advice)
	}
	return err
}
