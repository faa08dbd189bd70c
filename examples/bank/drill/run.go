package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// settleTimeMax is how long deposits that were sent may take to arrive.
	settleTimeMax = 15 * time.Second
	// settlePause is between two looks.
	settlePause = 20 * time.Millisecond
	// progressEvery is how often the progress line is written.
	progressEvery = 100 * time.Millisecond
)

// drill is one run.
type drill struct {
	config   *config
	progress *progress
	door     *door
	counts   counts
	log      tail
	server   *process
	clients  []*client
	report   report
	recovery []*life // one for each restart

	mu      sync.Mutex
	example string // of answers that differ
}

// run does everything. An error means that the drill could not go on; what it
// found until then is in the report.
func (d *drill) run(ctx context.Context) (*report, error) {
	directory, err := os.MkdirTemp("", "holdfast-bank-drill-")
	if err != nil {
		return &d.report, fmt.Errorf("make a directory for the data: %w", err)
	}
	defer d.leave(directory)
	d.door = newDoor()
	defer func() {
		if d.server != nil && d.server.running() {
			d.server.kill()
		}
	}()
	err = d.work(ctx, directory)
	for _, l := range d.recovery {
		select {
		case <-l.first:
			d.report.recovery = max(d.report.recovery, l.recovery)
		default:
		}
	}
	if different := d.counts.different.Load(); different > 0 {
		d.report.wrong("%d repeated requests were answered differently (%s)", different, d.example)
	}
	return &d.report, err
}

func (d *drill) leave(directory string) {
	if d.config.keep {
		d.progress.say("kept", "the data is in %s", directory)
		return
	}
	if err := os.RemoveAll(directory); err != nil {
		d.progress.say("left behind", "%v", err)
	}
}

// work is the drill from the first start of the server to the last check.
func (d *drill) work(ctx context.Context, directory string) error {
	d.progress.say("start", "seed %d", d.config.seed)
	if err := d.start(ctx, directory); err != nil {
		return err
	}
	if err := d.openAccounts(ctx); err != nil {
		return err
	}
	if err := d.transferAndKill(ctx, directory); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if !d.report.sound() {
		return nil
	}
	d.progress.say("restart", "stop in order and look again")
	if err := d.server.stop(); err != nil {
		return err
	}
	d.door.shut()
	if err := d.start(ctx, directory); err != nil {
		return err
	}
	return d.settle(ctx)
}

// start starts a server and lets the clients in.
func (d *drill) start(ctx context.Context, directory string) (err error) {
	if d.server, err = startProcess(ctx, directory, &d.log); err == nil {
		d.door.open(d.server.address, d.server.began)
	}
	return err
}

// openAccounts pays the opening balance into every account, and again with the
// same key.
func (d *drill) openAccounts(ctx context.Context) error {
	d.progress.say("open", "%d accounts", d.config.accounts)
	c := d.newClient("open", 0)
	defer c.web.CloseIdleConnections()
	for i := range d.config.accounts {
		r := request{key: c.nextKey(), path: accountPath + accountName(i) + "/deposit", body: fmt.Appendf(nil, "%d", openingBalance)}
		for range 2 {
			got, err := c.ask(ctx, r)
			if err != nil {
				return err
			}
			if balance, err := got.number(); err != nil || balance != openingBalance {
				return fmt.Errorf("opening %s was answered %q, want %d", accountName(i), got.body, openingBalance)
			}
		}
	}
	return nil
}

// transferAndKill has the clients work, and kills the server in the middle.
func (d *drill) transferAndKill(ctx context.Context, directory string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i := range d.config.clients {
		c := d.newClient(fmt.Sprintf("client-%d", i), uint64(i)+1)
		d.clients = append(d.clients, c)
		working.Go(func() {
			if err := c.work(ctx, stop); err != nil {
				cancel(err)
			}
		})
	}
	err := d.kills(ctx, directory)
	close(stop)
	if err != nil {
		cancel(err)
	}
	working.Wait()
	for _, c := range d.clients {
		d.report.transfers += len(c.done)
		for _, t := range c.done {
			switch t.way {
			case byWorkflow:
				d.report.workflows++
			case byEvent:
				d.report.events++
			}
		}
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// kills lets random times pass, with a kill between every two.
func (d *drill) kills(ctx context.Context, directory string) error {
	random := rand.New(rand.NewPCG(d.config.seed, 1<<32))
	share := d.config.duration / time.Duration(d.config.kills+1)
	for range d.config.kills {
		if err := d.pause(ctx, share/4+rand64(random, share*3/4)); err != nil {
			return err
		}
		if err := d.kill(ctx, directory); err != nil {
			return err
		}
	}
	return d.pause(ctx, share)
}

func rand64(random *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(most) + 1))
}

// pause lets the clients work, and says how far they are.
func (d *drill) pause(ctx context.Context, howLong time.Duration) error {
	timer, tick := time.NewTimer(howLong), time.NewTicker(progressEvery)
	defer timer.Stop()
	defer tick.Stop()
	for {
		d.progress.say(fmt.Sprintf("work, %d of %d kills", d.report.kills, d.config.kills), "%d transfers, %d requests repeated",
			d.counts.transfers.Load(), d.counts.repeats.Load())
		select {
		case <-timer.C:
			return nil
		case <-tick.C:
		case <-d.server.ended:
			return fmt.Errorf("the server ended by itself: %w", d.server.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// kill kills the server while requests are under way, starts it again, and
// waits until somebody has got an answer.
func (d *drill) kill(ctx context.Context, directory string) error {
	for d.door.inFlight.Load() == 0 {
		if err := d.pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	d.server.kill()
	d.door.shut()
	d.report.kills++
	if err := d.start(ctx, directory); err != nil {
		return err
	}
	l, err := d.door.enter(ctx)
	if err != nil {
		return err
	}
	d.recovery = append(d.recovery, l)
	select {
	case <-l.first:
		return nil
	case <-d.server.ended:
		return fmt.Errorf("the server ended by itself: %w", d.server.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle waits until nothing is under way, and checks every balance.
func (d *drill) settle(ctx context.Context) error {
	d.progress.say("check", "every account, once all deposits have arrived")
	c := d.newClient("check", 1<<33)
	defer c.web.CloseIdleConnections()
	for deadline := time.Now().Add(settleTimeMax); ; {
		under, err := d.underWay(ctx, c)
		if err != nil {
			return err
		}
		if under == 0 {
			break
		}
		if time.Now().After(deadline) {
			d.report.wrong("%d messages have not arrived after %v", under, settleTimeMax)
			break
		}
		if err := d.pauseQuietly(ctx); err != nil {
			return err
		}
	}
	balances, err := d.balances(ctx, c)
	if err != nil {
		return err
	}
	d.ledger().compare(balances, &d.report)
	return nil
}

func (d *drill) pauseQuietly(ctx context.Context) error {
	select {
	case <-time.After(settlePause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *drill) ledger() *ledger {
	l := &ledger{opening: openingBalance}
	for _, c := range d.clients {
		l.done = append(l.done, c.done...)
	}
	return l
}

func (d *drill) balances(ctx context.Context, c *client) ([]int64, error) {
	balances := make([]int64, d.config.accounts)
	for i := range balances {
		got, err := c.ask(ctx, request{path: accountPath + accountName(i) + "/balance"})
		if err == nil {
			balances[i], err = got.number()
		}
		if err != nil {
			return nil, fmt.Errorf("read the balance of %s: %w", accountName(i), err)
		}
	}
	return balances, nil
}

// underWay counts the messages that have been sent and not acknowledged, and
// those that wait: the server says so in its metrics.
func (d *drill) underWay(ctx context.Context, c *client) (int64, error) {
	l, err := d.door.enter(ctx)
	if err != nil {
		return 0, err
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := c.web.Do(get)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	defer response.Body.Close()
	var sum float64
	found := 0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name != "holdfast_outbox_messages" && name != "holdfast_queue_inputs" {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(value, &n); err != nil {
			return 0, fmt.Errorf("read the metrics: %s is %q", name, value)
		}
		sum, found = sum+n, found+1
	}
	if found != 2 {
		return 0, errors.New("the metrics do not say what is under way")
	}
	return int64(sum), nil
}

// differs keeps one example of an answer that was not repeated.
func (d *drill) differs(first answered, again answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.example == "" {
		d.example = fmt.Sprintf("%v: first %d %s, then %d %s", first.request,
			first.answer.status, first.answer.body, again.status, again.body)
	}
}

func (d *drill) serverLog() []string { return d.log.all() }
