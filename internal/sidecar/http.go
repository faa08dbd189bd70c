package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// streamsMax is how many requests may be under way on one connection: each call
// that waits is one.
const streamsMax = 1 << 18

// base is where the REST interface begins.
const base = "/kar/v1"

// newWeb makes the server of the REST interface: HTTP/1.1 and HTTP/2 without TLS
// on one port.
func newWeb(h http.Handler, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streamsMax},
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// routes serves everything.
func (s *Sidecar) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(w http.ResponseWriter, r *request)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+base+path, func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, h) })
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if method != "HEAD" { // GET stands for both
			handle(method+" /service/{service}/call/{path...}", s.callService)
		}
	}
	handle("POST /actor/{type}/{id}/call/{path...}", s.callActor)
	handle("DELETE /actor/{type}/{id}", s.deleteActor)
	handle("POST /await", s.await)
	s.stateRoutes(handle)
	s.reminderRoutes(handle)
	s.eventRoutes(handle)
	s.systemRoutes(handle)
	mux.Handle("GET /metrics", s.metrics.handler())
	return mux
}

// request is a request of the REST interface.
type request struct {
	*http.Request
	target remote.Target
	body   []byte
}

// handle reads what all requests have, and refuses what cannot be.
func (s *Sidecar) handle(w http.ResponseWriter, r *http.Request, h func(w http.ResponseWriter, r *request)) {
	q := &request{Request: r, target: remote.Target{App: s.config.App, Type: r.PathValue("type"), ID: r.PathValue("id")}}
	for _, name := range []string{"type", "id", "service", "key", "subkey", "reminder", "subscription", "topic"} {
		if value := r.PathValue(name); strings.Contains(value, "/") {
			http.NotFound(w, r)
			return
		}
	}
	if q.target.Type != "" {
		if err := msg.ValidKey(q.target.Key()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.BodyBytesMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("the body is larger than %d bytes", large.Limit), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	q.body = body
	h(w, q)
}

// pragma finds what the caller wants of an invocation.
func (r *request) pragma() remote.InvocationKind {
	for _, value := range r.Header.Values("Pragma") {
		switch strings.ToLower(value) {
		case "async":
			return remote.InvocationTell
		case "promise":
			return remote.InvocationPromise
		}
	}
	return remote.InvocationCall
}

// session takes the flow and the request that made this one out of the URL.
func (r *request) session() (flow, parent string) {
	flow, parent, _ = strings.Cut(r.URL.Query().Get("session"), ":")
	return flow, parent
}

func (s *Sidecar) callActor(w http.ResponseWriter, r *request) {
	s.call(w, r, remote.Invocation{Target: r.target, Path: "/" + r.PathValue("path"), ContentType: "application/kar+json"})
}

func (s *Sidecar) callService(w http.ResponseWriter, r *request) {
	path := "/" + strings.TrimPrefix(r.URL.EscapedPath(), base+"/service/"+url.PathEscape(r.PathValue("service"))+"/call/")
	query := r.URL.Query()
	query.Del("session")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	s.call(w, r, remote.Invocation{
		Target: remote.Target{App: s.config.App, Type: r.PathValue("service")}, Method: r.Method, Path: path,
		Headers: headersOf(r.Header), ContentType: r.Header.Get("Content-Type"),
	})
}

func (s *Sidecar) deleteActor(w http.ResponseWriter, r *request) {
	i := remote.Invocation{Target: r.target, Kind: remote.InvocationDelete}
	s.send(w, r, &i, "OK")
}

// call makes an invocation, by the attempt that asks for it or by nobody.
func (s *Sidecar) call(w http.ResponseWriter, r *request, i remote.Invocation) {
	i.Kind, i.Body, i.BusyTimeout = r.pragma(), r.body, s.config.BusyTimeout
	switch i.Kind {
	case remote.InvocationTell:
		s.send(w, r, &i, "OK")
		return
	case remote.InvocationPromise:
		s.send(w, r, &i, "")
		return
	}
	i.StartWithin = s.config.StartWithin
	flow, parent := r.session()
	var result *remote.Result
	var err error
	if a := s.attemptOf(parent); a != nil {
		result, err = a.call(r.Context(), &remote.Outgoing{Invocation: i})
	} else {
		i.Request, i.Flow, i.Parent = "req-"+random(), flow, parent
		if flow == "" {
			i.Flow = "flow-" + random()
		}
		if s.config.Cancel {
			i.CancelWith = s.name
		}
		result, err = s.invoke(r.Context(), &i)
	}
	s.reply(w, result, err, "failed to send message: ")
}

// attemptOf is the attempt of a request that runs here.
func (s *Sidecar) attemptOf(request string) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts[request]
}

// send makes an invocation that nobody waits for. What an attempt sends leaves
// later. The answer is a text, or if that is empty, the name of the request.
func (s *Sidecar) send(w http.ResponseWriter, r *request, i *remote.Invocation, text string) {
	i.StartWithin = s.config.StartWithin
	if i.Kind != remote.InvocationPromise {
		i.StartWithin = 0 // nobody would hear of it
	}
	_, parent := r.session()
	if a := s.attemptOf(parent); a != nil {
		if name, ok := a.later(remote.Outgoing{Invocation: *i}); ok {
			accepted(w, text, name)
			return
		}
	}
	i.Request, i.Flow, i.Parent = "req-"+random(), "flow-"+random(), parent
	result, err := s.invoke(r.Context(), i)
	if err != nil || result.Failure != "" {
		s.reply(w, result, err, "failed to send message: ")
		return
	}
	accepted(w, text, i.Request)
}

func accepted(w http.ResponseWriter, text, name string) {
	if text == "" {
		text = name
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, text)
}

// await waits for the outcome of a promise.
func (s *Sidecar) await(w http.ResponseWriter, r *request) {
	name := strings.TrimSpace(string(r.body))
	if err := msg.ValidKey(name); err != nil {
		http.Error(w, "failed to await promise: the body must be the id of a promise", http.StatusInternalServerError)
		return
	}
	_, parent := r.session()
	s.mu.Lock()
	waits := []*attempt{s.attempts[parent], s.promised[name]}
	s.mu.Unlock()
	for _, a := range waits {
		if a == nil {
			continue
		}
		if _, err := a.call(r.Context(), nil); err != nil {
			s.reply(w, nil, err, "failed to await promise: ")
			return
		}
	}
	answer, err := s.client.Ask(r.Context(), &remote.Request{Kind: remote.RequestAwait, Name: name})
	if err != nil {
		s.reply(w, nil, err, "failed to await promise: ")
		return
	}
	s.reply(w, &answer.Result, nil, "failed to await promise: ")
}

// reply passes a result on. What the system says has the prefix if it is a
// failure of the kind that KAR knows.
func (s *Sidecar) reply(w http.ResponseWriter, result *remote.Result, err error, prefix string) {
	var refused *refusal
	if errors.As(err, &refused) {
		result, err = &refused.result, nil
	}
	switch {
	case errors.Is(err, context.Canceled):
		return // the caller has gone
	case err != nil:
		s.config.Logger.Warn("a request could not be made", "error", err)
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	case result.Failure != "":
		status := int(result.Status)
		s.config.Logger.Warn("a request was refused", "status", status, "reason", result.Failure)
		if status == http.StatusServiceUnavailable {
			http.Error(w, "Service Unavailable", status)
			return
		}
		http.Error(w, prefix+result.Failure, status)
	default:
		for _, h := range result.Headers {
			w.Header().Add(h.Name, h.Value)
		}
		w.Header()["Content-Type"] = []string{result.ContentType}
		w.WriteHeader(int(result.Status))
		_, _ = w.Write(result.Body)
	}
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// writeText answers with a text.
func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// failed answers an error, and reports whether there is one.
func (s *Sidecar) failed(w http.ResponseWriter, err error) bool {
	if err != nil {
		s.reply(w, nil, err, "")
	}
	return err != nil
}
