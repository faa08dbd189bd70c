package native

import (
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Defaults of Config.
const (
	BodyBytesMaxDefault = 8 << 20
	WaitMaxDefault      = 5 * time.Minute
)

// Config is what a Handler is made of.
type Config struct {
	Door         Door
	Metrics      http.Handler                                   // of /metrics; nil: there is none
	Observe      func(route Route, status int, d time.Duration) // told every request; nil: nobody is
	BodyBytesMax int64                                          // of a request; 0: 8 MiB
	WaitMax      time.Duration                                  // longest ?wait=; 0: 5 minutes
	Now          func() time.Time                               // nil: the wall clock
	Version      string                                         // of the program, for /openapi.json
}

// Handler serves the HTTP interface. It is safe for concurrent use.
type Handler struct {
	door         Door
	metrics      http.Handler
	observe      func(route Route, status int, d time.Duration)
	bodyBytesMax int64
	waitMax      time.Duration
	now          func() time.Time
	version      string
	crossOrigin  *http.CrossOriginProtection
}

var _ http.Handler = (*Handler)(nil)

// New makes a Handler.
func New(c Config) *Handler {
	h := &Handler{
		door:         c.Door,
		metrics:      c.Metrics,
		observe:      c.Observe,
		bodyBytesMax: c.BodyBytesMax,
		waitMax:      c.WaitMax,
		now:          c.Now,
		version:      c.Version,
		crossOrigin:  http.NewCrossOriginProtection(),
	}
	if h.bodyBytesMax == 0 {
		h.bodyBytesMax = BodyBytesMaxDefault
	}
	if h.waitMax == 0 {
		h.waitMax = WaitMaxDefault
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.observe == nil {
		h.observe = func(Route, int, time.Duration) {}
	}
	return h
}

// Route says which part of the interface a request was for. Metrics have it as
// a label.
type Route uint8

// The routes.
const (
	RouteOther Route = iota
	RouteCall
	RoutePeek
	RouteSubmit
	RouteInspect
	RouteExists
	RouteDelete
	RouteList
	RouteReminders
	RouteInvocation
	RouteStart
	RouteDescribe
	RouteHistory
	RouteRuns
	RouteSignal
	RouteQuery
	RouteControl
	RoutePromise
	RouteEvent
	RouteOperator
	RouteHealth
	RouteMetrics
	RouteOpenAPI
	RouteCount // number of routes
)

var routeNames = [RouteCount]string{
	"other", "call", "peek", "submit", "inspect", "exists", "delete", "list",
	"reminders", "invocation", "start", "describe", "history", "runs", "signal", "query",
	"control", "promise", "event", "operator", "health", "metrics", "openapi",
}

func (r Route) String() string { return routeNames[r] }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := h.now()
	route, status := h.serve(w, r)
	if r.Context().Err() != nil {
		status = statusClientClosed
	}
	h.observe(route, status, h.now().Sub(began))
}

// statusClientClosed is what metrics say of a client that did not wait.
const statusClientClosed = 499

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (Route, int) {
	if err := h.refuseCrossOrigin(r); err != nil {
		return RouteOther, writeError(w, err)
	}
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, "/v1/entities/"); ok {
		return h.serveEntities(w, r, cutPath(rest))
	}
	if rest, ok := strings.CutPrefix(path, "/v1/workflows/"); ok {
		return h.serveWorkflows(w, r, cutPath(rest))
	}
	if rest, ok := strings.CutPrefix(path, "/v1/promises/"); ok {
		return RoutePromise, h.servePromise(w, r, cutPath(rest))
	}
	if rest, ok := strings.CutPrefix(path, "/v1/invocations/"); ok {
		return RouteInvocation, h.serveInvocation(w, r, cutPath(rest))
	}
	if rest, ok := strings.CutPrefix(path, "/v1/events/"); ok {
		return RouteEvent, h.serveEvent(w, r, cutPath(rest))
	}
	return h.serveOperator(w, r, path)
}

// serveOperator answers what operators ask about what has stopped or waits.
func (h *Handler) serveOperator(w http.ResponseWriter, r *http.Request, path string) (Route, int) {
	if path == "/v1/locks" {
		return RouteOperator, h.listLocks(w, r)
	}
	if rest, ok := strings.CutPrefix(path, "/v1/locks/"); ok {
		return RouteOperator, h.serveLock(w, r, cutPath(rest))
	}
	if path == "/v1/parked" {
		return RouteOperator, h.listParked(w, r)
	}
	if rest, ok := strings.CutPrefix(path, "/v1/parked/"); ok {
		return RouteOperator, h.serveParked(w, r, cutPath(rest))
	}
	if path == "/v1/dead-letters" {
		return RouteOperator, h.listDeadLetters(w, r)
	}
	if rest, ok := strings.CutPrefix(path, "/v1/dead-letters/"); ok {
		return RouteOperator, h.serveDeadLetter(w, r, cutPath(rest))
	}
	return h.serveProcess(w, r, path)
}

// serveProcess answers what is asked about the process and not about entities.
func (h *Handler) serveProcess(w http.ResponseWriter, r *http.Request, path string) (Route, int) {
	switch {
	case path == "/healthz":
		return RouteHealth, h.serveHealth(w, r)
	case path == "/readyz":
		return RouteHealth, h.serveReady(w, r)
	case path == "/openapi.json":
		return RouteOpenAPI, h.serveOpenAPI(w, r)
	case path == "/metrics" && h.metrics != nil:
		return RouteMetrics, h.serveMetrics(w, r)
	case strings.HasPrefix(path, "/v1/namespaces/"):
		return RouteOther, writeError(w, notFound("namespaces are reserved: leave out /namespaces/{namespace}"))
	default:
		return RouteOther, writeError(w, unknownPath(path))
	}
}

// refuseCrossOrigin keeps web pages of other origins from changing anything: a
// browser lets any page post to a server on the user's own machine.
func (h *Handler) refuseCrossOrigin(r *http.Request) *msg.Error {
	if r.Header["Sec-Fetch-Site"] == nil && r.Header["Origin"] == nil {
		return nil
	}
	if err := h.crossOrigin.Check(r); err != nil {
		return denied("%v: only pages of this server may send this request", err)
	}
	return nil
}
