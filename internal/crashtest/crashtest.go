package crashtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// The environment of a process that serves.
const (
	dataVariable   = "HOLDFAST_CRASHTEST_DATA"
	listenVariable = "HOLDFAST_CRASHTEST_LISTEN"
)

// patience is how long a test waits for what must happen: far more than it
// takes on a busy machine.
const patience = 60 * time.Second

// aliveMax is how long a process may work on what it was given until it is
// killed. An fdatasync takes 0.1 to 1 ms: that is some tens of frames, and most
// kills find work that has begun and has not ended.
const aliveMax = 20 * time.Millisecond

// Main is what TestMain of a package calls that uses Start. In a process that
// Start has begun it serves the app, and in the others it runs the tests.
func Main(m *testing.M, app *holdfast.App) {
	if os.Getenv(dataVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := server.New(server.Config{
		App: app, DataDir: os.Getenv(dataVariable), Listen: os.Getenv(listenVariable), Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		go func() { // the parent closes the pipe when it ends, however it ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		go func() {
			<-s.Ready()
			fmt.Println(s.Addr())
		}()
		err = s.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Server is an application that is served, by one process after the other.
type Server struct {
	t       *testing.T
	dir     string
	address string
	process *exec.Cmd
	random  *rand.Rand
}

// Start serves the app that the package's TestMain gives to Main.
func Start(t *testing.T, seed uint64) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), address: "127.0.0.1:0", random: rand.New(rand.NewPCG(seed, 1))}
	s.begin()
	t.Cleanup(s.end)
	return s
}

func (s *Server) begin() {
	s.t.Helper()
	s.process = exec.Command(os.Args[0])
	s.process.Env = append(os.Environ(), dataVariable+"="+s.dir, listenVariable+"="+s.address)
	s.process.Stderr = os.Stderr
	_, errInput := s.process.StdinPipe()
	output, err := s.process.StdoutPipe()
	if err != nil || errInput != nil {
		s.t.Fatal(err, errInput)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	var address string
	if _, err := fmt.Fscanln(output, &address); err != nil {
		s.end()
		s.t.Fatalf("the process does not serve: %v", err)
	}
	if s.address != address { // the first time; clients may be reading it after that
		s.address = address
	}
}

// end kills the process and waits for its end.
func (s *Server) end() {
	_ = s.process.Process.Kill() // fails if it has ended by itself, which begin reports
	_ = s.process.Wait()         // says that it was killed
}

// Kill kills the process and starts another on the same data.
func (s *Server) Kill() {
	s.t.Helper()
	s.end()
	s.begin()
}

// Client is a client that goes on when the process is killed.
func (s *Server) Client() *holdfast.ClientContext {
	return holdfast.Dial("http://" + s.address).With(s.t.Context())
}

// Survive gives the process work again and again, and kills it each time while it
// is at it, after a random time. Then it waits, see Wait.
func (s *Server) Survive(kills int, work func(n int), what string, is func() bool) {
	s.t.Helper()
	for n := range kills {
		work(n)
		<-time.After(time.Duration(s.random.Int64N(int64(aliveMax))))
		s.Kill()
	}
	s.Wait(what, is)
}

// Wait waits until something is so.
func (s *Server) Wait(what string, is func() bool) {
	s.t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); !is(); <-poll.C {
		if time.Now().After(end) {
			s.t.Fatalf("not within %v after the last kill: %s\n%s\n%s", patience, what, s.Get("/v1/dead-letters"), s.Get("/v1/parked"))
		}
	}
}

// Get gives the body of a path of the HTTP interface.
func (s *Server) Get(path string) string {
	s.t.Helper()
	body, err := s.Ask(http.MethodGet, path)
	if err != nil {
		s.t.Fatal(err)
	}
	return body
}

// Ask makes a request without a body to the HTTP interface, and gives the body of
// the answer, whatever its status. It fails while there is no process.
func (s *Server) Ask(method, path string) (string, error) {
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.address+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
