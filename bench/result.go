package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"
)

// result is a line. The names are part of the interface: programs read them.
type result struct {
	Workload        string  `json:"workload"`
	Concurrency     int     `json:"concurrency"`
	Keys            int     `json:"keys"`
	OpsPerSecond    float64 `json:"ops_per_second"`
	P50             float64 `json:"p50_us"`
	P99             float64 `json:"p99_us"`
	CPUPerOp        float64 `json:"cpu_us_per_op"`
	SyncsPerSecond  float64 `json:"syncs_per_second"`
	FrameMean       float64 `json:"frame_mean"` // records
	FdatasyncP50    float64 `json:"fdatasync_p50_us"`
	GOMAXPROCS      int     `json:"gomaxprocs"`
	Operations      uint64  `json:"operations"`
	Errors          uint64  `json:"errors"`
	Seconds         float64 `json:"seconds"`
	P999            float64 `json:"p999_us"`
	Max             float64 `json:"max_us"`
	AppendP50       float64 `json:"append_p50_us"` // what the log takes for a frame
	FrameBytesMean  float64 `json:"frame_bytes_mean"`
	FdatasyncP99    float64 `json:"fdatasync_p99_us"`
	FdatasyncCPU    float64 `json:"fdatasync_cpu_us"` // what the system takes for one; a frame has one
	SyncsPerOp      float64 `json:"syncs_per_op"`
	LogBytesPerOp   float64 `json:"log_bytes_per_op"`
	AllocsPerOp     float64 `json:"allocs_per_op"`
	BareHTTP        float64 `json:"bare_http_ops_per_second,omitempty"`
	BareHTTPP50     float64 `json:"bare_http_p50_us,omitempty"`
	BareHTTPCPU     float64 `json:"bare_http_cpu_us_per_op,omitempty"`
	ShareOfBareHTTP float64 `json:"share_of_bare_http,omitempty"`
	UpdateP50       float64 `json:"update_p50_us,omitempty"`
	UpdateCPU       float64 `json:"update_cpu_us_per_op,omitempty"`
	UpdatesInP50    float64 `json:"p50_in_updates,omitempty"`
}

// round keeps enough digits for a figure that is measured.
func round(v float64, digits int) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

func microseconds(d time.Duration) float64 { return round(float64(d.Nanoseconds())/1e3, 1) }

func milliseconds(d time.Duration) float64 { return round(float64(d.Microseconds())/1e3, 2) }

// per divides; what nothing was done for is 0.
func per(v float64, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return v / float64(n)
}

func (l *lineRun) result(keys int) *result {
	w := &l.work
	r := &result{
		Workload: l.workload.name, Concurrency: len(l.operations), Keys: keys,
		OpsPerSecond:   round(w.perSecond(w.operations), 1),
		P50:            microseconds(w.times.quantile(0.5)),
		P99:            microseconds(w.times.quantile(0.99)),
		CPUPerOp:       round(per(float64(w.cpu.Nanoseconds())/1e3, w.operations), 2),
		SyncsPerSecond: round(w.perSecond(w.written.frames), 1),
		FrameMean:      round(per(float64(w.written.records), w.written.frames), 2),
		FdatasyncP50:   microseconds(l.probe.times.quantile(0.5)),
		GOMAXPROCS:     runtime.GOMAXPROCS(0),
		Operations:     w.operations,
		Errors:         w.failures,
		Seconds:        round(w.elapsed.Seconds(), 3),
		P999:           microseconds(w.times.quantile(0.999)),
		Max:            microseconds(w.times.largest),
		AppendP50:      microseconds(l.appends.quantile(0.5)),
		FrameBytesMean: round(per(float64(w.written.bytes), w.written.frames), 1),
		FdatasyncP99:   microseconds(l.probe.times.quantile(0.99)),
		FdatasyncCPU:   round(per(float64(l.probe.cpu.Nanoseconds())/1e3, l.probe.times.total), 2),
		SyncsPerOp:     round(per(float64(w.written.frames), w.operations), 3),
		LogBytesPerOp:  round(per(float64(w.written.bytes), w.operations), 1),
		AllocsPerOp:    round(per(float64(w.allocations), w.operations), 1),
	}
	if l.echo.operations > 0 {
		bare := l.echo.perSecond(l.echo.operations)
		r.BareHTTP = round(bare, 1)
		r.BareHTTPP50 = microseconds(l.echo.times.quantile(0.5))
		r.BareHTTPCPU = round(per(float64(l.echo.cpu.Nanoseconds())/1e3, l.echo.operations), 2)
		r.ShareOfBareHTTP = round(w.perSecond(w.operations)/bare, 3)
	}
	if u := &l.update; u.operations > 0 {
		r.UpdateP50 = microseconds(u.times.quantile(0.5))
		r.UpdateCPU = round(per(float64(u.cpu.Nanoseconds())/1e3, u.operations), 2)
		r.UpdatesInP50 = round(r.P50/r.UpdateP50, 2)
	}
	return r
}

// table prints results for people.
type table struct {
	to     io.Writer
	headed bool
}

func (t *table) row(r *result) error {
	if !t.headed {
		t.headed = true
		if _, err := fmt.Fprintf(t.to, "%-10s %8s %9s %11s %10s %10s %9s %9s %9s %12s %7s\n", "workload", "callers", "keys",
			"ops/s", "p50 µs", "p99 µs", "CPU µs/op", "syncs/s", "rec/frame", "fdatasync µs", "errors"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.to, "%-10s %8d %9d %11.0f %10.1f %10.1f %9.2f %9.0f %9.1f %12.1f %7d\n", r.Workload, r.Concurrency, r.Keys,
		r.OpsPerSecond, r.P50, r.P99, r.CPUPerOp, r.SyncsPerSecond, r.FrameMean, r.FdatasyncP50, r.Errors)
	if err == nil && r.BareHTTP > 0 {
		_, err = fmt.Fprintf(t.to, "%-10s %8d %9s %11.0f %10.1f %10s %9.2f   (a bare echo; %.0f %% of it)\n", "  bare", r.Concurrency, "",
			r.BareHTTP, r.BareHTTPP50, "", r.BareHTTPCPU, 100*r.ShareOfBareHTTP)
	}
	if err == nil && r.UpdateP50 > 0 {
		_, err = fmt.Fprintf(t.to, "%-10s %8d %9s %11s %10.1f %10s %9.2f   (an update; a call is %.2f of them)\n", "  update", r.Concurrency, "",
			"", r.UpdateP50, "", r.UpdateCPU, r.UpdatesInP50)
	}
	return err
}

// print writes a line as JSON, or leaves it to the function.
func (b *bench) print(value any, table func() error) error {
	if !b.options.JSON {
		return table()
	}
	line, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	_, err = b.stdout.Write(append(line, '\n'))
	return err
}
