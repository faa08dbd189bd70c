package sidecar

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// subscriptionView is a subscription as it is shown.
type subscriptionView struct {
	Actor       actorName `json:"actor"`
	ID          string    `json:"id"`
	Path        string    `json:"path"`
	Topic       string    `json:"topic"`
	Group       string    `json:"group"`
	ContentType string    `json:"contenttype,omitempty"`
	Oldest      bool      `json:"oldestoffset"`
}

// subscriptionBody is what PUT of a subscription takes.
type subscriptionBody struct {
	Path         string `json:"path"`
	Topic        string `json:"topic"`
	ContentType  string `json:"contentType"`
	Group        string `json:"group"`
	OffsetOldest string `json:"offsetOldest"`
}

func (s *Sidecar) eventRoutes(handle routeAdder) {
	handle("PUT /event/{topic}", s.createTopic)
	handle("DELETE /event/{topic}", s.deleteTopic)
	handle("POST /event/{topic}/publish", s.publish)
	handle("PUT /actor/{type}/{id}/events/{name}", s.subscribe)
	s.listRoutes(handle, "events", remote.FieldSubscriptions, func(r *request, e *remote.Entry) (any, error) {
		var m remote.Subscription
		err := remote.Decode("Subscription", e.Value, &m)
		return subscriptionView{actorName{r.target.Type, r.target.ID}, e.Key, m.Path, m.Topic, m.Group, m.ContentType, m.Oldest}, err
	})
}

// askTopic asks about a topic, whose name must be one.
func (s *Sidecar) askTopic(w http.ResponseWriter, r *request, kind remote.RequestKind) (*remote.Answer, bool) {
	name := r.PathValue("topic")
	if err := msg.ValidKey(name); err != nil {
		http.Error(w, "topic: "+err.Error(), http.StatusBadRequest)
		return nil, false
	}
	d := direct{s, remote.Target{App: s.config.App}}
	a, err := d.ask(r.Context(), &remote.Request{Kind: kind, Name: name, Body: r.body})
	return a, !s.failed(w, err)
}

func (s *Sidecar) createTopic(w http.ResponseWriter, r *request) {
	if len(r.body) > 0 && !json.Valid(r.body) {
		http.Error(w, "the body must be a JSON object, or empty", http.StatusBadRequest)
		return
	}
	r.body = nil // how many partitions and replicas is of no meaning here
	a, ok := s.askTopic(w, r, remote.RequestTopicCreate)
	switch {
	case !ok:
	case a.Found:
		writeText(w, http.StatusOK, "Already existed")
	default:
		w.Header().Set("Location", r.URL.EscapedPath())
		writeText(w, http.StatusCreated, "Created")
	}
}

func (s *Sidecar) deleteTopic(w http.ResponseWriter, r *request) {
	if _, ok := s.askTopic(w, r, remote.RequestTopicDelete); ok {
		writeText(w, http.StatusOK, "OK")
	}
}

// publish publishes at once, or if an attempt says that it is its, later.
func (s *Sidecar) publish(w http.ResponseWriter, r *request) {
	_, parent := r.session()
	if a := s.attemptOf(parent); a != nil && msg.ValidKey(r.PathValue("topic")) == nil {
		if _, ok := a.later(remote.Outgoing{Topic: r.PathValue("topic"), Invocation: remote.Invocation{Body: r.body}}); ok {
			writeText(w, http.StatusOK, "OK")
			return
		}
	}
	if _, ok := s.askTopic(w, r, remote.RequestPublish); ok {
		writeText(w, http.StatusOK, "OK")
	}
}

func (s *Sidecar) subscribe(w http.ResponseWriter, r *request) {
	var b subscriptionBody
	err := json.Unmarshal(r.body, &b)
	if err == nil && msg.ValidKey(b.Topic) != nil {
		err = fmt.Errorf("topic %q is no name", b.Topic)
	}
	if err != nil {
		http.Error(w, "the body must be a JSON object with path and topic, and maybe contentType, group and offsetOldest: "+err.Error(), http.StatusBadRequest)
		return
	}
	m := remote.Subscription{Path: withSlash(b.Path), Topic: b.Topic, ContentType: b.ContentType, Group: cmp.Or(b.Group, r.PathValue("name")), Oldest: b.OffsetOldest == "true"}
	s.put(w, r, remote.FieldSubscriptions, remote.Append(nil, &m))
}

func (s *Sidecar) systemRoutes(handle routeAdder) {
	handle("GET /system/health", func(w http.ResponseWriter, _ *request) { writeText(w, http.StatusOK, "OK") })
	handle("POST /system/shutdown", func(w http.ResponseWriter, _ *request) {
		writeText(w, http.StatusOK, "OK")
		_ = http.NewResponseController(w).Flush()
		s.once.Do(func() { time.AfterFunc(10*time.Millisecond, func() { close(s.shutdown) }) })
	})
	handle("GET /system/information/{what}", s.information)
}

func (s *Sidecar) information(w http.ResponseWriter, r *request) {
	var value any
	what := r.PathValue("what")
	switch what {
	case "id":
		value = map[string]string{"id": s.name}
	case "sidecar_actors":
		value = s.activeHere()
	case "sidecars", "actors":
		kind := remote.RequestSidecars
		if what == "actors" {
			kind = remote.RequestActors
		}
		d := direct{s, remote.Target{App: s.config.App}}
		a, err := d.ask(r.Context(), &remote.Request{Kind: kind})
		if s.failed(w, err) {
			return
		}
		value = json.RawMessage(a.Result.Body)
	default:
		http.Error(w, "Invalid information query: "+what, http.StatusBadRequest)
		return
	}
	if r.Header.Get("Accept") == "application/json" {
		writeJSON(w, value)
		return
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if !s.failed(w, err) {
		writeText(w, http.StatusOK, string(text)+"\n")
	}
}

// activeHere are the actors that have an instance in the application: ids by
// type.
func (s *Sidecar) activeHere() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string][]string{}
	for _, a := range s.actors {
		if a.active {
			found[a.target.Type] = append(found[a.target.Type], a.target.ID)
		}
	}
	for _, ids := range found {
		slices.Sort(ids)
	}
	return found
}

// metrics are those of the process, by the names that KAR has given them.
type metrics struct {
	registry  *prometheus.Registry
	durations *prometheus.HistogramVec
	active    prometheus.Gauge // reminders
	cancelled prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "kar_user_code_invocation_durations_histogram_seconds",
		Help:    "How long the application took, by what was asked of it.",
		Buckets: prometheus.ExponentialBuckets(0.010, 2, 10),
	}, []string{"path"}),
		active:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "kar_actors_active_reminders_gauge", Help: "Reminders that were set through this process, less those that were cancelled through it."}),
		cancelled: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kar_actors_cancelled_reminders_gauge", Help: "Reminders that were cancelled through this process."}),
	}
	m.registry.MustRegister(m.durations, m.active, m.cancelled)
	return m
}

// reminders counts reminders that were set and cancelled.
func (m *metrics) reminders(changes []remote.Change, counts []uint64) {
	for n, c := range changes {
		switch {
		case c.Field != remote.FieldReminders:
		case c.Kind == remote.ChangePut:
			m.active.Add(1 - float64(counts[n]))
		default:
			m.active.Sub(float64(counts[n]))
			m.cancelled.Add(float64(counts[n]))
		}
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) observe(path string, d time.Duration) {
	m.durations.WithLabelValues(path).Observe(d.Seconds())
}
