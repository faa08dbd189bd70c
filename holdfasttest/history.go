package holdfasttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Histories executes recorded runs of workflows again with the code of the app, and
// fails the test for each that the code does not fit: it says which step was
// recorded, what the code asks for now, and where. Nothing else is run, no activity
// and no handler. The pattern names files, as filepath.Glob does; each is what the
// server answers to
//
//	GET /v1/workflows/{name}/{id}/history?journal=true
//
// of a run that goes on or has ended. No file at all fails the test, too.
func Histories(t testing.TB, app *holdfast.App, pattern string) {
	t.Helper()
	if err := app.Validate(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no histories in %s (%v): store what GET /v1/workflows/{name}/{id}/history?journal=true answers", pattern, err)
	}
	p := app.Program()
	if keeps, ok := p.(io.Closer); ok {
		defer keeps.Close()
	}
	for _, file := range files {
		if err := executeAgain(p, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// executeAgain says what does not fit.
func executeAgain(p program.Program, file string) error {
	var history struct {
		ID, Name string
		Run      msg.Index
		Journal  [][]byte
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &history); err != nil || history.Name == "" || history.Journal == nil {
		return fmt.Errorf("it is no history with a journal (%v): ask with ?journal=true", err)
	}
	for _, kind := range p.Describe().Kinds {
		if kind.Name == history.Name && kind.Form == msg.FormWorkflow {
			o := p.Turn(program.WithLogger(context.Background(), slog.New(slog.DiscardHandler)), &msg.Turn{
				Mode: msg.ModeQuery, Message: &msg.Message{Target: msg.Ref{Kind: history.Name, Key: history.ID}},
				State:    msg.Snapshot{Fields: msg.Journal(history.Journal)},
				Workflow: &msg.Workflow{Run: history.Run, Status: msg.WorkflowRunning},
			})
			if o.Fault != "" {
				return fmt.Errorf("%s", o.Fault)
			}
			return nil
		}
	}
	return fmt.Errorf("the app has no workflow %q", history.Name)
}
