package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/internal/cli"
)

// runLine runs a command line of holdfast.
func runLine(t *testing.T, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, messages bytes.Buffer
	code = cli.Run(t.Context(), cli.Process{
		Arguments: arguments, Getenv: func(string) string { return "" }, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &messages,
	}, benchCommand())
	return code, out.String(), messages.String()
}

func TestBenchIsACommand(t *testing.T) {
	code, stdout, stderr := runLine(t, "bench", "--help")
	if code != 0 || !strings.Contains(stdout, "--workload") || !strings.Contains(stdout, "--concurrency") {
		t.Errorf("got exit code %d, %q and %q", code, stdout, stderr)
	}
}

// TestBenchTellsMistakesFromFailures: exit code 2 for a command line that makes
// no sense, 1 for what did not work.
func TestBenchTellsMistakesFromFailures(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		arguments string
		code      int
		says      string
	}{
		{"bench --workload dance", 2, `names "dance"`},
		{"bench --concurrency 0", 2, `--concurrency has "0"`},
		{"bench --dance", 2, "unknown flag: --dance"},
		{"bench now", 2, `"now" is too much`},
		{"--json bench --keys -1", 2, `{"error":{"code":"invalid_argument"`},
		{"bench --data " + file + "/x", 1, "make the directory for the log"},
	} {
		code, stdout, stderr := runLine(t, strings.Fields(c.arguments)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: got exit code %d, %q and %q, want %d and %q", c.arguments, code, stdout, stderr, c.code, c.says)
		}
	}
}
