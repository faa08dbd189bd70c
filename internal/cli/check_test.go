package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckRunsTheProgramOfTheApplication and ends as that does.
func TestCheckRunsTheProgramOfTheApplication(t *testing.T) {
	program := filepath.Join(t.TempDir(), "app")
	script := "#!/bin/sh\necho \"$@\"\ncase \"$*\" in *broken*) exit 1;; esac\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line, output string
		code         int
	}{
		{"workflow check --app " + program + " --server there:1", "workflow check --server there:1", 0},
		{"workflow check --app " + program + " --data d --json", "workflow check --data d --json", 0},
		{"workflow check --app " + program + " --data broken", "workflow check --data broken", 1},
		{"workflow check", "--app", 2},
		{"workflow check --app " + program + ".none", "no such file", 1},
	} {
		var stdout, stderr strings.Builder
		code := Run(t.Context(), Process{Arguments: strings.Fields(c.line), Getenv: func(string) string { return "" },
			Stdout: &stdout, Stderr: &stderr})
		if code != c.code || !strings.Contains(stdout.String()+stderr.String(), c.output) {
			t.Errorf("%s: exit code %d, want %d and %q: %s%s", c.line, code, c.code, c.output, &stdout, &stderr)
		}
	}
}
