// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Sink is where alerts go. Its methods are called by one goroutine, but for Reopen.
type Sink interface {
	// Name says what it is, for messages: "file alerts.log".
	Name() string
	// Deliver delivers an alert. It gives up when ctx ends, if it can.
	Deliver(ctx context.Context, a *Alert) error
	// Close ends it.
	Close() error
}

// Reopener is a sink that can begin anew: its file was moved away.
type Reopener interface{ Reopen() }

// Options configure outputs.
type Options struct {
	// Queue is how many alerts wait for each output; 0: 1024.
	Queue int
	// Wait makes Send wait for outputs rather than leave alerts out: for captures that
	// were read from a file, where nothing is lost by waiting.
	Wait bool
	// Say gets a line when an output fails, and when it works again; it may be called by
	// several goroutines. nil: nobody is told.
	Say func(text string)
}

// Outputs are sinks that get the same alerts.
type Outputs struct {
	opts   Options
	list   []*channel
	ctx    context.Context
	cancel context.CancelFunc
	closed sync.WaitGroup
}

// channel is a sink with its queue.
type channel struct {
	sink  Sink
	queue chan *Alert

	sent, failed, full, unsent atomic.Uint64
	delivering                 atomic.Uint64 // 1: the sink has an alert
	broken                     bool          // the last alert failed
}

// Stats counts what became of the alerts of an output.
type Stats struct {
	Name      string
	Delivered uint64
	Failed    uint64 // the output did not take them
	Full      uint64 // the queue had no room
	Unsent    uint64 // in the queue when the time was over
	Waiting   int    // in the queue now
}

// LeftOut is the number of alerts that were not delivered.
func (s Stats) LeftOut() uint64 { return s.Failed + s.Full + s.Unsent }

// Start starts outputs to sinks.
func Start(opts Options, sinks ...Sink) *Outputs {
	if opts.Queue <= 0 {
		opts.Queue = 1024
	}
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	o := &Outputs{opts: opts}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	for _, s := range sinks {
		c := &channel{sink: s, queue: make(chan *Alert, opts.Queue)}
		o.list = append(o.list, c)
		o.closed.Add(1)
		go o.run(c)
	}
	return o
}

// Send passes an alert on to all outputs. It does not wait, unless Options.Wait says so:
// then it waits until ctx ends.
func (o *Outputs) Send(ctx context.Context, a *Alert) {
	for _, c := range o.list {
		select {
		case c.queue <- a:
			continue
		default:
		}
		if !o.opts.Wait {
			c.full.Add(1)
			continue
		}
		select {
		case c.queue <- a:
		case <-ctx.Done():
			c.full.Add(1)
		}
	}
}

func (o *Outputs) run(c *channel) {
	defer o.closed.Done()
	for a := range c.queue {
		if o.ctx.Err() != nil {
			c.unsent.Add(1)
			continue
		}
		c.delivering.Store(1)
		err := c.sink.Deliver(o.ctx, a)
		c.delivering.Store(0)
		switch {
		case err == nil:
			c.sent.Add(1)
			if c.broken {
				o.opts.Say(c.sink.Name() + " works again")
			}
		case o.ctx.Err() != nil:
			c.unsent.Add(1)
		default:
			c.failed.Add(1)
			if !c.broken {
				o.opts.Say(fmt.Sprintf("%s: %v; alerts are left out until it works", c.sink.Name(), err))
			}
		}
		c.broken = err != nil
	}
	if err := c.sink.Close(); err != nil && o.ctx.Err() == nil {
		o.opts.Say(fmt.Sprintf("%s: %v", c.sink.Name(), err))
	}
}

// Reopen lets sinks that have a file open it anew.
func (o *Outputs) Reopen() {
	for _, c := range o.list {
		if r, ok := c.sink.(Reopener); ok {
			r.Reopen()
		}
	}
}

// Stats returns the counts so far.
func (o *Outputs) Stats() []Stats {
	var list []Stats
	for _, c := range o.list {
		list = append(list, Stats{c.sink.Name(), c.sent.Load(), c.failed.Load(), c.full.Load(), c.unsent.Load(), len(c.queue)})
	}
	return list
}

// Close delivers what is in the queues, ends the outputs and returns the counts. After
// the grace it gives up: what outputs did not take by then counts as unsent. Nothing may
// be sent any more.
func (o *Outputs) Close(grace time.Duration) []Stats {
	for _, c := range o.list {
		close(c.queue)
	}
	done := make(chan struct{})
	go func() {
		o.closed.Wait()
		close(done)
	}()
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-done:
			return true
		case <-timer.C:
			return false
		}
	}
	if !wait(grace) {
		o.cancel()
		if !wait(grace / 4) { // a sink that cannot be interrupted
			list := o.Stats()
			for i, c := range o.list {
				list[i].Unsent += uint64(list[i].Waiting) + c.delivering.Load()
			}
			return list
		}
	}
	o.cancel()
	return o.Stats()
}
