package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-io/holdfast/internal/frontend/kar"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/session"
)

// Frontend serves programs in other processes: it has kinds of its own, which
// nobody sees, and a path of the HTTP interface. It is used by one server, once.
type Frontend interface {
	http.Handler
	// Path is what of the HTTP interface is the frontend's.
	Path() string
	// Program serves the frontend's kinds.
	Program() program.Program
	// Open lets programs in. It is called once, when recovery is over.
	Open(d kar.Door, logger *slog.Logger)
	// Close ends the connections of programs.
	Close()
}

// KARConfig is what a KAR frontend is made of. The zero value is right for most.
type KARConfig struct {
	// Lease is how long a process may be unreachable before what it does is done
	// by another; default 3 seconds.
	Lease time.Duration
	// AttemptsMax is how often an invocation may end its process before it is
	// put into quarantine; default 5.
	AttemptsMax uint32
	// PromiseRetention is how long outcomes of promises are kept; default 24 hours.
	PromiseRetention time.Duration
}

// KAR serves applications that are written for KAR: actors and services of
// processes that "holdfast kar run" stands beside.
func KAR(c KARConfig) Frontend {
	return karFrontend{kar.New(kar.Config{Version: Version(), Lease: c.Lease, AttemptsMax: c.AttemptsMax, Retention: c.PromiseRetention})}
}

type karFrontend struct{ *kar.Frontend }

// Path implements Frontend.
func (karFrontend) Path() string { return session.Path }

func withFrontends(p program.Program, list []Frontend) program.Program {
	if len(list) == 0 {
		return p
	}
	var more []program.Program
	for _, f := range list {
		more = append(more, f.Program())
	}
	return program.Join(p, more...)
}

// openFrontends lets programs in. A door that is not a node's, as tests have, has
// nothing behind it for them.
func openFrontends(list []Frontend, d native.Door, logger *slog.Logger) {
	door, ok := d.(kar.Door)
	for _, f := range list {
		if ok {
			f.Open(door, logger)
		}
	}
}

// routed gives the frontends their paths.
func routed(h http.Handler, list []Frontend) http.Handler {
	if len(list) == 0 {
		return h
	}
	paths := map[string]http.Handler{}
	for _, f := range list {
		paths[f.Path()] = f
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := paths[r.URL.Path]; f != nil {
			f.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
