package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/node"
)

// childVariable names the data directory to a process that serves a script on
// its standard input and output.
const childVariable = "HOLDFAST_TEST_NODE"

// exitCode is what a process ends with that a handler ends.
const exitCode = 7

func exitProcess() { os.Exit(exitCode) }

// question and answer are lines between a test and its child.
type question struct {
	ID        uint64
	Operation msg.Operation
	Handler   string
	Key       string
	Order     order
	Session   byte
	Number    uint64
	After     time.Duration // submitted: to begin then
}

type answer struct {
	ID          uint64
	Code        string
	Message     string
	List        []string
	DeadLetters int
}

// lost is the code of a question whose process has ended.
const lost = "lost"

// serveAsChild serves until standard input ends, if this process is a child.
func serveAsChild() bool {
	dir := os.Getenv(childVariable)
	if dir == "" {
		return false
	}
	if err := serveChild(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func serveChild(dir string) error {
	h, err := embedded.Open(embedded.Config{Dir: dir, Identity: host.Identity{Partitions: rigPartitions}})
	if err != nil {
		return err
	}
	n, err := node.Start(context.Background(), node.Config{
		Host: h, Program: &script{}, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), CheckpointBytes: 1,
	})
	if err != nil {
		return errors.Join(err, h.Close())
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(n.Recovery())
	for in := json.NewDecoder(os.Stdin); ; {
		var q question
		if err := in.Decode(&q); err != nil {
			return errors.Join(n.Close(context.Background()), h.Close())
		}
		go func() {
			a := ask(n, &q)
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(a)
		}()
	}
}

func ask(n *node.Node, q *question) answer {
	r := msg.Request{Operation: q.Operation, Target: msg.Ref{Kind: "cell", Key: q.Key}, Handler: q.Handler, Payload: payload(q.Order)}
	if q.Number > 0 {
		r.Identity.Session, r.Identity.SessionNumber = msg.SessionID{5, q.Session}, q.Number
	}
	if q.After > 0 {
		r.NotBefore = msg.TimeOf(time.Now().Add(q.After))
	}
	reply := n.Door().Do(context.Background(), &r)
	a := answer{ID: q.ID, DeadLetters: len(reply.DeadLetters)}
	if reply.Err != nil {
		a.Code, a.Message = reply.Err.Code, reply.Err.Message
		return a
	}
	_ = json.Unmarshal(reply.Payload.Body, &a.List)
	return a
}

// process is a child that serves a directory.
type process struct {
	t         testing.TB
	command   *exec.Cmd
	input     io.WriteCloser
	recovery  node.Recovery
	mu        sync.Mutex
	last      uint64
	waiting   map[uint64]chan answer // nil: it has ended
	readUntil chan struct{}
}

func startProcess(t testing.TB, dir string) *process {
	t.Helper()
	p := &process{t: t, waiting: map[uint64]chan answer{}, readUntil: make(chan struct{})}
	p.command = exec.Command(os.Args[0])
	p.command.Env = append(os.Environ(), childVariable+"="+dir)
	p.command.Stderr = os.Stderr
	if !testing.Verbose() {
		p.command.Stderr = nil
	}
	var err error
	if p.input, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bufio.NewReader(output))
	_ = decoder.Decode(&p.recovery) // it may have ended already
	go p.read(decoder)
	return p
}

// read hands answers out until the process ends.
func (p *process) read(in *json.Decoder) {
	defer close(p.readUntil)
	for {
		var a answer
		err := in.Decode(&a)
		p.mu.Lock()
		if err != nil {
			for id, w := range p.waiting {
				w <- answer{ID: id, Code: lost}
			}
			p.waiting = nil
			p.mu.Unlock()
			return
		}
		w := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		w <- a
	}
}

// ask gives a question to the process and waits.
func (p *process) ask(q question) answer {
	w := make(chan answer, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return answer{Code: lost}
	}
	p.last++
	q.ID = p.last
	p.waiting[q.ID] = w
	line, _ := json.Marshal(q)
	_, _ = p.input.Write(append(line, '\n')) // if the process has ended, read hears it
	p.mu.Unlock()
	select {
	case a := <-w:
		return a
	case <-time.After(patience):
		p.t.Errorf("no answer to %+v", q)
		return answer{Code: lost}
	}
}

// ended waits for the end of the process and returns its exit code.
func (p *process) ended() int {
	<-p.readUntil
	_ = p.command.Wait()
	return p.command.ProcessState.ExitCode()
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	p.ended()
}

// stop ends the process in order.
func (p *process) stop() {
	p.t.Helper()
	p.input.Close()
	if code := p.ended(); code != 0 {
		p.t.Fatalf("the process ended with code %d", code)
	}
}

func (p *process) look(key string) []string {
	p.t.Helper()
	a := p.ask(question{Handler: "look", Key: key})
	if a.Code != "" {
		p.t.Fatalf("look at %s: %s %s", key, a.Code, a.Message)
	}
	return a.List
}

// attemptsMax is the default of the engine.
const attemptsMax = 5

// untilQuarantined starts processes and asks until one survives. It returns the
// last answer and how many processes were ended.
func untilQuarantined(t *testing.T, dir string, q question) (p *process, a answer, deaths int) {
	for ; ; deaths++ {
		if deaths > attemptsMax+1 {
			t.Fatalf("%d processes were ended", deaths)
		}
		p = startProcess(t, dir)
		if a = p.ask(q); a.Code != lost {
			return p, a, deaths
		}
		if code := p.ended(); code != exitCode {
			t.Fatalf("the process ended with code %d", code)
		}
	}
}

// TestAHandlerThatEndsTheProcessIsQuarantined: whoever asks for it, and however
// soon it ends the process, it is given up after its attempts, others go on, and
// so does its own entity.
func TestAHandlerThatEndsTheProcessIsQuarantined(t *testing.T) {
	for name, q := range map[string]question{
		"in a session":     {Handler: "do", Key: "bomb", Order: order{Exit: true}, Session: 1, Number: 1},
		"without identity": {Handler: "do", Key: "bomb", Order: order{Exit: true}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, a, deaths := untilQuarantined(t, dir, q)
			if a.Code != msg.CodeQuarantined || deaths != attemptsMax {
				t.Errorf("got %+v after %d processes, want %s after %d", a, deaths, msg.CodeQuarantined, attemptsMax)
			}
			checkDefused(t, p)
		})
	}
}

func checkDefused(t *testing.T, p *process) {
	t.Helper()
	for _, key := range []string{"bomb", "other"} {
		if a := p.ask(question{Handler: "do", Key: key, Order: order{Write: "x"}}); a.Code != "" {
			t.Errorf("%s: %+v", key, a)
		}
	}
	p.stop()
}

func TestAMessageThatEndsTheProcessBecomesADeadLetter(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir)
	a := p.ask(question{Operation: msg.OperationSubmit, Handler: "do", Key: "bomb", Order: order{Exit: true}, After: 20 * time.Millisecond})
	if a.Code != "" {
		t.Fatalf("submit: %+v", a)
	}
	deaths := 0
	for a.DeadLetters == 0 {
		if a = p.ask(question{Operation: msg.OperationDeadLetters}); a.Code != lost {
			continue
		}
		if code := p.ended(); code != exitCode {
			t.Fatalf("the process ended with code %d", code)
		}
		if deaths++; deaths > attemptsMax {
			t.Fatalf("%d processes were ended", deaths)
		}
		p = startProcess(t, dir)
	}
	if a.DeadLetters != 1 || deaths != attemptsMax {
		t.Errorf("%d dead letters after %d processes, want 1 after %d", a.DeadLetters, deaths, attemptsMax)
	}
	checkDefused(t, p)
}

var kills = flag.Int("kills", 5, "how many processes TestCrashKilledProcesses kills")

// TestCrashKilledProcesses kills real processes while workers write, and counts
// in the end.
func TestCrashKilledProcesses(t *testing.T) {
	const workers, keys = 8, 20
	dir := t.TempDir()
	var current atomic.Pointer[process]
	var acked atomic.Int64
	var over atomic.Bool
	current.Store(startProcess(t, dir))
	written := make([]int, workers)
	var wait sync.WaitGroup
	for id := range workers {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(id), 2))
			for n := 0; !over.Load() && !t.Failed(); n++ {
				write := fmt.Sprintf("%d:%d", id, n)
				q := question{Handler: "do", Key: fmt.Sprint("cell-", random.IntN(keys)), Session: byte(id), Number: uint64(n + 1)}
				q.Order = order{Write: write, Send: map[string]string{fmt.Sprint("copy-", random.IntN(keys)): write}}
				for a := current.Load().ask(q); a.Code != ""; a = current.Load().ask(q) {
					if a.Code != lost {
						t.Errorf("%s: %+v", write, a)
						return
					}
					time.Sleep(time.Millisecond) // another process is being started
				}
				acked.Add(1)
				written[id] = n + 1
			}
		})
	}
	random := rand.New(rand.NewPCG(uint64(*kills), 3))
	for range *kills {
		goal := acked.Load() + 1 + random.Int64N(400)
		for began := time.Now(); acked.Load() < goal && time.Since(began) < patience; {
			time.Sleep(time.Millisecond)
		}
		current.Load().kill()
		current.Store(startProcess(t, dir))
	}
	over.Store(true)
	wait.Wait()
	p := current.Load()
	checkKilled(t, p, written, keys)
	p.stop()
	p = startProcess(t, dir)
	if p.recovery.Records > 2*rigPartitions {
		t.Errorf("%d records were replayed after an orderly stop", p.recovery.Records)
	}
	checkKilled(t, p, written, keys)
	p.stop()
	t.Logf("%d writes, %d kills", acked.Load(), *kills)
}

// checkKilled checks that every write and its copy are there once.
func checkKilled(t *testing.T, p *process, written []int, keys int) {
	t.Helper()
	var want []string
	for id, count := range written {
		for n := range count {
			want = append(want, fmt.Sprintf("%d:%d", id, n))
		}
	}
	slices.Sort(want)
	for _, prefix := range []string{"cell-", "copy-"} {
		var got []string
		for began := time.Now(); len(got) < len(want) && time.Since(began) < patience; {
			got = nil
			for k := range keys {
				got = append(got, p.look(fmt.Sprint(prefix, k))...)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d writes, want %d; %s", prefix, len(got), len(want), firstDifference(got, want))
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("got %s, want %s", got[i], want[i])
		}
	}
	return "one begins with the other"
}
