package sidecar

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// routeAdder adds a route: a method and a path below base.
type routeAdder func(pattern string, h func(w http.ResponseWriter, r *request))

// stateRoutes serves the state of actors.
func (s *Sidecar) stateRoutes(handle routeAdder) {
	handle("GET /actor/{type}/{id}/state", s.getState)
	handle("DELETE /actor/{type}/{id}/state", s.deleteState)
	handle("POST /actor/{type}/{id}/state", s.updateState)
	handle("POST /actor/{type}/{id}/state/{key}", s.operateSubmap)
	for _, path := range []string{"/actor/{type}/{id}/state/{key}", "/actor/{type}/{id}/state/{key}/{subkey}"} {
		handle("GET "+path, s.getEntry)
		handle("PUT "+path, s.putEntry)
		handle("DELETE "+path, s.deleteEntry)
	}
}

// place is the field and the key of an entry of the state.
func (r *request) place() (field, key string) {
	if sub := r.PathValue("subkey"); sub != "" {
		return remote.FieldSubmap + r.PathValue("key"), sub
	}
	return remote.FieldState, r.PathValue("key")
}

// rawMap renders stored values as they are. What is no JSON, which PUT does not
// look at, becomes a string.
type rawMap map[string]any

func rawValue(value []byte) any {
	if json.Valid(value) {
		return json.RawMessage(value)
	}
	return string(value)
}

func (s *Sidecar) getState(w http.ResponseWriter, r *request) {
	entries, err := s.storeOf(r.target, remote.FieldState).all(r.Context())
	if s.failed(w, err) {
		return
	}
	writeJSON(w, stateOf(entries))
}

// stateOf is a whole state. A submap hides an entry of the same name.
func stateOf(entries []remote.Entry) rawMap {
	state := rawMap{}
	for _, e := range entries {
		if e.Field == remote.FieldState {
			state[e.Key] = rawValue(e.Value)
		}
	}
	for _, e := range entries {
		if e.Field == remote.FieldState {
			continue
		}
		name := e.Field[len(remote.FieldSubmap):]
		sub, ok := state[name].(rawMap)
		if !ok {
			sub = rawMap{}
			state[name] = sub
		}
		sub[e.Key] = rawValue(e.Value)
	}
	return state
}

func (s *Sidecar) deleteState(w http.ResponseWriter, r *request) {
	counts, err := s.storeOf(r.target, remote.FieldState).change(r.Context(), remote.Change{Kind: remote.ChangeReset})
	if s.failed(w, err) {
		return
	}
	writeText(w, http.StatusOK, fmt.Sprint(min(counts[0], 1)))
}

// update is what POST of a state takes.
type update struct {
	Updates        map[string]json.RawMessage            `json:"updates"`
	Removals       []string                              `json:"removals"`
	SubmapUpdates  map[string]map[string]json.RawMessage `json:"submapupdates"`
	SubmapRemovals map[string][]string                   `json:"submapremovals"`
}

func (s *Sidecar) updateState(w http.ResponseWriter, r *request) {
	var u update
	if err := json.Unmarshal(r.body, &u); err != nil {
		http.Error(w, "the body must be a JSON object with updates, removals, submapupdates and submapremovals: "+err.Error(), http.StatusBadRequest)
		return
	}
	changes := u.changes()
	counts, err := s.storeOf(r.target, remote.FieldState).change(r.Context(), changes...)
	if s.failed(w, err) {
		return
	}
	var removed, added uint64
	for n, count := range counts {
		if changes[n].Kind == remote.ChangeRemove {
			removed += count
		} else {
			added += 1 - count
		}
	}
	writeJSON(w, struct {
		Removed uint64 `json:"removed"`
		Added   uint64 `json:"added"`
	}{removed, added})
}

// changes are those of an update: removals come first.
func (u *update) changes() (list []remote.Change) {
	for _, key := range u.Removals {
		list = append(list, remote.Change{Kind: remote.ChangeRemove, Field: remote.FieldState, Key: key})
	}
	for _, name := range sortedKeys(u.SubmapRemovals) {
		for _, key := range u.SubmapRemovals[name] {
			list = append(list, remote.Change{Kind: remote.ChangeRemove, Field: remote.FieldSubmap + name, Key: key})
		}
	}
	for _, key := range sortedKeys(u.Updates) {
		list = append(list, remote.Change{Kind: remote.ChangePut, Field: remote.FieldState, Key: key, Value: u.Updates[key]})
	}
	for _, name := range sortedKeys(u.SubmapUpdates) {
		for _, key := range sortedKeys(u.SubmapUpdates[name]) {
			list = append(list, remote.Change{Kind: remote.ChangePut, Field: remote.FieldSubmap + name, Key: key, Value: u.SubmapUpdates[name][key]})
		}
	}
	return list
}

func (r *request) nilOnAbsent() bool { return r.URL.Query().Get("nilOnAbsent") == "true" }

func (s *Sidecar) getEntry(w http.ResponseWriter, r *request) {
	field, key := r.place()
	value, found, err := s.storeOf(r.target, field).entry(r.Context(), field, key)
	switch {
	case s.failed(w, err):
	case found:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(value)
	case r.nilOnAbsent():
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusOK)
	default:
		http.Error(w, "Not Found", http.StatusNotFound)
	}
}

func (s *Sidecar) putEntry(w http.ResponseWriter, r *request) {
	field, key := r.place()
	counts, err := s.storeOf(r.target, field).change(r.Context(), remote.Change{Kind: remote.ChangePut, Field: field, Key: key, Value: r.body})
	switch {
	case s.failed(w, err):
	case counts[0] > 0:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Location", r.URL.EscapedPath())
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *Sidecar) deleteEntry(w http.ResponseWriter, r *request) {
	field, key := r.place()
	counts, err := s.storeOf(r.target, field).change(r.Context(), remote.Change{Kind: remote.ChangeRemove, Field: field, Key: key})
	if !s.failed(w, err) {
		writeText(w, http.StatusOK, fmt.Sprint(counts[0]))
	}
}

func (s *Sidecar) operateSubmap(w http.ResponseWriter, r *request) {
	var op struct {
		Op string `json:"op"`
	}
	if err := json.Unmarshal(r.body, &op); err != nil {
		http.Error(w, `the body must be a JSON object such as {"op":"keys"}: `+err.Error(), http.StatusBadRequest)
		return
	}
	field := remote.FieldSubmap + r.PathValue("key")
	store := s.storeOf(r.target, field)
	if op.Op == "clear" {
		counts, err := store.change(r.Context(), remote.Change{Kind: remote.ChangeClear, Field: field})
		if !s.failed(w, err) {
			writeJSON(w, counts[0])
		}
		return
	}
	entries, err := store.entries(r.Context(), field)
	if s.failed(w, err) {
		return
	}
	keys, values := []string{}, rawMap{}
	for _, e := range entries {
		keys = append(keys, e.Key)
		values[e.Key] = rawValue(e.Value)
	}
	switch op.Op {
	case "get":
		writeJSON(w, values)
	case "keys":
		writeJSON(w, keys)
	case "size":
		writeJSON(w, len(keys))
	default:
		http.Error(w, fmt.Sprintf("unknown operation %q: want get, keys, size or clear", op.Op), http.StatusBadRequest)
	}
}

// actorName is an actor as reminders and subscriptions show it.
type actorName struct {
	Type string
	ID   string
}

// reminderView is a reminder as it is shown.
type reminderView struct {
	Actor       actorName     `json:"Actor"`
	ID          string        `json:"id"`
	Path        string        `json:"path"`
	TargetTime  time.Time     `json:"targetTime"`
	Period      time.Duration `json:"period,omitempty"`
	EncodedData string        `json:"encodedData,omitempty"`
}

// reminderBody is what PUT of a reminder takes.
type reminderBody struct {
	Path       string          `json:"path"`
	TargetTime time.Time       `json:"targetTime"`
	Period     string          `json:"period"`
	Data       json.RawMessage `json:"data"`
}

func (s *Sidecar) reminderRoutes(handle routeAdder) {
	handle("PUT /actor/{type}/{id}/reminders/{name}", s.putReminder)
	s.listRoutes(handle, "reminders", remote.FieldReminders, func(r *request, e *remote.Entry) (any, error) {
		var m remote.Reminder
		err := remote.Decode("Reminder", e.Value, &m)
		return reminderView{actorName{r.target.Type, r.target.ID}, e.Key, m.Path, m.Due.Std(), m.Period, string(m.Data)}, err
	})
}

func (s *Sidecar) putReminder(w http.ResponseWriter, r *request) {
	var b reminderBody
	if err := json.Unmarshal(r.body, &b); err != nil {
		http.Error(w, `the body must be a JSON object with path, targetTime (RFC 3339), and maybe period and data: `+err.Error(), http.StatusBadRequest)
		return
	}
	m := remote.Reminder{Path: withSlash(b.Path), Due: msg.TimeOf(b.TargetTime), Data: b.Data}
	if b.TargetTime.IsZero() || b.TargetTime.Year() < 1970 {
		m.Due = 1
	}
	if b.Period != "" {
		period, err := time.ParseDuration(b.Period)
		if err != nil || period < 0 {
			http.Error(w, fmt.Sprintf("period %q is no duration such as 5s", b.Period), http.StatusBadRequest)
			return
		}
		m.Period = period
	}
	s.put(w, r, remote.FieldReminders, remote.Append(nil, &m))
}

func withSlash(path string) string {
	if path == "" || path[0] != '/' {
		return "/" + path
	}
	return path
}

// put stores something that has a name: 204 if it is new, 200 if it replaces.
func (s *Sidecar) put(w http.ResponseWriter, r *request, field string, value []byte) {
	counts, err := s.change(r, remote.Change{Kind: remote.ChangePut, Field: field, Key: r.PathValue("name"), Value: value})
	switch {
	case s.failed(w, err):
	case counts[0] > 0:
		writeText(w, http.StatusOK, "OK")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// change makes one change of reminders or subscriptions.
func (s *Sidecar) change(r *request, c remote.Change) (counts []uint64, err error) {
	counts, err = s.storeOf(r.target, c.Field).change(r.Context(), c)
	if err == nil {
		s.metrics.reminders([]remote.Change{c}, counts)
	}
	return counts, err
}

// listRoutes serves what an actor has under names, except for storing it.
func (s *Sidecar) listRoutes(handle routeAdder, resource, field string, view func(r *request, e *remote.Entry) (any, error)) {
	path := "/actor/{type}/{id}/" + resource
	handle("GET "+path, func(w http.ResponseWriter, r *request) {
		entries, err := s.storeOf(r.target, field).entries(r.Context(), field)
		list := []any{}
		for n := range entries {
			v, failed := view(r, &entries[n])
			if err == nil {
				err = failed
			}
			list = append(list, v)
		}
		if !s.failed(w, err) {
			writeJSON(w, list)
		}
	})
	handle("DELETE "+path, func(w http.ResponseWriter, r *request) {
		counts, err := s.change(r, remote.Change{Kind: remote.ChangeClear, Field: field})
		if !s.failed(w, err) {
			writeText(w, http.StatusOK, fmt.Sprint(counts[0]))
		}
	})
	handle("GET "+path+"/{name}", func(w http.ResponseWriter, r *request) {
		value, found, err := s.storeOf(r.target, field).entry(r.Context(), field, r.PathValue("name"))
		switch {
		case s.failed(w, err):
		case found:
			v, err := view(r, &remote.Entry{Field: field, Key: r.PathValue("name"), Value: value})
			if !s.failed(w, err) {
				writeJSON(w, v)
			}
		case r.nilOnAbsent():
			writeJSON(w, nil)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	handle("DELETE "+path+"/{name}", func(w http.ResponseWriter, r *request) {
		counts, err := s.change(r, remote.Change{Kind: remote.ChangeRemove, Field: field, Key: r.PathValue("name")})
		switch {
		case s.failed(w, err):
		case counts[0] > 0 || r.nilOnAbsent():
			writeText(w, http.StatusOK, fmt.Sprint(counts[0]))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
}
