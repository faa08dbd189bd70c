package server

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
)

// TestSchedulesBeginRunsAndAreNotSeen: a run begins once, however often the
// server starts, and what keeps the schedule is hidden.
func TestSchedulesBeginRunsAndAreNotSeen(t *testing.T) {
	work := holdfast.NewWorkflow[string, string]("job")
	app := holdfast.NewApp("agency", work.Handle(func(ctx *holdfast.WorkflowContext, in string) (string, error) { return in, nil }).
		Schedule("soon", holdfast.After(time.Millisecond), "in").
		Schedule("past", holdfast.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), "past").
		Schedule("later", holdfast.Every(time.Hour), "later"))
	dir := t.TempDir()
	var before string
	for life := range 3 {
		s := startServer(t, Config{DataDir: dir, App: app}).waitReady()
		s.expect("GET", "/v1/workflows/job/past@2026-01-02T03:04:05Z?wait=10s", "", 200, "")
		var runs string
		waitUntil(t, "both runs have begun", func() bool {
			_, runs = s.ask("GET", "/v1/workflows/job", "")
			return strings.Contains(runs, `"soon@`) && strings.Count(runs, `"completed"`) == 2
		})
		if life > 0 && runs != before {
			t.Errorf("after a restart the runs are %s, want %s", runs, before)
		}
		before = runs
		s.expect("GET", "/v1/entities/"+url.PathEscape(`\schedule`)+"/job%2Fsoon", "", 404, "")
		s.expect("DELETE", "/v1/entities/"+url.PathEscape(`\schedule`)+"/job%2Flater", "", 404, "")
		if _, document := s.ask("GET", "/openapi.json", ""); strings.Contains(document, `\schedule`) || !strings.Contains(document, "/v1/workflows/job") {
			t.Errorf("the document shows a schedule, or does not show the workflow: %s", document)
		}
		if err := s.end(); err != nil {
			t.Fatal(err)
		}
	}
}
