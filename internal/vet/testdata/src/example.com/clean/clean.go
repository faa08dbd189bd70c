// Package clean has workflows with which nothing is wrong.
package clean

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast"
)

type order struct {
	ID   string
	Due  time.Time
	Rows map[string]int
}

var charge = holdfast.NewActivity[order, string]("charge")

const patience = 3 * time.Hour

func fulfil(ctx *holdfast.WorkflowContext, o order) (string, error) {
	due := o.Due.Add(patience).Truncate(time.Minute)
	if due.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || due.After(time.Unix(0, 0)) {
		return "", errors.New("late")
	}
	text, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	rates, err := holdfast.Step(ctx, "rates", rates)
	if err != nil {
		return "", err
	}
	if _, err := holdfast.Step(ctx, "file", func(ctx context.Context) (int, error) {
		c := make(chan int, 1)
		go func() { c <- 1 }()
		time.Sleep(1)
		return <-c, os.WriteFile("x", text, 0o600)
	}); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	dice := rand.New(rand.NewSource(1)).Intn(6) + ctx.Rand().Intn(6)
	request, err := http.NewRequest(http.MethodGet, "x", strings.NewReader(ctx.NewID()))
	if err != nil || net.ParseIP(request.Host) == nil {
		return "", err
	}
	var counter atomic.Int64
	counter.Add(int64(dice))
	slices.Sort(rates)
	done := make(chan int)
	_ = cap(done)
	paid, err := charge.Call(ctx, o)
	return paid + strings.Join(rates, ",") + ctx.Now().Format(time.RFC3339), err
}

func rates(ctx context.Context) ([]string, error) {
	_, err := http.Get("x")
	return nil, err
}

// unused is ordinary code that no workflow calls.
func unused() time.Time {
	time.Sleep(1)
	return time.Now()
}
