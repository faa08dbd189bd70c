package karcli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestEverythingOfTheSDK runs an application that uses all that kar-sdk has, over
// both protocols of callbacks.
func TestEverythingOfTheSDK(t *testing.T) {
	if _, err := os.Stat("testdata/node/node_modules/kar-sdk"); err != nil {
		t.Skip("kar-sdk is not installed: run npm ci in internal/karcli/testdata/node")
	}
	for _, protocol := range []string{"", "-h2c"} {
		t.Run("callbacks"+protocol, func(t *testing.T) {
			address := serve(t)
			t.Setenv("H2C", strings.TrimPrefix(protocol, "-"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			line := fmt.Sprintf("run -app sdk -actors Thing -service svc -app_port %d %s -- node testdata/node/sdk.js", freePort(t), protocol)
			code, out, errors := kar(ctx, address, strings.Fields(line)...)
			if code != 0 || !strings.Contains(out, "[STDOUT] ok\n") {
				t.Errorf("got %d\n%s\n%s", code, out, errors)
			}
		})
	}
}

// TestClientsInOtherLanguages runs clients in Java and Python, where they are
// installed, beside an application.
func TestClientsInOtherLanguages(t *testing.T) {
	address := serve(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Setenv("KAR_DRILL_APP", "1")
	t.Setenv("KAR_DRILL_PID", t.TempDir()+"/pid")
	go func() {
		defer close(ended)
		kar(ctx, address, "run", "-app", "x", "-actors", "Counter", "-app_port", fmt.Sprint(freePort(t)), "--", os.Args[0])
	}()
	defer func() { stop(); <-ended }()
	for program, file := range map[string]string{"java": "testdata/java/Smoke.java", "python3": "testdata/python/smoke.py"} {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("%s is not installed", program)
			}
			code, out, errors := kar(t.Context(), address, "run", "-app", "x", "--", program, file)
			if code != 0 || !strings.Contains(out, "[STDOUT] ok\n") {
				t.Errorf("got %d\n%s\n%s", code, out, errors)
			}
		})
	}
}
