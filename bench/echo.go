package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// echo is a server that answers every request with its body and does nothing
// else: what HTTP costs in any case.
type echo struct {
	server *http.Server
	base   string
	ended  chan error
}

func startEcho() (*echo, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the echo: %w", err)
	}
	e := &echo{
		server: &http.Server{Handler: http.HandlerFunc(serveEcho)},
		base:   "http://" + listener.Addr().String(),
		ended:  make(chan error, 1),
	}
	go func() { e.ended <- e.server.Serve(listener) }()
	return e, nil
}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (e *echo) close() error {
	err := e.server.Close()
	if ended := <-e.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
