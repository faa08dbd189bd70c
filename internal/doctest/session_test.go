package doctest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// printedAddress is where the servers of the documents listen.
const printedAddress = "127.0.0.1:7070"

// startMax bounds how long a server takes to be ready, on a slow machine.
const startMax = 20 * time.Second

// parseCurl turns the arguments of curl into a request, with curl's defaults.
func parseCurl(words []string) (*http.Request, error) {
	method, body, target := "", "", ""
	header := http.Header{}
	for i := 0; i < len(words); i++ {
		if flag := words[i]; !strings.HasPrefix(flag, "-") {
			target = flag
			continue
		}
		if i+1 == len(words) {
			return nil, fmt.Errorf("curl %s lacks a value", words[i])
		}
		switch value := words[i+1]; words[i] {
		case "-X":
			method = value
		case "-d":
			body = value
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		case "-H":
			name, text, _ := strings.Cut(value, ":")
			header.Set(name, strings.TrimSpace(text))
		default:
			return nil, fmt.Errorf("curl %s is not known to this test", words[i])
		}
		i++
	}
	if method == "" && body != "" {
		method = http.MethodPost
	}
	parsed, err := url.Parse(target)
	if err != nil || parsed.Host != printedAddress {
		return nil, fmt.Errorf("curl asks %s, want a server at %s", target, printedAddress)
	}
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	if err == nil {
		request.Header = header
	}
	return request, err
}

// TestSessionsOfTheDocumentsRun serves the program of each document and runs
// its console blocks against it. Between two blocks the server is killed with
// SIGKILL and started again on the same data.
func TestSessionsOfTheDocumentsRun(t *testing.T) {
	sessions := map[string][]block{}
	all := documents(t)
	for _, b := range all {
		if b.language == "console" {
			sessions[b.document] = append(sessions[b.document], b)
		}
	}
	if len(sessions) == 0 {
		t.Fatal("found no session, want some")
	}
	for document, session := range sessions {
		t.Run(document, func(t *testing.T) {
			program, data := buildProgram(t, document, all), t.TempDir()
			for _, b := range session {
				runSession(t, program, data, b)
			}
		})
	}
}

func runSession(t *testing.T, program, data string, b block) {
	list, err := commands(b)
	if err != nil {
		t.Fatal(err)
	}
	server := startServer(t, program, data)
	defer server.kill()
	for _, c := range list {
		if c.words[0] != "curl" {
			t.Errorf("%s: a session runs curl only, got %q", c.place, c.words)
			continue
		}
		got, err := server.curl(c.words[1:])
		if want := strings.TrimSpace(c.output); err != nil || strings.TrimSpace(got) != want {
			t.Errorf("%s: got %q %v, want %q", c.place, got, err, want)
		}
	}
}

// buildProgram builds the first server of a document, or the counter if it has
// none.
func buildProgram(t *testing.T, document string, all []block) (file string) {
	t.Helper()
	var own []block
	for _, b := range all {
		if b.document == document && b.language == "go" && strings.Contains(b.text, "server.Main") {
			own = append(own, b)
			break
		}
	}
	dir, pattern := moduleRoot(t), "./examples/counter"
	if len(own) > 0 {
		list, err := programs(own)
		if err != nil {
			t.Fatal(err)
		}
		dir, pattern = newModule(t, list), "./"+list[0].dir
	}
	file = filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", file, pattern)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program of %s: %v\n%s", document, err, out)
	}
	return file
}

// runningServer is a server in a process of its own.
type runningServer struct {
	process *exec.Cmd
	address string
	log     logBuffer
}

// logBuffer takes the log of another process.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// freeAddress finds an address of this machine where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func startServer(t *testing.T, program, data string) *runningServer {
	t.Helper()
	s := &runningServer{address: freeAddress(t)}
	s.process = exec.Command(program, "serve", "--data", data, "--listen", s.address)
	s.process.Stdout, s.process.Stderr, s.process.Env = &s.log, &s.log, os.Environ()
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); time.Since(begun) < startMax; time.Sleep(5 * time.Millisecond) { // it is another process
		response, err := http.Get("http://" + s.address + "/readyz")
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return s
		}
	}
	s.kill()
	t.Fatalf("the server was not ready after %v; its log:\n%s", startMax, s.log.String())
	return nil
}

// kill ends the process as a crash would, and waits until it is gone.
func (s *runningServer) kill() {
	_ = s.process.Process.Kill() // fails if it has ended by itself
	_ = s.process.Wait()         // says that it was killed
}

func (s *runningServer) curl(words []string) (string, error) {
	request, err := parseCurl(words)
	if err != nil {
		return "", err
	}
	request.URL.Host, request.Host = s.address, s.address
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
