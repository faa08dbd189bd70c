package karcli_test

import (
	"context"
	"fmt"
	"os"
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
