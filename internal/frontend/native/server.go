package native

import (
	"log"
	"net/http"
	"time"
)

const (
	// headerTime bounds how long the head of a request may take to arrive, so
	// that connections that send nothing do not pile up.
	headerTime = 10 * time.Second
	// idleTime is longer than what clients and proxies keep idle connections
	// for, so that the side that opened a connection is the one to close it.
	idleTime = 3 * time.Minute
	// headerBytesMax holds the longest key, escaped three for one, and 60 kB of
	// headers.
	headerBytesMax = 64 << 10
	// streamsMax bounds the requests under way on one HTTP/2 connection. Bodies
	// of that many requests at the limit are 8 GB, but each is paid for by
	// sending it.
	streamsMax = 1000
)

// NewServer makes an http.Server that takes HTTP/1.1 and HTTP/2 without TLS on
// one port. There is no timeout for a whole request, because a call may wait as
// long as its caller does.
func NewServer(h http.Handler, errorLog *log.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsMax},
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          errorLog,
	}
}
