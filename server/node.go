package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/node"
	"github.com/holdfast-io/holdfast/internal/program"
)

// running is what stands between host and frontends.
type running interface {
	Door() native.Door
	// Failed gets the error that ended its work.
	Failed() <-chan error
	// Close finishes turns until ctx ends, takes a last checkpoint and ends
	// everything that was started.
	Close(ctx context.Context) error
	Stats(ctx context.Context) node.Stats
}

// liveNode is a node with the door that frontends know.
type liveNode struct{ *node.Node }

var _ running = liveNode{}

// Door implements running.
func (n liveNode) Door() native.Door { return n.Node.Door() }

// openHost opens the data directory, unless the configuration has a host.
func (s *Server) openHost() (host.Host, error) {
	if s.config.Host != nil {
		return s.config.Host, nil
	}
	identity, err := s.identity()
	if err != nil {
		return nil, err
	}
	h, err := embedded.Open(embedded.Config{Dir: s.config.DataDir, Identity: identity, LockWait: s.config.LockWait})
	if err != nil {
		return nil, err
	}
	s.reportOpened(h)
	return h, nil
}

// identity is what the data directory is to be: what the configuration says,
// or else what it was made for, or else the default.
func (s *Server) identity() (host.Identity, error) {
	if s.config.Partitions != 0 {
		return host.Identity{Partitions: s.config.Partitions}, nil
	}
	identity, found, err := embedded.IdentityOf(s.config.DataDir)
	if err == nil && !found {
		identity.Partitions = PartitionsDefault
	}
	return identity, err
}

// reportOpened says what an operator should know about a directory's last end.
func (s *Server) reportOpened(h *embedded.Host) {
	logger := s.config.Logger
	switch r := h.Recovered(); {
	case r.New:
		logger.Info("made a data directory", "data", s.config.DataDir, "partitions", h.Identity().Partitions)
	case r.CutFile != "":
		logger.Info("cut off an unfinished write; nothing in it was acknowledged",
			"file", r.CutFile, "offset", r.CutOffset, "reason", r.CutReason)
	case !r.Sealed:
		logger.Info("the last process did not end in order")
	}
}

// startNode recovers and begins to serve.
func (s *Server) startNode(ctx context.Context, h host.Host) (running, error) {
	n, err := node.Start(ctx, node.Config{
		Host:         h,
		Program:      withClient{s.program, s.conn},
		Logger:       s.config.Logger,
		Limits:       engine.Limits{Retention: s.config.Retention, RetentionMin: s.config.RetentionMin},
		Executors:    s.config.Executors,
		BodyBytesMax: int(s.config.BodyBytesMax),
	})
	if err != nil {
		return nil, err
	}
	r := n.Recovery()
	s.config.Logger.Info("recovered", "took_ms", r.Took.Milliseconds(), "entities", r.Entities,
		"checkpoints", r.Checkpoints, "frames", r.Frames, "records", r.Records, "interrupted", r.Interrupted)
	return liveNode{n}, nil
}

// noProgram is the program of a server without an application.
type noProgram struct{}

var _ program.Program = noProgram{}

// Describe implements program.Program.
func (noProgram) Describe() program.Description {
	return program.Description{App: "none", CodeVersion: Version()}
}

// Turn implements program.Program. What is in the log for kinds of another
// program waits for that program.
func (noProgram) Turn(_ context.Context, t *msg.Turn) *msg.Outcome {
	return &msg.Outcome{Run: t.Run, Fault: "no application serves " + t.Message.Target.Kind + " in this process"}
}

// Perform implements program.Program.
func (noProgram) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	return program.NotServed(t, "no application")
}

// watchedHost notes when checkpoints are published.
type watchedHost struct {
	host.Host
	published *atomic.Int64 // nanoseconds since 1970; 0: not by this process
}

// Snapshots implements host.Host.
func (h watchedHost) Snapshots() host.Snapshots {
	return watchedSnapshots{h.Host.Snapshots(), h.published}
}

type watchedSnapshots struct {
	host.Snapshots
	published *atomic.Int64
}

// Publish implements host.Snapshots.
func (s watchedSnapshots) Publish(list []host.Published) error {
	err := s.Snapshots.Publish(list)
	if err == nil {
		s.published.Store(time.Now().UnixNano())
	}
	return err
}
