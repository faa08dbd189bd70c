package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
)

// Defaults of Config.
const (
	ListenDefault          = "127.0.0.1:7070"
	PartitionsDefault      = 64
	RetentionDefault       = 24 * time.Hour
	ShutdownTimeoutDefault = 30 * time.Second
)

// partitionsMax is that of the system.
const partitionsMax = 1024

// Config is what a Server is made of. App is required, unless WithoutApp says
// otherwise, and DataDir or Host. The zero value of everything else is its
// default.
type Config struct {
	// App is what is served.
	App *holdfast.App
	// WithoutApp serves no application: nothing can be called, and everything
	// that the process itself answers is answered.
	WithoutApp bool

	// Frontends serve programs in other processes, beside App: see KAR.
	Frontends []Frontend

	// DataDir is the directory that holds the log and checkpoints. It is made
	// if it does not exist.
	DataDir string
	// Partitions is the number that a new data directory is made for; default
	// 64. It can never change: zero is right for any directory that is there,
	// and another number than it was made for is ErrIncompatible.
	Partitions int
	// LockWait is how long to wait until another process lets the data
	// directory go; default 5 seconds, and not at all if it is below zero.
	LockWait time.Duration
	// Host holds the data instead of a directory. Run closes it.
	Host host.Host

	// Listen is the address of the HTTP interface; default 127.0.0.1:7070. Port
	// 0 takes a free one: see Server.Addr.
	Listen string
	// BodyBytesMax bounds the body of a request; default 8 MiB.
	BodyBytesMax int64

	// Retention is how long idempotency keys and results of sent invocations
	// are kept; default 24 hours.
	Retention time.Duration
	// RetentionMin is how long they are kept even when there is no room; default
	// 10 minutes.
	RetentionMin time.Duration

	// Executors is the number of handlers that run at once; default the number
	// of processors. Handlers that take long do not count: they are replaced.
	Executors int

	// ShutdownTimeout bounds how long a shutdown waits for requests and turns
	// that are under way; default 30 seconds.
	ShutdownTimeout time.Duration

	// Logger is told what operators should know; default slog.Default().
	Logger *slog.Logger
}

// withDefaults is the one place where defaults are applied.
func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = ListenDefault
	}
	if c.BodyBytesMax == 0 {
		c.BodyBytesMax = native.BodyBytesMaxDefault
	}
	if c.Retention == 0 {
		c.Retention = RetentionDefault
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = ShutdownTimeoutDefault
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Validate says everything that is wrong with the configuration, and with the
// application, at once.
func (c Config) Validate() error {
	var mistakes []error
	mistake := func(ok bool, format string, args ...any) {
		if !ok {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	mistake(c.App != nil || c.WithoutApp, "Config.App is nil: make one with holdfast.NewApp")
	mistake(c.App == nil || !c.WithoutApp, "Config.App is set, and Config.WithoutApp says that there is none")
	if c.App != nil {
		mistakes = append(mistakes, c.App.Validate())
	}
	mistake(c.DataDir != "" || c.Host != nil, "Config.DataDir (--data) is empty: name the directory for the data")
	mistake(c.DataDir == "" || c.Host == nil, "Config.DataDir and Config.Host are both set: the data is in one place")
	mistake(c.Partitions >= 0 && c.Partitions <= partitionsMax,
		"Config.Partitions (--partitions) is %d: it must be from 1 to %d, or 0 for what the directory was made for", c.Partitions, partitionsMax)
	if c.Listen != "" {
		mistake(isAddress(c.Listen), "Config.Listen (--listen) is %q: it must be host:port, such as %s", c.Listen, ListenDefault)
	}
	mistake(c.BodyBytesMax >= 0, "Config.BodyBytesMax is %d: it must not be below zero", c.BodyBytesMax)
	mistake(c.Executors >= 0, "Config.Executors (--executors) is %d: it must not be below zero", c.Executors)
	mistake(c.Retention >= 0 && c.RetentionMin >= 0 && c.ShutdownTimeout >= 0,
		"Config has a time below zero: Retention (--retention) %v, RetentionMin %v, ShutdownTimeout (--shutdown-timeout) %v", c.Retention, c.RetentionMin, c.ShutdownTimeout)
	return errors.Join(mistakes...)
}

// isAddress says whether the text has the form of an address to listen at.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = net.LookupPort("tcp", port) // a number in range, or a name of /etc/services
	return err == nil
}
