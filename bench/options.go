package bench

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults and bounds of Options.
const (
	keysDefault     = 10_000
	keysDefaultMany = 1_000_000 // of the workload entities
	durationDefault = 5 * time.Second

	keysMax        = 100_000_000
	concurrencyMax = 65_536
	durationMax    = time.Hour
)

// Options is what the command bench takes.
type Options struct {
	Workload    string        // a list; "all" is all but sleep, entities and those of KAR
	Concurrency string        // a list of numbers of callers; empty: the default of the workload
	Keys        int           // 0: the default of the workload
	Duration    time.Duration // of each line, without warm-up and comparisons
	Data        string        // directory for the log; empty: the working directory
	CPUProfile  string        // file for a profile of the work
	KARApp      string        // command of an application for kar-actor, kar-service and kar-tell; empty: one in Go
	Allocations string        // file for a profile of what was allocated
	JSON        bool          // one object a line instead of a table

	workloads []*workload
	callers   []int
}

// Register declares the flags, but for JSON, which the commands of holdfast
// have in common.
func (o *Options) Register(set *flag.FlagSet) {
	set.StringVar(&o.Workload, "workload", "update", "`LIST` of "+strings.Join(workloadNames(), ", ")+"; all is all but sleep, entities and those of KAR")
	set.StringVar(&o.Concurrency, "concurrency", "", fmt.Sprintf("`LIST` of numbers of callers (default 1,64,256; for fanout and pingpong 1,%d; for sleep and entities 64)", fanOutMany))
	set.IntVar(&o.Keys, "keys", 0, fmt.Sprintf("`number` of entities; 0 is %d, for entities %d; for sleep of workflows, and 0 is %d", keysDefault, keysDefaultMany, sleepers))
	set.DurationVar(&o.Duration, "duration", durationDefault, "how long each line is measured")
	set.StringVar(&o.Data, "data", "", "`directory` on the disk to be measured; a new one in it is made and removed (default the working directory)")
	set.StringVar(&o.KARApp, "kar-app", "", "`command` of an application for the workloads of KAR, in place of one in Go; it gets KAR_RUNTIME_PORT and KAR_APP_PORT")
	set.StringVar(&o.CPUProfile, "cpu-profile", "", "`file` for a CPU profile, for go tool pprof; nothing is compared meanwhile, so that only the work is in it; for entities it is of the recovery")
	set.StringVar(&o.Allocations, "allocation-profile", "", "`file` for a profile of allocations, for go tool pprof -sample_index=alloc_objects")
}

// Validate says what is wrong with the options, all at once. Run calls it, too.
func (o *Options) Validate() error {
	var mistakes []error
	mistake := func(ok bool, format string, args ...any) {
		if !ok {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	var err error
	o.workloads, err = parseWorkloads(o.Workload)
	mistakes = append(mistakes, err)
	o.callers, err = parseConcurrency(o.Concurrency)
	mistakes = append(mistakes, err)
	mistake(o.Keys >= 0 && o.Keys <= keysMax, "--keys is %d, want 1 to %d, or 0 for the default", o.Keys, keysMax)
	mistake(o.Duration > 0 && o.Duration <= durationMax, "--duration is %v, want more than 0 and up to %v", o.Duration, durationMax)
	return errors.Join(mistakes...)
}

func parseWorkloads(list string) (chosen []*workload, err error) {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		found := false
		for _, w := range workloads() {
			if w.name != name && (name != "all" || w.special != nil) {
				continue
			}
			found = true
			if !slices.ContainsFunc(chosen, func(c *workload) bool { return c.name == w.name }) {
				chosen = append(chosen, w)
			}
		}
		if !found {
			return nil, fmt.Errorf("--workload names %q, want a list of %s, or all", name, strings.Join(workloadNames(), ", "))
		}
	}
	return chosen, nil
}

func workloadNames() (names []string) {
	for _, w := range workloads() {
		if !w.hidden {
			names = append(names, w.name)
		}
	}
	return names
}

func parseConcurrency(list string) (numbers []int, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > concurrencyMax {
			return nil, fmt.Errorf("--concurrency has %q, want a list of numbers from 1 to %d, such as 1,64,256", text, concurrencyMax)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
