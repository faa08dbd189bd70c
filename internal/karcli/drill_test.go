package karcli_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/sidecar"
)

// Goal: nothing is lost and nothing is done twice when processes are killed.
// Method: a server and replicas of an application, all processes of their own,
// under load; now and then one of the application, the process beside it, both or
// the server is killed (SIGKILL) and started again. Every invocation has an
// outcome at last, and what the actors have counted then is what was asked for.

var killFor = flag.Duration("kill-for", 3*time.Second, "how long the drill kills processes")

const patience = 90 * time.Second

// TestMain is the test, and an application if it is run as one.
func TestMain(m *testing.M) {
	if os.Getenv("KAR_DRILL_APP") != "" {
		serveApplication()
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// drill is everything that runs.
type drill struct {
	t       *testing.T
	program string // holdfast
	dir     string
	address string
	command []string
	types   string

	mu       sync.Mutex
	server   *exec.Cmd
	replicas []*replica
	ending   atomic.Bool
	running  sync.WaitGroup
	kills    map[string]int
}

// replica is an application with the process beside it, started again whenever it
// ends.
type replica struct {
	port    int
	pidFile string
	beside  *exec.Cmd
}

func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "holdfast")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/holdfast-io/holdfast/cmd/holdfast").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startDrill(t *testing.T, replicas int, types string, command ...string) *drill {
	if runtime.GOOS != "linux" {
		t.Skip("applications die with the process beside them on Linux only")
	}
	d := &drill{t: t, program: buildProgram(t), dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), command: command, types: types, kills: map[string]int{}}
	t.Cleanup(d.end)
	d.keep("server", func() *exec.Cmd {
		c := exec.Command(d.program, "serve", "--data", filepath.Join(d.dir, "data"), "--listen", d.address, "--partitions", "8")
		d.server = c
		return c
	})
	for n := range replicas {
		r := &replica{port: freePort(t), pidFile: filepath.Join(d.dir, fmt.Sprintf("app%d.pid", n))}
		d.replicas = append(d.replicas, r)
		d.keep(fmt.Sprintf("replica%d", n), func() *exec.Cmd {
			arguments := append([]string{"kar", "run", "-app", "drill", "-actors", types, "-app_port", strconv.Itoa(r.port), "-v", "warning", "--"}, d.command...)
			c := exec.Command(d.program, arguments...)
			c.Env = append(os.Environ(), "HOLDFAST_SERVER="+d.address, "KAR_DRILL_APP=1", "KAR_DRILL_PID="+r.pidFile)
			r.beside = c
			return c
		})
	}
	return d
}

// keep runs a process again and again until the end of the drill.
func (d *drill) keep(name string, start func() *exec.Cmd) {
	log, err := os.Create(filepath.Join(d.dir, name+".log"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.running.Go(func() {
		defer log.Close()
		for !d.ending.Load() {
			d.mu.Lock()
			c := start()
			c.Stdout, c.Stderr = log, log
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			err := c.Start()
			d.mu.Unlock()
			if err != nil {
				d.t.Error(err)
				return
			}
			_ = c.Wait() // it was killed, or could not start yet
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func (d *drill) end() {
	d.ending.Store(true)
	d.mu.Lock()
	for _, r := range d.replicas {
		_ = r.beside.Process.Signal(syscall.SIGTERM)
	}
	_ = d.server.Process.Signal(syscall.SIGTERM)
	d.mu.Unlock()
	d.running.Wait()
	if d.t.Failed() {
		for _, name := range []string{"server", "replica0", "replica1", "replica2"} {
			if b, err := os.ReadFile(filepath.Join(d.dir, name+".log")); err == nil {
				d.t.Logf("%s:\n%s", name, b[max(0, len(b)-6000):])
			}
		}
	}
}

// kill kills something.
func (d *drill) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.replicas[rand.IntN(len(d.replicas))]
	what := []string{"application", "beside", "both", "server"}[rand.IntN(4)]
	d.kills[what]++
	if what == "server" {
		_ = d.server.Process.Kill()
		return
	}
	if what != "beside" {
		if b, err := os.ReadFile(r.pidFile); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	if what != "application" {
		_ = r.beside.Process.Kill()
	}
}

func (d *drill) caller() *sidecar.Caller {
	d.t.Helper()
	c, err := sidecar.Call(d.t.Context(), sidecar.CallerConfig{App: "drill", Server: d.address, Wait: patience, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// invoke calls a method, and wants a value.
func (d *drill) invoke(c *sidecar.Caller, id, method string, arguments ...any) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, _ := json.Marshal(append([]any{}, arguments...))
	r, err := c.Invoke(ctx, &remote.Invocation{Kind: remote.InvocationCall, Target: remote.Target{App: "drill", Type: "Counter", ID: id}, Path: "/" + method,
		ContentType: "application/kar+json", Body: body})
	var v struct {
		Value json.RawMessage
		Error bool
	}
	switch {
	case err != nil:
		d.t.Errorf("%s of %s: %v", method, id, err)
	case r.Status == 204:
	case r.Status != 200 || json.Unmarshal(r.Body, &v) != nil || v.Error:
		d.t.Errorf("%s of %s: %d %s %s", method, id, r.Status, r.Body, r.Failure)
	}
	return string(v.Value)
}

// ask asks something that must not fail.
func (d *drill) ask(c *sidecar.Caller, r *remote.Request) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if a, err := c.Ask(ctx, r); err != nil || a.Result.Failure != "" {
		d.t.Errorf("request %d: %v, %+v", r.Kind, err, a)
	}
}

// change stores something under an actor.
func (d *drill) change(c *sidecar.Caller, id, field, key string, value remote.Noun) {
	d.ask(c, &remote.Request{Kind: remote.RequestChange, Target: remote.Target{App: "drill", Type: "Counter", ID: id},
		Changes: []remote.Change{{Kind: remote.ChangePut, Field: field, Key: key, Value: remote.Append(nil, value)}}})
}

const drillActors = 6

// load asks for work until it is told to stop, and counts what each actor has to
// have counted.
func (d *drill) load(clients int, stop <-chan struct{}) (counts map[string]*atomic.Int64, wait func() int64) {
	counts = map[string]*atomic.Int64{"sink": {}, "listener": {}, "alarm": {}}
	d.change(d.caller(), "listener", remote.FieldSubscriptions, "topic", &remote.Subscription{Path: "/add", Topic: "topic"})
	for n := range drillActors {
		counts[fmt.Sprint("c", n)] = &atomic.Int64{}
	}
	var asked atomic.Int64
	var running sync.WaitGroup
	for range clients {
		c := d.caller()
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				n := rand.IntN(drillActors)
				id, other := fmt.Sprint("c", n), fmt.Sprint("c", n+rand.IntN(drillActors-n)) // calls go one way: two that call each other wait for ever
				switch rand.IntN(6) {
				case 0: // counts once
					d.invoke(c, id, "add", 1)
					counts[id].Add(1)
				case 1: // tells the sink, and counts after a call of another actor, which is of its flow
					d.invoke(c, id, "through", other)
					counts[id].Add(1)
					counts[other].Add(1)
					counts["sink"].Add(1)
				case 2: // hands over to another actor, which hands over to the sink
					d.invoke(c, id, "chain", other)
					counts[id].Add(1)
					counts[other].Add(1)
					counts["sink"].Add(1)
				case 3: // counts within itself, too
					d.invoke(c, id, "twice")
					counts[id].Add(2)
				case 4: // an event, to which the listener counts
					d.ask(c, &remote.Request{Kind: remote.RequestPublish, Name: "topic", Body: []byte("1")})
					counts["listener"].Add(1)
				case 5: // a reminder, which counts
					d.change(c, "alarm", remote.FieldReminders, fmt.Sprint(rand.Uint64()), &remote.Reminder{Path: "/add", Due: msg.TimeOf(time.Now().Add(time.Second)), Data: []byte("[1]")})
					counts["alarm"].Add(1)
				}
			}
		})
	}
	return counts, func() int64 { running.Wait(); return asked.Load() }
}

func (d *drill) run(clients int) {
	stop := make(chan struct{})
	counts, wait := d.load(clients, stop)
	end := time.Now().Add(*killFor)
	for time.Now().Before(end) {
		time.Sleep(time.Duration(200+rand.IntN(1300)) * time.Millisecond)
		d.kill()
	}
	close(stop)
	asked := wait()
	c := d.caller()
	for _, id := range []string{"sink", "listener", "alarm"} { // nobody waits for what they count
		eventually(d.t, id+" has counted everything", func() bool { return d.invoke(c, id, "get") == fmt.Sprint(counts[id].Load()) })
	}
	time.Sleep(200 * time.Millisecond) // for what might be done twice
	for id, want := range counts {
		if got := d.invoke(c, id, "get"); got != fmt.Sprint(want.Load()) {
			d.t.Errorf("%s has counted %s, want %d", id, got, want.Load())
		}
	}
	d.t.Logf("kar drill: %d invocations, killed %v", asked, d.kills)
	if asked == 0 || len(d.kills) == 0 {
		d.t.Error("nothing was asked, or nothing was killed")
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestNothingIsLostOrDoneTwice(t *testing.T) {
	for _, replicas := range []int{2, 3} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			startDrill(t, replicas, "Counter", os.Args[0]).run(4)
		})
	}
}

// TestNothingIsLostOrDoneTwiceWithTheSDK does the same with an application that
// uses the npm package kar-sdk.
func TestNothingIsLostOrDoneTwiceWithTheSDK(t *testing.T) {
	script, err := filepath.Abs("testdata/node/app.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("testdata/node/node_modules/kar-sdk"); err != nil {
		t.Skip("kar-sdk is not installed: run npm ci in internal/karcli/testdata/node")
	}
	startDrill(t, 2, "Counter", "node", script).run(4)
}

// serveApplication is an application in Go.
func serveApplication() {
	_ = os.WriteFile(os.Getenv("KAR_DRILL_PID"), fmt.Append(nil, os.Getpid()), 0o600)
	base := "http://127.0.0.1:" + os.Getenv("KAR_RUNTIME_PORT") + "/kar/v1/actor/Counter/"
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("KAR_APP_PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, method, isCall := strings.Cut(strings.TrimPrefix(r.URL.Path, "/kar/impl/v1/actor/Counter/"), "/")
		if !isCall {
			return
		}
		a := &counter{base: base, id: id, session: r.URL.Query().Get("session")}
		_ = json.NewDecoder(r.Body).Decode(&a.arguments)
		v, err := a.run(method)
		if err != nil {
			panic(http.ErrAbortHandler) // the process beside is gone
		}
		w.Header().Set("Content-Type", "application/kar+json")
		_ = json.NewEncoder(w).Encode(v)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type counter struct {
	base, id, session string
	arguments         []any
}

func (a *counter) ask(method, path, body string, headers ...string) (string, error) {
	r, err := http.NewRequest(method, a.base+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s", path, response.Status, b)
	}
	return string(b), err
}

func (a *counter) add(n int) (any, error) {
	text, err := a.ask("GET", a.id+"/state/n?nilOnAbsent=true", "")
	if err != nil {
		return nil, err
	}
	before, _ := strconv.Atoi(text)
	_, err = a.ask("PUT", a.id+"/state/n", fmt.Sprint(before+n))
	return map[string]any{"value": before + n}, err
}

func (a *counter) call(id, method, arguments string, headers ...string) error {
	_, err := a.ask("POST", id+"/call/"+method+"?session="+url.QueryEscape(a.session), arguments, append(headers, "Content-Type", "application/kar+json")...)
	return err
}

func (a *counter) run(method string) (v any, err error) {
	switch method {
	case "get":
		text, err := a.ask("GET", a.id+"/state/n?nilOnAbsent=true", "")
		n, _ := strconv.Atoi(text)
		return map[string]any{"value": n}, err
	case "add":
		return a.add(1)
	case "through":
		if err := a.call("sink", "add", "[1]", "Pragma", "async"); err != nil {
			return nil, err
		}
		if err := a.call(a.arguments[0].(string), "add", "[1]"); err != nil {
			return nil, err
		}
		return a.add(1)
	case "chain":
		if _, err := a.add(1); err != nil {
			return nil, err
		}
		return tailCall(a.arguments[0].(string), "last", "[]"), nil
	case "last":
		if _, err := a.add(1); err != nil {
			return nil, err
		}
		return tailCall("sink", "add", "[1]"), nil
	case "twice":
		// The other way round, the call within would commit what was added before
		// it, and another attempt would add it again.
		if err := a.call(a.id, "add", "[1]"); err != nil {
			return nil, err
		}
		return a.add(1)
	}
	return map[string]any{"error": true, "message": "no method " + method, "stack": ""}, nil
}

func tailCall(id, method, payload string) any {
	return map[string]any{"tailCall": true, "value": map[string]string{"actorType": "Counter", "actorId": id, "path": "/" + method, "payload": payload}}
}
