package server

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// errorCodesMax bounds the values of the label code: codes are made by
// applications. Errors with further codes are counted as "other".
const errorCodesMax = 100

// latencySeconds are the bounds of latency histograms: 50 µs to 13 s by
// doubling, because a sync takes 50 µs on a fast disk and a patient caller ten
// seconds.
var latencySeconds = prometheus.ExponentialBuckets(50e-6, 2, 19)

var operationNames = [msg.OperationCount]string{
	msg.OperationCall:        "call",
	msg.OperationSubmit:      "submit",
	msg.OperationPeek:        "peek",
	msg.OperationInspect:     "inspect",
	msg.OperationExists:      "exists",
	msg.OperationDelete:      "delete",
	msg.OperationReminders:   "reminders",
	msg.OperationList:        "list",
	msg.OperationResult:      "result",
	msg.OperationParked:      "parked",
	msg.OperationResume:      "resume",
	msg.OperationSkip:        "skip",
	msg.OperationDeadLetters: "dead_letters",
	msg.OperationRedeliver:   "redeliver",
	msg.OperationDiscard:     "discard",
	msg.OperationDescribe:    "describe",
	msg.OperationHistory:     "history",
	msg.OperationCancel:      "cancel",
	msg.OperationTerminate:   "terminate",
	msg.OperationPause:       "pause",
	msg.OperationRestart:     "restart",
	msg.OperationResolve:     "resolve",
	msg.OperationRaise:       "raise",
	msg.OperationLocks:       "locks",
	msg.OperationRelease:     "release",
}

// metrics is what /metrics shows. It has a registry of its own, so that an
// application's metrics and ours do not meet.
type metrics struct {
	registry    *prometheus.Registry
	requestTime [len(operationNames)]prometheus.Observer
	errors      codeCounter
	httpTime    [native.RouteCount]prometheus.Observer
	http        statusCounter
	node        *nodeCollector
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), node: newNodeCollector()}
	requestTime := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "holdfast_request_duration_seconds",
		Help:    "Time from the admission of a request, over HTTP or in process, until its answer.",
		Buckets: latencySeconds,
	}, []string{"operation"})
	httpTime := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "holdfast_http_request_duration_seconds",
		Help:    "Time from the head of an HTTP request until its answer was written.",
		Buckets: latencySeconds,
	}, []string{"route"})
	m.errors.counters = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_request_errors_total",
		Help: "Requests, over HTTP or in process, that were answered with an error, by its code.",
	}, []string{"code"})
	m.http.counters = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_http_requests_total",
		Help: "HTTP requests by route and status; 499 is a client that did not wait.",
	}, []string{"route", "status"})
	for operation, name := range operationNames {
		m.requestTime[operation] = requestTime.WithLabelValues(name)
	}
	for route := range native.RouteCount {
		m.httpTime[route] = httpTime.WithLabelValues(route.String())
	}
	m.registry.MustRegister(requestTime, httpTime, m.errors.counters, m.http.counters, m.node,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// request counts a request that the gate let in.
func (m *metrics) request(operation msg.Operation, failed *msg.Error, d time.Duration) {
	m.requestTime[operation].Observe(d.Seconds())
	if failed != nil {
		m.errors.add(failed.Code)
	}
}

// httpRequest counts a request of the HTTP interface.
func (m *metrics) httpRequest(route native.Route, status int, d time.Duration) {
	m.httpTime[route].Observe(d.Seconds())
	m.http.add(route, status)
}

// statusCounter counts HTTP requests. Looking a counter up by its labels costs
// more than counting, so counters are kept by status.
type statusCounter struct {
	counters *prometheus.CounterVec
	known    [native.RouteCount][600]atomic.Pointer[prometheus.Counter]
}

func (c *statusCounter) add(route native.Route, status int) {
	if status < 0 || status >= len(c.known[route]) {
		status = 0
	}
	counter := c.known[route][status].Load()
	if counter == nil {
		made := c.counters.WithLabelValues(route.String(), strconv.Itoa(status))
		counter = &made
		c.known[route][status].Store(counter)
	}
	(*counter).Inc()
}

// codeCounter counts errors by code, for a bounded number of codes.
type codeCounter struct {
	counters *prometheus.CounterVec

	mu    sync.RWMutex
	known map[string]prometheus.Counter
}

func (c *codeCounter) add(code string) {
	c.mu.RLock()
	counter := c.known[code]
	c.mu.RUnlock()
	if counter == nil {
		counter = c.make(code)
	}
	counter.Inc()
}

func (c *codeCounter) make(code string) prometheus.Counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = make(map[string]prometheus.Counter)
	}
	if len(c.known) >= errorCodesMax {
		return c.counters.WithLabelValues("other")
	}
	counter := c.counters.WithLabelValues(code)
	c.known[code] = counter
	return counter
}
