// Package clocks has workflows that ask the world.
package clocks

import (
	"context"
	crypto "crypto/rand"
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"math/rand"
	two "math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/holdfast-io/holdfast"
)

var total int

var table = map[string]int{}

var config struct{ names []string }

var add = holdfast.NewUpdate[int, int](holdfast.NewEntity[int]("counter"), "add")

func clock(ctx *holdfast.WorkflowContext, in time.Time) (time.Duration, error) {
	now := time.Now // want `time.Now gives another time in each execution: use ctx.Now\(\)`
	_ = now().Sub(in)
	_ = time.Until(in)           // want `time.Until gives another time`
	_ = time.NewTimer(1)         // want `time.NewTimer fires in real time`
	time.AfterFunc(1, func() {}) // want `time.AfterFunc fires in real time`
	return time.Since(in), nil   // want `time.Since gives another time`
}

func deadlines(ctx *holdfast.WorkflowContext, in int) (int, error) {
	c, cancel := context.WithTimeout(context.Background(), time.Second) // want `context.WithTimeout ends in real time, .*: use ctx.Timer with holdfast.Select, or holdfast.Timeout for an activity`
	defer cancel()
	<-c.Done() // want `a receive from a channel`
	return 0, nil
}

func chance(ctx *holdfast.WorkflowContext, in int) (int, error) {
	_ = rand.Intn(in)                                   // want `rand.Intn gives another value in each execution: use ctx.Rand\(\), or ctx.NewID\(\) for an identifier`
	_ = two.N(in)                                       // want `rand.N gives another value`
	_ = crypto.Text()                                   // want `rand.Text gives another value`
	_ = crypto.Reader                                   // want `rand.Reader gives another value`
	rand.Shuffle(in, nil)                               // want `rand.Shuffle`
	_ = rand.New(rand.NewSource(time.Now().UnixNano())) // want `time.Now`
	return 0, nil
}

func world(ctx *holdfast.WorkflowContext, db *sql.DB, h *http.Client, r *http.Request, f *os.File, n net.Conn) error {
	_, _ = os.ReadFile("x")           // want `os.ReadFile depends on the machine or changes it, again in each execution: wrap it in holdfast.Step, or call an activity`
	_ = os.Getenv("x")                // want `os.Getenv`
	_, _ = f.Write(nil)               // want `os.File.Write`
	_, _ = net.Dial("", "")           // want `net.Dial talks to the outside again in each execution: call an activity, or wrap it in holdfast.Step`
	_, _ = n.Read(nil)                // want `net.Conn.Read`
	_, _ = http.Get("x")              // want `http.Get talks`
	_, _ = h.Do(r)                    // want `http.Client.Do talks`
	_, _ = db.Exec("x")               // want `sql.DB.Exec talks`
	_ = runtime.NumCPU()              // want `runtime.NumCPU`
	fmt.Println("x")                  // want `fmt.Println is written again in each execution: use ctx.Log\(\)`
	log.Printf("x")                   // want `log.Printf is written`
	slog.Info("x")                    // want `slog.Info is written`
	fmt.Fprintln(os.Stderr)           // want `os.Stderr is written`
	runtime.Goexit()                  // want `runtime.Goexit ends the goroutine or the process under the workflow: return an error`
	os.Exit(1)                        // want `os.Exit ends`
	log.Fatal("x")                    // want `log.Fatal ends`
	c := holdfast.Dial("x").With(nil) // want `holdfast.Dial goes past the record of the workflow: give ctx itself` `holdfast.Client.With goes past`
	_, err := add.Call(c, "a", 1)
	return err
}

func globals(ctx *holdfast.WorkflowContext, in int) (int, error) {
	total += in                         // want `the package variable total is shared by all workflows and part of no record: keep it in a local variable, or in an entity`
	total++                             // want `the package variable total`
	table["x"] = in                     // want `the package variable table`
	delete(table, "x")                  // want `the package variable table`
	config.names = append(config.names) // want `the package variable config`
	http.DefaultClient.Timeout = 1      // want `the package variable DefaultClient`
	local := table
	local = nil
	_ = local
	return total, nil
}

func create(ctx *holdfast.InitContext) (time.Time, error) {
	return time.Now(), nil // want `time.Now`
}
