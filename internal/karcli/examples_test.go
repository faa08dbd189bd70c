package karcli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Goal: the examples do what their READMEs say. Method: the commands of a README
// are run as they are, with free ports and another directory for the data; what
// is shown below a command, or in the block of text, has to be what comes out.

// readme runs the commands of a README.
type readme struct {
	t        *testing.T
	replace  *strings.Replacer
	address  string
	output   strings.Builder // of the last command
	running  sync.WaitGroup
	children []*exec.Cmd
}

func newReadme(t *testing.T, needs string) *readme {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed")
	}
	if _, err := os.Stat(needs); err != nil {
		t.Skipf("%s is not there: run npm ci in examples/kar-js", needs)
	}
	port, runtime, app := freePort(t), freePort(t), freePort(t)
	r := &readme{t: t, address: fmt.Sprintf("127.0.0.1:%d", port)}
	r.replace = strings.NewReplacer("127.0.0.1:7070", r.address, "127.0.0.1:3500", fmt.Sprintf("127.0.0.1:%d", runtime),
		"-runtime_port 3500", fmt.Sprintf("-runtime_port %d", runtime), "-app_port 8080", fmt.Sprintf("-app_port %d", app),
		"./holdfast", buildProgram(t), "--data data", "--data "+filepath.Join(t.TempDir(), "data"))
	t.Cleanup(func() {
		for _, c := range r.children {
			_ = c.Process.Signal(syscall.SIGTERM)
		}
		r.running.Wait()
	})
	return r
}

func (r *readme) run(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	for n, part := range strings.Split(string(text), "```") {
		language, block, _ := strings.Cut(part, "\n")
		if n%2 == 0 {
			continue
		}
		switch language {
		case "sh":
			for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
				r.command(line)
			}
		case "console":
			for _, shown := range strings.Split(block, "$ ")[1:] {
				line, want, _ := strings.Cut(shown, "\n")
				r.command(line)
				r.compare(line, want)
			}
		case "text":
			r.compare("the last command", block)
		}
	}
}

// command runs a command: a server or an application beside the others.
func (r *readme) command(line string) {
	r.t.Helper()
	if strings.HasPrefix(line, "go build ") || strings.HasPrefix(line, "npm ci ") {
		return // it was done
	}
	serves := strings.Contains(line, " serve ") || strings.Contains(line, "hello.js") || strings.Contains(line, "bank.js")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	if serves {
		ctx = context.Background()
	}
	c := exec.CommandContext(ctx, "bash", "-c", "exec "+r.replace.Replace(line))
	c.Dir, c.Env = "../..", append(os.Environ(), "HOLDFAST_SERVER="+r.address)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if serves {
		defer cancel()
		if err := c.Start(); err != nil {
			r.t.Fatal(err)
		}
		r.children = append(r.children, c)
		r.running.Go(func() {
			_ = c.Wait() // it is told to end
			if r.t.Failed() {
				r.t.Logf("%s:\n%s", line, out.String())
			}
		})
		r.waitFor(line)
		return
	}
	defer cancel()
	if err := c.Run(); err != nil {
		r.t.Errorf("%s: %v\n%s", line, err, out.String())
	}
	r.output.Reset()
	r.output.WriteString(out.String())
}

// waitFor waits until what a command serves is there.
func (r *readme) waitFor(line string) {
	if strings.Contains(line, " serve ") {
		eventually(r.t, "the server is ready", func() bool {
			response, err := http.Get("http://" + r.address + "/readyz")
			if err != nil {
				return false
			}
			_ = response.Body.Close()
			return response.StatusCode == 200
		})
		return
	}
	if !strings.Contains(line, " -runtime_port ") {
		return // calls wait for the application
	}
	eventually(r.t, "the REST interface is there", func() bool {
		conn, err := net.Dial("tcp", r.replace.Replace("127.0.0.1:3500"))
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// compare wants the lines at the end of what came out, without the times that the
// launcher writes.
func (r *readme) compare(what, want string) {
	r.t.Helper()
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(r.output.String()), "\n") {
		if _, after, ok := strings.Cut(line, "[STDOUT] "); ok {
			line = after
		}
		got = append(got, line)
	}
	if joined := strings.Join(got, "\n"); joined != strings.TrimSpace(want) {
		r.t.Errorf("%s: got\n%s\nwant\n%s", what, joined, want)
	}
}

func TestTheExampleWithTheSDK(t *testing.T) {
	newReadme(t, "../../examples/kar-js/node_modules/kar-sdk").run("../../examples/kar-js/README.md")
}

func TestTheExampleWithCurl(t *testing.T) {
	newReadme(t, "../../examples/kar-curl/hello.js").run("../../examples/kar-curl/README.md")
}
