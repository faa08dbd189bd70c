package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The workloads of KAR ask what a call through the process beside an application
// costs. Server and process beside are one process, so that what they use can be
// told from what the application and the callers use; in turn with it, the same
// requests are made of a null sidecar: plain net/http, constant answers, no server,
// no disk. The application is one in Go, or what --kar-app names.

// Hidden workloads are the processes.
const (
	workloadKARSide = "kar-side" // server and process beside
	workloadKARNull = "kar-null"
	workloadKARApp  = "kar-app"
)

// The environment of the processes. The names of ports are KAR's.
const (
	karRuntimePort = "KAR_RUNTIME_PORT"
	karAppPort     = "KAR_APP_PORT"
)

// karKeys is how many actors are called by default.
const karKeys = 1000

// karResult is the line of a workload of KAR.
type karResult struct {
	Workload     string  `json:"workload"`
	Concurrency  int     `json:"concurrency"`
	Keys         int     `json:"keys"`
	App          string  `json:"app"`
	OpsPerSecond float64 `json:"ops_per_second"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	CPUPerOp     float64 `json:"cpu_us_per_op"` // of server and process beside
	FdatasyncP50 float64 `json:"fdatasync_p50_us"`
	GOMAXPROCS   int     `json:"gomaxprocs"`
	Operations   uint64  `json:"operations"`
	Errors       uint64  `json:"errors"`
	Seconds      float64 `json:"seconds"`
	NullOps      float64 `json:"null_ops_per_second"`
	NullP50      float64 `json:"null_p50_us"`
	NullCPU      float64 `json:"null_cpu_us_per_op"`
	CPUInNull    float64 `json:"cpu_in_null"` // times what the null sidecar uses
	// P50Limit is the p50 that one caller is to stay below: one and a half of the
	// null sidecar's, and two fdatasyncs.
	P50Limit float64 `json:"p50_limit_us"`
}

// started tells the parent where a process listens.
type started struct {
	Port int `json:"port"`
}

// karProcess is a process with an interface like a sidecar's, and its application.
type karProcess struct {
	side, app *child
	node      *exec.Cmd
	base      string // of the interface
	appBase   string
	web       *http.Client
}

// startKAR starts a process of one kind, and an application for it.
func (b *bench) startKAR(ctx context.Context, kind, directory string, callers int) (p *karProcess, err error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p = &karProcess{appBase: fmt.Sprintf("http://127.0.0.1:%d", port), web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers, DisableCompression: true}}}
	appPort := fmt.Sprintf("%s=%d", karAppPort, port)
	if p.side, err = startChild(b.stderr, []string{"bench", "--workload", kind, "--data", directory}, appPort); err != nil {
		return nil, err
	}
	var at started
	if err := p.side.line(ctx, &at); err != nil {
		p.close()
		return nil, err
	}
	p.base = fmt.Sprintf("http://127.0.0.1:%d", at.Port)
	environment := []string{appPort, fmt.Sprintf("%s=%d", karRuntimePort, at.Port)}
	if b.options.KARApp == "" {
		p.app, err = startChild(b.stderr, []string{"bench", "--workload", workloadKARApp}, environment...)
	} else {
		words := strings.Fields(b.options.KARApp)
		p.node = exec.Command(words[0], words[1:]...)
		p.node.Env, p.node.Stderr = append(os.Environ(), environment...), b.stderr
		err = p.node.Start()
	}
	if err == nil {
		err = p.waitReady(ctx)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// waitReady waits until a call comes through.
func (p *karProcess) waitReady(ctx context.Context) error {
	for end := time.Now().Add(20 * time.Second); ; {
		err := p.post(ctx, "/kar/v1/actor/Bench/first/call/bump", "application/kar+json", "[]", "", http.StatusOK)
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (p *karProcess) close() {
	p.web.CloseIdleConnections()
	for _, c := range []*child{p.app, p.side} {
		if c != nil {
			c.kill()
		}
	}
	if p.node != nil && p.node.Process != nil {
		_ = p.node.Process.Kill() // it may have ended
		_ = p.node.Wait()
	}
}

func (p *karProcess) post(ctx context.Context, path, contentType, body, pragma string, want int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", contentType)
	if pragma != "" {
		r.Header.Set("Pragma", pragma)
	}
	response, err := p.web.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("POST %s was answered %s: %.200s", path, response.Status, answer)
	}
	return err
}

// karOperation is what callers do.
type karOperation func(ctx context.Context, p *karProcess, key string) error

func karActor(ctx context.Context, p *karProcess, key string) error {
	return p.post(ctx, "/kar/v1/actor/Bench/"+key+"/call/bump", "application/kar+json", "[]", "", http.StatusOK)
}

func karService(ctx context.Context, p *karProcess, _ string) error {
	return p.post(ctx, "/kar/v1/service/bench/call/echo", "application/json", `"hello"`, "", http.StatusOK)
}

func karTell(ctx context.Context, p *karProcess, key string) error {
	return p.post(ctx, "/kar/v1/actor/Bench/"+key+"/call/note", "application/kar+json", "[]", "async", http.StatusAccepted)
}

// noted is how many tells the application has done.
func (p *karProcess) noted(ctx context.Context) (n uint64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.appBase+"/noted", nil)
	if err != nil {
		return 0, err
	}
	response, err := p.web.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(body)), 10, 64)
}

// slice has callers work for a while. Told says that an answer is not the end of
// the work, which is waited for.
func (p *karProcess) slice(ctx context.Context, do karOperation, callers, keys int, told bool, howLong time.Duration) (*measured, error) {
	total := new(measured)
	parts := make([]*measured, callers)
	var before uint64
	var err error
	if told {
		if before, err = p.noted(ctx); err != nil {
			return nil, err
		}
	}
	var stop atomic.Bool
	var working sync.WaitGroup
	cpu, began := processCPU(p.side.command.Process.Pid), time.Now()
	timer := time.AfterFunc(howLong, func() { stop.Store(true) })
	defer timer.Stop()
	for i := range callers {
		parts[i] = new(measured)
		next := i
		working.Go(func() {
			parts[i].repeat(ctx, func() error {
				next += callers
				return do(ctx, p, "key-"+strconv.Itoa(next%keys))
			}, &stop)
		})
	}
	working.Wait()
	for _, part := range parts {
		total.merge(part)
	}
	for end := time.Now().Add(drainTimeMax); told; {
		now, err := p.noted(ctx)
		if err != nil {
			return nil, err
		}
		if now >= before+total.operations {
			break
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%d were told, and %d not done after %v", total.operations, before+total.operations-now, drainTimeMax)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
	total.elapsed, total.cpu = time.Since(began), processCPU(p.side.command.Process.Pid)-cpu
	return total, total.failure
}

// runKAR is a workload.
func runKAR(name string, do karOperation, told bool) func(ctx context.Context, b *bench, callers int) error {
	return func(ctx context.Context, b *bench, callers int) (err error) {
		keys := b.options.Keys
		if keys == 0 {
			keys = karKeys
		}
		directory, err := makeDirectory(b.options.Data)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, removeDirectory(directory)) }()
		probe, err := newProbe(directory)
		if err != nil {
			return err
		}
		defer probe.close()
		b.progress.say("%s, %d callers: prepare", name, callers)
		real, err := b.startKAR(ctx, workloadKARSide, filepath.Join(directory, "data"), callers)
		if err != nil {
			return err
		}
		defer real.close()
		null, err := b.startKAR(ctx, workloadKARNull, directory, callers)
		if err != nil {
			return err
		}
		defer null.close()
		var work, bare measured
		slices := max(2, int(b.options.Duration/sliceTime))
		each := b.options.Duration / time.Duration(slices)
		for i := range slices + 1 {
			b.progress.say("%s, %d callers: %d of %d", name, callers, i, slices)
			m, err := real.slice(ctx, do, callers, keys, told, each)
			if err != nil {
				return err
			}
			n, err := null.slice(ctx, do, callers, keys, told, each)
			if err != nil {
				return err
			}
			if i == 0 {
				continue // warm-up: actors are activated
			}
			work.merge(m)
			bare.merge(n)
			if err := probe.run(frameBytesSome, min(probeTime, each)); err != nil {
				return err
			}
		}
		b.progress.clear()
		r := karLine(name, callers, keys, &work, &bare, probe)
		if r.App = b.options.KARApp; r.App == "" {
			r.App = "go"
		}
		return b.print(r, func() error { return b.karTable(r) })
	}
}

func karLine(name string, callers, keys int, work, bare *measured, probe *probe) *karResult {
	r := &karResult{
		Workload: name, Concurrency: callers, Keys: keys, GOMAXPROCS: runtime.GOMAXPROCS(0),
		OpsPerSecond: round(work.perSecond(work.operations), 1), P50: microseconds(work.times.quantile(0.5)), P99: microseconds(work.times.quantile(0.99)),
		CPUPerOp:     round(per(float64(work.cpu.Nanoseconds())/1e3, work.operations), 1),
		FdatasyncP50: microseconds(probe.times.quantile(0.5)),
		Operations:   work.operations, Errors: work.failures, Seconds: round(work.elapsed.Seconds(), 3),
		NullOps: round(bare.perSecond(bare.operations), 1), NullP50: microseconds(bare.times.quantile(0.5)),
		NullCPU: round(per(float64(bare.cpu.Nanoseconds())/1e3, bare.operations), 1),
	}
	if r.NullCPU > 0 {
		r.CPUInNull = round(r.CPUPerOp/r.NullCPU, 2)
	}
	r.P50Limit = round(1.5*r.NullP50+2*r.FdatasyncP50, 1)
	return r
}

func (b *bench) karTable(r *karResult) error {
	_, err := fmt.Fprintf(b.stdout, "%-11s %6d callers %9.0f ops/s  p50 %8.1f µs  p99 %9.1f µs  CPU %7.1f µs   null sidecar: %9.0f ops/s  p50 %8.1f µs  CPU %7.1f µs (%.2f times)  fdatasync %.1f µs\n",
		r.Workload, r.Concurrency, r.OpsPerSecond, r.P50, r.P99, r.CPUPerOp, r.NullOps, r.NullP50, r.NullCPU, r.CPUInNull, r.FdatasyncP50)
	return err
}
