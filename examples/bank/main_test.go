package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheProgramIsTheDrillAndTheServer builds the program and runs it as people
// do: it has to find itself to start the server.
func TestTheProgramIsTheDrillAndTheServer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bank")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	for _, c := range []struct {
		arguments []string
		says      string
	}{
		{[]string{"drill", "--duration", "300ms", "--kills", "1", "--accounts", "20"}, "drill: ok transfers="},
		{[]string{"help"}, "bank [drill] [flags]"},
		{[]string{"version"}, "bank "},
		{[]string{"serve", "--help"}, "-listen"},
	} {
		output, err := exec.CommandContext(t.Context(), program, c.arguments...).Output()
		if err != nil || !strings.Contains(string(output), c.says) {
			t.Errorf("bank %v: error %v and %q, want %q", c.arguments, err, output, c.says)
		}
	}
}
