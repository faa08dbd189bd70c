package server

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/node"
)

// counted is a node that only has numbers.
type counted struct {
	running
	stats node.Stats
}

func (c counted) Stats(context.Context) node.Stats { return c.stats }

// TestMetricsShowActivities: a value for each activity, and one for all that are
// not served, once there are some.
func TestMetricsShowActivities(t *testing.T) {
	var s node.Stats
	s.Partitions.Workflows, s.Partitions.Tasks, s.Loops.HeldTasks = 1, 2, 3
	s.Activities.Activities = []activity.ActivityStats{
		{Name: "pay", Running: 4, Queued: 5, LeftBehind: 6, Succeeded: 7, Failed: 8, TimedOut: 9, Interrupted: 10, Retried: 11}, {},
	}
	want := map[string]float64{
		"holdfast_workflows": 1, "holdfast_activities": 2, "holdfast_held_activities": 3,
		"holdfast_activity_running_attempts pay": 4, "holdfast_activity_queued_attempts pay": 5, "holdfast_activity_left_behind_attempts pay": 6,
		"holdfast_activity_attempts_total pay succeeded": 7, "holdfast_activity_attempts_total pay failed": 8,
		"holdfast_activity_attempts_total pay timed_out": 9, "holdfast_activity_attempts_total pay interrupted": 10,
		"holdfast_activity_attempts_total pay not_served": 0, "holdfast_activity_retries_total pay": 11,
	}
	wantValues(t, s, want)
	s.Activities.Activities[1].NotServed = 12
	want["holdfast_activity_attempts_total (not served) not_served"] = 12
	want["holdfast_activity_running_attempts (not served)"] = 0
	wantValues(t, s, want)
}

// wantValues compares what is shown of activities and workflows of a node.
func wantValues(t *testing.T, s node.Stats, want map[string]float64) {
	t.Helper()
	c := newNodeCollector()
	c.watch(counted{stats: s}, func() error { return nil })
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			got[nameOf(family, m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, value := range want {
		if shown, ok := got[name]; !ok || shown != value {
			t.Errorf("%s: got %v (%v), want %v", name, shown, ok, value)
		}
	}
	if _, shown := got["holdfast_activity_running_attempts (not served)"]; shown != (s.Activities.Activities[1].NotServed > 0) {
		t.Error("what is not served is shown before it was asked for, or not after")
	}
}

func nameOf(family *dto.MetricFamily, m *dto.Metric) string {
	name := family.GetName()
	for _, label := range m.GetLabel() {
		name += " " + label.GetValue()
	}
	return name
}
