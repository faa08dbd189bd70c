package karcli_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/karcli"
	"github.com/holdfast-io/holdfast/server"
)

// serve serves on a free port, for command lines in this process.
func serve(t *testing.T) (address string) {
	t.Helper()
	s, err := server.New(server.Config{WithoutApp: true, Frontends: []server.Frontend{server.KAR(server.KARConfig{})}, DataDir: t.TempDir(), Partitions: 2,
		Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
	return s.Addr()
}

// kar runs a command line to its end.
func kar(ctx context.Context, address string, arguments ...string) (code int, out, errors string) {
	var stdout, stderr bytes.Buffer
	code = karcli.Run(ctx, karcli.Process{Arguments: arguments, Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
		if name == "HOLDFAST_SERVER" {
			return address
		}
		return ""
	}})
	return code, stdout.String(), stderr.String()
}

func TestArgumentsOfKAR(t *testing.T) {
	for _, c := range []struct {
		line string
		rest string
		ok   bool
	}{
		{"/usr/bin/kar run -app a", "run -app a", true},
		{"holdfast kar run -app a", "run -app a", true},
		{"holdfast serve", "", false},
		{"holdfast", "", false},
	} {
		rest, ok := karcli.Arguments(strings.Fields(c.line))
		if ok != c.ok || strings.Join(rest, " ") != c.rest {
			t.Errorf("%s: got %v %v", c.line, rest, ok)
		}
	}
}

// TestEveryFlagOfKARIsAccepted: scripts run as they are.
func TestEveryFlagOfKARIsAccepted(t *testing.T) {
	address := serve(t)
	global := strings.Fields("-app x -kafka_brokers b -kafka_enable_tls -kafka_username u -kafka_password p -kafka_version 2.8.1 " +
		"-kafka_tls_skip_verify -kafka_topic_config a=b -redis_host h -redis_port 6379 -redis_enable_tls -redis_password p -redis_user u " +
		"-redis_tls_skip_verify -redis_ca_cert c -request_retry_limit 10s -redis_slow_op_threshold 1s -v error -config_dir d " +
		"-placement_cache=false -debug=false")
	run := strings.Fields(fmt.Sprintf("-service s -actors A,B -actor_collector_interval 10s -actor_reminder_interval 100ms "+
		"-actor_reminder_acceptable_delay 3s -app_port %d -runtime_port 0 -sidecar_mode -kubernetes_mode=false -h2c -hostname localhost "+
		"-actor_busy_timeout 2m -missing_component_timeout 2m -cancel", freePort(t)))
	code, out, errors := kar(t.Context(), address, slices.Concat([]string{"run"}, global, run, []string{"--", "sh", "-c",
		"echo $KAR_REQUEST_TIMEOUT $KAR_APP_PORT; exit 5"})...)
	if code != 5 || !strings.Contains(out, "[STDOUT] 10000 ") {
		t.Errorf("got %d\n%s\n%s", code, out, errors)
	}
	if n := strings.Count(errors, "ignored"); n != 1 || !strings.Contains(errors, "-redis_host") || !strings.Contains(errors, "-kafka_brokers") {
		t.Errorf("got %q, want one line that names what is ignored", errors)
	}
	for _, command := range [][]string{
		{"get", "-s", "actors", "-mr", "-t", "A", "-o", "json"}, {"get", "--app", "x", "--s", "sidecars"}, {"purge"}, {"drain"}, {"version"},
	} {
		if code, _, errors := kar(t.Context(), address, slices.Concat(command[:1], global, command[1:])...); code != 0 {
			t.Errorf("%v: code %d, %s", command, code, errors)
		}
	}
}

func TestWhatMakesNoSense(t *testing.T) {
	address := serve(t)
	for _, c := range []struct{ line, says string }{
		{"frobnicate", "unknown command"},
		{"run", "-app is missing"},
		{"run -app a/b", "no slash"},
		{"run -app a -actors A/B", "no slash"},
		{"run -app a -frobnicate", "not defined"},
		{"get -app a -i id", "-t is missing"},
		{"get -app a -s what", "want actors or sidecars"},
		{"invoke -app a Type", "want TYPE ID METHOD"},
		{"rest -app a GET", "want METHOD SERVICE PATH"},
		{"quarantine -app a release", "which request"},
		{"quarantine -app a what", "unknown action"},
	} {
		if code, _, errors := kar(t.Context(), address, strings.Fields(c.line)...); code != 2 || !strings.Contains(errors, c.says) {
			t.Errorf("%s: got %d %q, want 2 and %q", c.line, code, errors, c.says)
		}
	}
	if code, out, _ := kar(t.Context(), address); code != 0 || !strings.Contains(out, "quarantine") {
		t.Errorf("help: got %d %q", code, out)
	}
}

func TestWithoutAServer(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, line := range []string{"run -app a -- true", "invoke -app a T i m"} {
		code, _, errors := kar(ctx, address, strings.Fields(line)...)
		if code != 1 || !strings.Contains(errors, "no server answers at "+address) || !strings.Contains(errors, "holdfast serve --data DIR --listen "+address) {
			t.Errorf("%s: got %d %q", line, code, errors)
		}
	}
}

// TestAskingAnApplication runs an application, and asks about it.
func TestAskingAnApplication(t *testing.T) {
	address := serve(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	app := freePort(t)
	t.Setenv("KAR_DRILL_APP", "1")
	t.Setenv("KAR_DRILL_PID", t.TempDir()+"/pid")
	go func() {
		code, _, _ := kar(ctx, address, "run", "-app", "x", "-actors", "Counter", "-app_port", fmt.Sprint(app), "--", os.Args[0])
		ended <- code
	}()
	expect := func(want int, says string, arguments ...string) {
		t.Helper()
		code, out, errors := kar(t.Context(), address, arguments...)
		if code != want || !strings.Contains(out+errors, says) {
			t.Errorf("%v: got %d %q %q, want %d and %q", arguments, code, out, errors, want, says)
		}
	}
	expect(0, "Method result: 1\n", "invoke", "-app", "x", "Counter", "a", "add", "1")
	expect(0, "Method result: 2\n", "invoke", "-app", "x", "Counter", "a", "add", "text")
	expect(1, "Exception raised: no method none", "invoke", "-app", "x", "Counter", "a", "none")
	expect(1, "no component offers", "invoke", "-app", "x", "-missing_component_timeout", "50ms", "Other", "a", "none")
	expect(1, "no component offers", "rest", "-app", "x", "-missing_component_timeout", "50ms", "GET", "svc", "path")
	expect(0, "Counter: [a]\n", "get", "-app", "x")
	expect(0, `{"Counter":["a"]}`, "get", "-app", "x", "-o", "json", "-mr")
	expect(0, `{"n":2}`, "get", "-app", "x", "-t", "Counter", "-i", "a")
	expect(0, "actors [Counter]", "get", "-app", "x", "-s", "sidecars")
	expect(0, "[]", "quarantine", "-app", "x")
	expect(1, "not in quarantine", "quarantine", "-app", "x", "drop", "req-1")
	expect(0, "0 invocations", "drain", "-app", "x")
	expect(0, "1 entities", "purge", "-app", "x")
	expect(0, "{}", "get", "-app", "x", "-t", "Counter", "-i", "a")
	stop()
	select {
	case code := <-ended:
		if code != 143 {
			t.Errorf("the run ended with %d, want that of an application that was told to end", code)
		}
	case <-time.After(patience):
		t.Fatal("the run does not end")
	}
}
