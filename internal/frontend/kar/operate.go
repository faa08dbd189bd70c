package kar

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/kar"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// This file answers what people ask about applications.

// sidecar is a process, as KAR describes it.
type sidecar struct {
	Port     uint32   `json:"port"`
	Actors   []string `json:"actors"`
	Services []string `json:"services"`
}

// sidecars are the processes of an application, by session.
func (f *Frontend) sidecars(app string) map[string]sidecar {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[string]sidecar{}
	for name, c := range f.sessions {
		if c.hello.App != app {
			continue
		}
		services := c.hello.Services
		if len(services) == 0 {
			services = []string{"kar.none"}
		}
		found[name] = sidecar{Port: c.hello.Port, Actors: append([]string{}, c.hello.Types...), Services: services}
	}
	return found
}

// active are the actors of an application that are active in a process: ids by
// type.
func (f *Frontend) active(app, kind string) map[string][]string {
	f.mu.Lock()
	keys := make([]string, 0, len(f.placed))
	for key := range f.placed {
		keys = append(keys, key)
	}
	f.mu.Unlock()
	return idsByType(keys, app, kind)
}

// idsByType picks the actors of an application, and of a type if one is given.
func idsByType(keys []string, app, kind string) map[string][]string {
	slices.Sort(keys)
	found := map[string][]string{}
	for _, key := range keys {
		t, err := remote.ParseActor(key)
		if err == nil && t.App == app && (kind == "" || t.Type == kind) {
			found[t.Type] = append(found[t.Type], t.ID)
		}
	}
	return found
}

// instances are all actors of an application that the server knows.
func (f *Frontend) instances(app, kind string) map[string][]string {
	return idsByType(f.keys(kar.KindActor, app), app, kind)
}

// pageKeys is how many keys are asked for at once.
const pageKeys = 1000

// keys are those of a kind that belong to an application.
func (f *Frontend) keys(kind, app string) (found []string) {
	prefix := app + "/"
	for after := ""; ; {
		reply := f.ask(context.Background(), &msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: kind}, After: after, Limit: pageKeys})
		for _, key := range reply.Keys {
			if strings.HasPrefix(key, prefix) {
				found = append(found, key)
			}
		}
		if len(reply.Keys) < pageKeys || reply.Err != nil {
			return found
		}
		after = reply.Keys[len(reply.Keys)-1]
	}
}

// everywhere asks every entity of an application the same, and adds up what they
// count: what was forgotten, or how many entities there were.
func (f *Frontend) everywhere(app, handler string) (count uint64) {
	kinds := []string{kar.KindActor}
	if handler == kar.HandlerPurge {
		kinds = append(kinds, kar.KindService)
	}
	for _, kind := range kinds {
		for _, key := range f.keys(kind, app) {
			reply := f.ask(context.Background(), &msg.Request{Operation: msg.OperationCall, Target: msg.Ref{Kind: kind, Key: key}, Handler: handler})
			var a remote.Answer
			if reply.Err == nil && remote.Decode("Answer", reply.Payload.Body, &a) == nil {
				count += a.Count
			}
			if handler == kar.HandlerPurge {
				count++
			}
		}
	}
	return count
}

// quarantined describes an invocation in quarantine.
type quarantined struct {
	Request  string    `json:"request"`
	Target   string    `json:"target"`
	Path     string    `json:"path"`
	Attempts uint32    `json:"attempts"`
	Since    time.Time `json:"since"`
}

func (f *Frontend) inQuarantine(app string) []quarantined {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := []quarantined{}
	for name, q := range f.quarantined {
		if q.invocation.Target.App == app {
			found = append(found, quarantined{name, q.invocation.Target.String(), q.invocation.Path, q.attempts, q.since})
		}
	}
	slices.SortFunc(found, func(a, b quarantined) int { return strings.Compare(a.Request, b.Request) })
	return found
}

// decide lets an invocation in quarantine be attempted again, or gives it up. It
// reports whether there is one of that name.
func (f *Frontend) decide(request string, again bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.quarantined[request]
	if q == nil {
		return false
	}
	select {
	case q.decided <- again:
	default: // it was decided a moment ago
	}
	f.wake()
	return true
}
