package server

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/node"
)

// collectTime bounds how long a collection waits for loops that are busy; what
// they said last is good enough then.
const collectTime = time.Second

// nodeCollector turns the numbers of a node into metrics when somebody asks.
type nodeCollector struct {
	node       atomic.Pointer[watched] // nil: nothing runs
	checkpoint atomic.Int64            // when one was published, in nanoseconds since 1970
	rows       []collectorRow
	activities []activityRow
	syncs      *prometheus.Desc
	full       *prometheus.Desc
}

// watched is what numbers are asked of.
type watched struct {
	running
	room func() error
}

type collectorRow struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *node.Stats) float64
}

// activityRow has a value for each activity, and for each way in which an
// attempt can end if it is about that.
type activityRow struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(a *activity.ActivityStats, send func(value float64, labels ...string))
}

// notServed is the label of what is asked for and not served.
const notServed = "(not served)"

var _ prometheus.Collector = (*nodeCollector)(nil)

func newNodeCollector() *nodeCollector {
	c := &nodeCollector{
		syncs: prometheus.NewDesc("holdfast_log_sync_duration_seconds", "Time to write and sync a frame.", nil, nil),
		full:  prometheus.NewDesc("holdfast_log_full", "1 while new work is refused because the disk has no room for it, else 0.", nil, nil),
	}
	c.addTurns()
	c.addLog()
	c.addHeld()
	c.addExecutors()
	c.addActivities()
	return c
}

func (c *nodeCollector) counter(name, help string, value func(s *node.Stats) float64) {
	c.rows = append(c.rows, collectorRow{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, value})
}

func (c *nodeCollector) gauge(name, help string, value func(s *node.Stats) float64) {
	c.rows = append(c.rows, collectorRow{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value})
}

// counterOf adds a counter with a constant label.
func (c *nodeCollector) counterOf(name, help, label, labelValue string, value func(s *node.Stats) float64) {
	desc := prometheus.NewDesc(name, help, nil, prometheus.Labels{label: labelValue})
	c.rows = append(c.rows, collectorRow{desc, prometheus.CounterValue, value})
}

func (c *nodeCollector) addTurns() {
	const turns, turnsHelp = "holdfast_turns_total", "Handlers that were run to an end, by what they may do."
	c.counterOf(turns, turnsHelp, "mode", "update", func(s *node.Stats) float64 { return float64(s.Partitions.Turns) })
	c.counterOf(turns, turnsHelp, "mode", "read", func(s *node.Stats) float64 { return float64(s.Partitions.Reads) })
	const failures, failuresHelp = "holdfast_turn_failures_total", "Turns that failed: an outcome is an error that was the answer, a fault consumed nothing, and what did not return was abandoned."
	c.counterOf(failures, failuresHelp, "reason", "outcome", func(s *node.Stats) float64 { return float64(s.Partitions.Outcomes) })
	c.counterOf(failures, failuresHelp, "reason", "panic", func(s *node.Stats) float64 { return float64(s.Partitions.Panics) })
	c.counterOf(failures, failuresHelp, "reason", "fault", func(s *node.Stats) float64 { return float64(s.Partitions.Faults) })
	c.counterOf(failures, failuresHelp, "reason", "abandoned", func(s *node.Stats) float64 { return float64(s.Executors.Abandoned) })
	c.counter("holdfast_dead_letters_total", "Messages that were given up.", func(s *node.Stats) float64 { return float64(s.Partitions.DeadLettered) })
}

func (c *nodeCollector) addLog() {
	c.counter("holdfast_log_records_total", "Records appended to the log.", func(s *node.Stats) float64 { return float64(s.Log.Records) })
	c.counter("holdfast_log_frames_total", "Frames written, each with one sync: records by frames is the mean batch.",
		func(s *node.Stats) float64 { return float64(s.Log.Frames) })
	c.counter("holdfast_log_frame_bytes_total", "Bytes of the frames written.", func(s *node.Stats) float64 { return float64(s.Log.Bytes) })
	c.gauge("holdfast_log_durable_lag_records", "Records that are appended and not durable yet.",
		func(s *node.Stats) float64 { return float64(s.Log.Appended - min(s.Log.Durable, s.Log.Appended)) })
	c.counter("holdfast_checkpoints_total", "Checkpoints of partitions that were published.", func(s *node.Stats) float64 { return float64(s.Loops.Checkpoints) })
	c.counter("holdfast_checkpoint_failures_total", "Checkpoints of partitions that failed.", func(s *node.Stats) float64 { return float64(s.Loops.CheckpointFailures) })
	c.rows = append(c.rows, collectorRow{
		prometheus.NewDesc("holdfast_checkpoint_age_seconds", "Time since this process published a checkpoint, or since it recovered.", nil, nil),
		prometheus.GaugeValue, func(*node.Stats) float64 { return time.Since(time.Unix(0, c.checkpoint.Load())).Seconds() },
	})
	c.gauge("holdfast_recovery_duration_seconds", "Time that the recovery of this process took.", func(s *node.Stats) float64 { return s.Recovery.Took.Seconds() })
	c.gauge("holdfast_recovery_records", "Records that the recovery of this process read.", func(s *node.Stats) float64 { return float64(s.Recovery.Records) })
}

func (c *nodeCollector) addHeld() {
	c.gauge("holdfast_entities", "Entities in memory.", func(s *node.Stats) float64 { return float64(s.Partitions.Entities) })
	c.gauge("holdfast_locked_keys", "Keys that workflows hold.", func(s *node.Stats) float64 { return float64(s.Partitions.Locked) })
	c.gauge("holdfast_lock_requests", "Requests for locks that wait.", func(s *node.Stats) float64 { return float64(s.Partitions.LockRequests) })
	c.gauge("holdfast_prepared_entities", "Entities where an event is not decided.", func(s *node.Stats) float64 { return float64(s.Partitions.Prepared) })
	c.gauge("holdfast_parked_entities", "Entities that have stopped taking inputs.", func(s *node.Stats) float64 { return float64(s.Partitions.Parked) })
	c.gauge("holdfast_timers", "Reminders and delayed messages that are set.", func(s *node.Stats) float64 { return float64(s.Partitions.Timers) })
	c.gauge("holdfast_queue_inputs", "Inputs that wait for their entity.", func(s *node.Stats) float64 { return float64(s.Partitions.Queued) })
	c.gauge("holdfast_deferred_inputs", "Inputs that machines have deferred.", func(s *node.Stats) float64 { return float64(s.Partitions.Aside) })
	c.gauge("holdfast_outbox_messages", "Messages between partitions that are not acknowledged.", func(s *node.Stats) float64 { return float64(s.Partitions.OutboxMessages) })
	c.gauge("holdfast_outbox_bytes", "Bytes of messages between partitions that are not acknowledged.", func(s *node.Stats) float64 { return float64(s.Partitions.OutboxBytes) })
	c.gauge("holdfast_held_replies", "Replies that wait for durability.", func(s *node.Stats) float64 { return float64(s.Loops.Held) })
	c.gauge("holdfast_inflight_requests", "Requests that wait for their answer.", func(s *node.Stats) float64 { return float64(s.Inflight) })
	c.gauge("holdfast_remembered_answers", "Answers to keys, sessions and sent invocations that are kept.", func(s *node.Stats) float64 { return float64(s.Partitions.Answers) })
	c.gauge("holdfast_remembered_answers_bytes", "Bytes of the answers that are kept.", func(s *node.Stats) float64 { return float64(s.Partitions.AnswerBytes) })
	c.gauge("holdfast_remembered_horizon_seconds", "Age of the oldest answer that is kept: repeats that are older are not recognised.", horizon)
}

func horizon(s *node.Stats) float64 {
	if s.Partitions.OldestAnswer == 0 {
		return 0
	}
	return time.Since(s.Partitions.OldestAnswer.Std()).Seconds()
}

func (c *nodeCollector) addExecutors() {
	c.gauge("holdfast_executors", "Goroutines for handlers.", func(s *node.Stats) float64 { return float64(s.Executors.Executors) })
	c.gauge("holdfast_executor_queue_turns", "Turns that wait for an executor.", func(s *node.Stats) float64 { return float64(s.Executors.Queued) })
	c.gauge("holdfast_executors_written_off", "Executors whose handler does not return.", func(s *node.Stats) float64 { return float64(s.Executors.WrittenOff) })
	c.counter("holdfast_executors_replaced_total", "Executors that were replaced because their handler did not return in time.",
		func(s *node.Stats) float64 { return float64(s.Executors.Replaced) })
}

func (c *nodeCollector) addActivities() {
	c.gauge("holdfast_workflows", "Workflows that have begun and not ended.", func(s *node.Stats) float64 { return float64(s.Partitions.Workflows) })
	c.gauge("holdfast_activities", "Activities that were asked for and have not ended.", func(s *node.Stats) float64 { return float64(s.Partitions.Tasks) })
	c.gauge("holdfast_held_activities", "Activities that wait until it is durable that they were asked for.", func(s *node.Stats) float64 { return float64(s.Loops.HeldTasks) })
	gauge := func(name, help string, value func(a *activity.ActivityStats) int) {
		c.byActivity(name, help, prometheus.GaugeValue, nil, func(a *activity.ActivityStats, send func(float64, ...string)) { send(float64(value(a))) })
	}
	gauge("holdfast_activity_running_attempts", "Attempts of activities that run.", func(a *activity.ActivityStats) int { return a.Running })
	gauge("holdfast_activity_queued_attempts", "Attempts of activities that wait for others to end.", func(a *activity.ActivityStats) int { return a.Queued })
	gauge("holdfast_activity_left_behind_attempts", "Attempts of activities that have not returned though their context has ended.",
		func(a *activity.ActivityStats) int { return a.LeftBehind })
	c.byActivity("holdfast_activity_retries_total", "Attempts of activities that were not the first.", prometheus.CounterValue, nil,
		func(a *activity.ActivityStats, send func(float64, ...string)) { send(float64(a.Retried)) })
	c.byActivity("holdfast_activity_attempts_total", "Attempts of activities that have ended, by how.", prometheus.CounterValue, []string{"outcome"},
		func(a *activity.ActivityStats, send func(float64, ...string)) {
			send(float64(a.Succeeded), "succeeded")
			send(float64(a.Failed), "failed")
			send(float64(a.TimedOut), "timed_out")
			send(float64(a.NotServed), "not_served")
			send(float64(a.Interrupted), "interrupted")
		})
}

func (c *nodeCollector) byActivity(name, help string, kind prometheus.ValueType, labels []string, value func(*activity.ActivityStats, func(float64, ...string))) {
	desc := prometheus.NewDesc(name, help, append([]string{"activity"}, labels...), nil)
	c.activities = append(c.activities, activityRow{desc, kind, value})
}

// collectActivities sends the rows of all activities. What is not served has
// rows once it was asked for.
func (c *nodeCollector) collectActivities(s *activity.Stats, to chan<- prometheus.Metric) {
	for i := range s.Activities {
		a := &s.Activities[i]
		if *a == (activity.ActivityStats{}) {
			continue
		}
		name := cmp.Or(a.Name, notServed)
		for j := range c.activities {
			row := &c.activities[j]
			row.value(a, func(value float64, labels ...string) {
				to <- prometheus.MustNewConstMetric(row.desc, row.kind, value, append([]string{name}, labels...)...)
			})
		}
	}
}

// watch makes the collector show a node, and whether its log has room.
func (c *nodeCollector) watch(n running, room func() error) {
	c.checkpoint.CompareAndSwap(0, time.Now().UnixNano())
	c.node.Store(&watched{n, room})
}

// forget makes it show nothing.
func (c *nodeCollector) forget() { c.node.Store(nil) }

// Describe implements prometheus.Collector.
func (c *nodeCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.syncs
	to <- c.full
	for i := range c.rows {
		to <- c.rows[i].desc
	}
	for i := range c.activities {
		to <- c.activities[i].desc
	}
}

// Collect implements prometheus.Collector. Before recovery is over there is
// nothing to collect.
func (c *nodeCollector) Collect(to chan<- prometheus.Metric) {
	n := c.node.Load()
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	s := n.Stats(ctx)
	for i := range c.rows {
		row := &c.rows[i]
		to <- prometheus.MustNewConstMetric(row.desc, row.kind, row.value(&s))
	}
	c.collectActivities(&s.Activities, to)
	buckets, count := syncBuckets(&s)
	full := 0.0
	if n.room() != nil {
		full = 1
	}
	to <- prometheus.MustNewConstMetric(c.full, prometheus.GaugeValue, full)
	to <- prometheus.MustNewConstHistogram(c.syncs, count, s.Log.SyncSeconds, buckets)
}

// syncBuckets makes cumulative buckets, in seconds, of those of the log.
func syncBuckets(s *node.Stats) (buckets map[float64]uint64, count uint64) {
	buckets = make(map[float64]uint64, len(s.Log.SyncTimes))
	bound := 10 * time.Microsecond
	for i, n := range s.Log.SyncTimes {
		count += n
		if i < len(s.Log.SyncTimes)-1 { // the last has no bound
			buckets[bound.Seconds()] = count
		}
		bound *= 2
	}
	return buckets, count
}
