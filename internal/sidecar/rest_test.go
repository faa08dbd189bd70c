package sidecar_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/server"
)

// transcript is a golden transcript: a line that is a request, and the lines that
// answer it.
func transcript(t *testing.T, p *process, c *http.Client, path string) string {
	t.Helper()
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, line := range strings.Split(string(script), "\n") {
		if !strings.HasPrefix(line, "> ") {
			if line == "" || strings.HasPrefix(line, "#") {
				out.WriteString(line + "\n")
			}
			continue
		}
		out.WriteString(line + "\n")
		request, body, _ := strings.Cut(strings.TrimPrefix(line, "> "), " | ")
		words := strings.Fields(request)
		var headers []string
		for _, h := range words[2:] {
			headers = append(headers, strings.Replace(h, "=", ": ", 1))
		}
		r := p.askBy(c, words[0], "/kar/v1"+words[1], body, headers...)
		fmt.Fprintf(&out, "< %d", r.status)
		if _, ok := r.header["Content-Type"]; ok {
			fmt.Fprintf(&out, " [%s]", r.contentType)
		}
		if l := r.header.Get("Location"); l != "" {
			fmt.Fprintf(&out, " Location=%s", l)
		}
		if a := r.header.Get("Allow"); a != "" {
			fmt.Fprintf(&out, " Allow=%s", a)
		}
		if len(r.body) > 0 {
			fmt.Fprintf(&out, " %s", strings.TrimSuffix(r.body, "\n"))
		}
		out.WriteString("\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func restApp() *app {
	return &app{
		methods: map[string]method{
			"echo":   func(c *call) any { return c.arguments },
			"void":   func(*call) any { return nil },
			"fail":   func(*call) any { return errors.New("kaboom") },
			"html":   func(*call) any { return raw{404, "text/html", "<p>no</p>"} },
			"text":   func(*call) any { return raw{200, "text/plain", "hello"} },
			"body":   func(c *call) any { return string(c.body) },
			"a/b":    func(*call) any { return "deep" },
			"oddity": func(*call) any { return raw{200, "application/kar+json", `{"tailCall":true,"value":{}}`} },
		},
		service: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.Path == "/missing" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Seen", "yes")
			_ = json.NewEncoder(w).Encode(map[string]string{"method": r.Method, "url": r.URL.String(), "body": string(body),
				"pragma": r.Header.Get("Pragma"), "agent": r.Header.Get("User-Agent"), "custom": r.Header.Get("X-Custom")})
		},
	}
}

// TestTheRESTInterface holds every row of KAR's REST tables, over both protocols.
// HOLDFAST_UPDATE=1 writes what is answered.
func TestTheRESTInterface(t *testing.T) {
	for name, c := range map[string]*http.Client{"http1": client, "h2c": h2c} {
		for _, path := range []string{"testdata/actors.txt", "testdata/state.txt", "testdata/reminders.txt", "testdata/events.txt", "testdata/services.txt", "testdata/system.txt"} {
			t.Run(name+"/"+filepath.Base(path), func(t *testing.T) {
				r := newRig(t, server.KARConfig{})
				p := r.join(restApp())
				defer c.CloseIdleConnections()
				got := transcript(t, p, c, path)
				if os.Getenv("HOLDFAST_UPDATE") != "" && name == "http1" {
					if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				golden, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if strings.TrimSpace(got) != strings.TrimSpace(string(golden)) {
					t.Errorf("the transcript differs:\n%s", difference(string(golden), got))
				}
			})
		}
	}
}

// difference shows the lines that differ.
func difference(want, got string) string {
	a, b := strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")
	var out strings.Builder
	for n := range max(len(a), len(b)) {
		x, y := "", ""
		if n < len(a) {
			x = a[n]
		}
		if n < len(b) {
			y = b[n]
		}
		if x != y {
			fmt.Fprintf(&out, "line %d\n  want %s\n  got  %s\n", n+1, x, y)
		}
	}
	return out.String()
}

func TestMetrics(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	p := r.join(restApp())
	p.invoke("x", "void", "[]")
	p.ask("GET", "/kar/v1/service/svc/call/p?x=1", "")
	p.ask("PUT", "/kar/v1/actor/A/x/reminders/one", `{"path":"/void","targetTime":"2125-01-02T03:04:05Z"}`)
	p.ask("PUT", "/kar/v1/actor/A/x/reminders/two", `{"path":"/void","targetTime":"2125-01-02T03:04:05Z"}`)
	p.ask("PUT", "/kar/v1/actor/A/x/reminders/two", `{"path":"/void","targetTime":"2125-01-02T03:04:05Z"}`)
	p.ask("DELETE", "/kar/v1/actor/A/x/reminders/one", "")
	got := p.ask("GET", "/metrics", "").body
	for _, line := range []string{
		`kar_user_code_invocation_durations_histogram_seconds_count{path="A:/void"} 1`,
		`kar_user_code_invocation_durations_histogram_seconds_count{path="A:activate"} 1`,
		`kar_user_code_invocation_durations_histogram_seconds_count{path="svc:/p"} 1`,
		`kar_user_code_invocation_durations_histogram_seconds_bucket{path="A:/void",le="5.12"} 1`,
		`kar_actors_active_reminders_gauge 1`,
		`kar_actors_cancelled_reminders_gauge 1`,
	} {
		if !strings.Contains(got+"\n", line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, got)
		}
	}
}
