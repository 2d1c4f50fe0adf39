// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/alert"
	"github.com/scaplab/scaplab/sinsp/rule"
)

// rulesOptions are the flags of scap rules.
type rulesOptions struct {
	read     string
	duration time.Duration
	all      bool // matches of an event, rather than the first
	priority string
	steps    []rule.Step
	settings []string
	metrics  string

	format  alert.Format
	outputs []string
	queue   int
	http    alert.HTTPOptions
	add     []rule.Append

	source  sourceFlags
	scan    scanFlags
	capture captureFlags
}

func (o *rulesOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.read, "read", "r", "", "apply the rules to a capture, rather than to this machine; -: standard input")
	f.DurationVarP(&o.duration, "duration", "d", 0, "stop after this time")
	f.BoolVar(&o.all, "all-matches", false, "alert for all rules that an event matches, rather than for the first")
	o.addSelection(f)
	f.BoolVarP(&o.format.JSON, "json", "j", false, "alerts are JSON objects")
	f.StringArrayVar(&o.outputs, "output", nil, "where alerts go: stdout, file:PATH, program:COMMAND, http://... or https://..., syslog, syslog:udp:HOST:PORT; may be repeated; default stdout")
	f.StringVar(&o.http.CA, "http-ca", "", "file with the certificates that the server's is signed by")
	f.StringVar(&o.http.Cert, "http-cert", "", "file with the client's certificate")
	f.StringVar(&o.http.Key, "http-key", "", "file with its key")
	f.BoolVar(&o.http.Insecure, "http-insecure", false, "do not look at the server's certificate")
	f.IntVar(&o.queue, "queue", 0, "alerts that wait for each output; 0: 1024")
	f.StringVar(&o.metrics, "metrics", "", "serve /metrics and /healthz on this address")
	f.Lookup("metrics").NoOptDefVal = "127.0.0.1:8765"
	f.StringArrayVarP(&o.settings, "option", "o", nil, "a setting of falco as KEY=VALUE, such as json_output=true; scap rules --help-options lists them")
	o.capture.add(cmd)
	o.source.add(cmd)
	o.scan.add(cmd)
}

// addSelection adds the flags that select rules.
func (o *rulesOptions) addSelection(f *pflag.FlagSet) {
	f.StringVarP(&o.priority, "priority", "P", rule.Debug.String(), "leave out rules that are less severe")
	f.Var(&stepFlag{o, true, false}, "enable", "enable the rules of that name, in which * stands for any text; this and the next three apply in the order given")
	f.Var(&stepFlag{o, false, false}, "disable", "disable the rules of that name")
	f.Var(&stepFlag{o, true, true}, "enable-tag", "enable the rules that have the tag")
	f.Var(&stepFlag{o, false, true}, "disable-tag", "disable the rules that have the tag")
}

// stepFlag adds a step of the selection.
type stepFlag struct {
	o           *rulesOptions
	enable, tag bool
}

func (s *stepFlag) String() string { return "" }
func (s *stepFlag) Type() string   { return "string" }
func (s *stepFlag) Set(v string) error {
	step := rule.Step{Enable: s.enable, Name: v}
	if s.tag {
		step.Name, step.Tag = "", v
	}
	s.o.steps = append(s.o.steps, step)
	return nil
}

// load loads the rules and selects some. The report is printed to talk if it says
// anything.
func (o *rulesOptions) load(paths []string, talk io.Writer) (*rule.Engine, error) {
	least, err := rule.ParsePriority(o.priority)
	if err != nil {
		return nil, cli.Usage(err)
	}
	set, report := loadRules(paths, o.add)
	printReport(talk, report)
	if report.Failed() {
		return nil, cli.Found(errors.New("the rules have errors"))
	}
	for _, step := range set.Select(o.steps, least) {
		fmt.Fprintf(talk, "warning: no rule has the %s %q\n", map[bool]string{true: "tag", false: "name"}[step.Tag != ""], step.Name+step.Tag)
	}
	engine := set.Engine()
	if len(engine.Rules) == 0 {
		fmt.Fprintln(talk, "warning: no rule is enabled")
	}
	return engine, nil
}

// sinks returns what the outputs are.
func (o *rulesOptions) sinks(stdout, talk io.Writer) (list []alert.Sink, err error) {
	if o.outputs == nil {
		o.outputs = []string{"stdout"}
	}
	defer func() {
		if err != nil {
			for _, s := range list {
				s.Close()
			}
		}
	}()
	for _, text := range o.outputs {
		var s alert.Sink
		kind, rest, _ := strings.Cut(text, ":")
		switch {
		case text == "stdout":
			s = alert.Stream(text, stdout)
		case kind == "file" && rest != "":
			s, err = alert.File(rest)
		case kind == "program" && rest != "":
			s = alert.Program(rest, talk)
		case kind == "http" || kind == "https":
			opts := o.http
			opts.URL, opts.UserAgent = text, cmp.Or(opts.UserAgent, "scap/"+cli.ThisBuild().Version)
			s, err = alert.HTTP(opts)
		case kind == "syslog":
			network, address, _ := strings.Cut(rest, ":")
			if rest != "" && address == "" {
				return list, cli.Usage(fmt.Errorf("output %s: no address (such as syslog:udp:10.0.0.1:514)", text))
			}
			s, err = alert.Syslog(network, address)
		default:
			return list, cli.Usage(fmt.Errorf("unknown output %q (stdout, file:PATH, program:COMMAND, http://..., https://..., syslog)", text))
		}
		if err != nil {
			return list, cli.Lacking(fmt.Errorf("output %s: %w", text, err))
		}
		list = append(list, s)
	}
	return list, nil
}

// tally counts the matches of rules of one name.
type tally struct {
	rule *rule.Rule
	n    atomic.Uint64
}

// ruleRunner applies rules to events.
type ruleRunner struct {
	all       bool
	engine    *rule.Engine
	tallies   []*tally // of the engine's rules
	formatter *alert.Formatter
	outputs   *alert.Outputs
	talk      io.Writer
	around    *surroundings // nil: no captures
	self      event.PID     // process whose events are left out; 0: none
	began     bool          // events are looked at
	end       uint64        // events after that time are not looked at; 0: no limit

	mu     sync.Mutex
	byName map[string]*tally // rules of engines before, too
	seen   atomic.Uint64     // events
	state  atomic.Pointer[sinsp.Stats]
}

// use makes the runner apply the rules of an engine. The counts of rules stay.
func (r *ruleRunner) use(e *rule.Engine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engine, r.tallies = e, nil
	for _, one := range e.Rules {
		t := r.byName[one.Name]
		if t == nil {
			t = &tally{}
			r.byName[one.Name] = t
		}
		t.rule = one
		r.tallies = append(r.tallies, t)
	}
}

// apply finds the rules that hold for an event and sends alerts.
func (r *ruleRunner) apply(ctx context.Context, ev *sinsp.Event) error {
	for i := r.engine.First(ev); i >= 0; i = r.engine.Next(ev) {
		r.tallies[i].n.Add(1)
		a, err := r.formatter.Make(r.engine.Rules[i], ev)
		if err != nil {
			return err
		}
		r.outputs.Send(ctx, a)
		if r.around != nil {
			r.around.alert(r.engine.Rules[i], ev)
		}
		if !r.all {
			return nil
		}
	}
	return nil
}

// next reads an event and applies the rules to it.
func (r *ruleRunner) next(ctx context.Context, in *sinsp.Inspector) error {
	ev, err := in.Next()
	if err != nil {
		return err
	}
	if r.end > 0 && ev.Timestamp() > r.end {
		return errStop
	}
	if r.self != 0 && (ev.TID() == r.self || ev.Thread != nil && ev.Thread.PID == r.self) {
		return nil // our own outputs: an alert of one would make the next
	}
	if r.around == nil {
		return r.apply(ctx, ev)
	}
	r.around.keep(ev)
	err = r.apply(ctx, ev)
	r.around.rotate(ev.Timestamp())
	return err
}

// inspect makes the inspector of the events.
func (o *rulesOptions) inspect(r *ruleRunner, src scap.Source, opts sinsp.Options) *sinsp.Inspector {
	r.began = true
	in := sinsp.New(src, opts)
	if o.capture.dir != "" {
		r.around = watchSurroundings(o.capture, o.read == "", in, r.talk)
	}
	return in
}

func (o *rulesOptions) checkHTTP() error {
	if (o.http.Cert == "") != (o.http.Key == "") {
		return cli.Usage(errors.New("--http-cert and --http-key: both, or none"))
	}
	return nil
}

func (o *rulesOptions) run(cmd *cobra.Command, paths []string) (err error) {
	if err := o.set(); err != nil {
		return cli.Usage(err)
	}
	if err := cmp.Or(o.source.check(), o.capture.check(), o.checkHTTP()); err != nil {
		return err
	}
	talk := &talk{w: cmd.ErrOrStderr()}
	hup := make(chan os.Signal, 1)
	if o.read == "" { // also one that comes before the capture begins does not end the process
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
	}
	engine, err := o.load(paths, talk)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	sinks, err := o.sinks(cmd.OutOrStdout(), talk)
	if err != nil {
		return err
	}
	r := &ruleRunner{
		all: o.all, formatter: alert.NewFormatter(o.format), talk: talk, byName: map[string]*tally{},
		outputs: alert.Start(alert.Options{Queue: o.queue, Wait: o.read != "", Say: func(text string) {
			fmt.Fprintf(talk, "scap rules: %s\n", escape.Lines(text))
		}}, sinks...),
	}
	r.use(engine)
	start := time.Now()
	var lost string
	if o.read != "" {
		err = o.fromFile(ctx, r)
	} else {
		lost, err = o.live(ctx, r, paths, hup)
	}
	elapsed := time.Since(start)
	if r.around != nil {
		r.around.close()
	}
	outs := r.outputs.Close(grace)
	if r.began {
		r.summary(elapsed, outs, lost)
	}
	return err
}

// grace is the time that outputs have for what is in their queues, at the end.
const grace = 800 * time.Millisecond

// limit returns a context that also ends after --duration.
func (o *rulesOptions) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.duration <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, o.duration)
}

// fromFile applies the rules to a capture.
func (o *rulesOptions) fromFile(ctx context.Context, r *ruleRunner) error {
	src, err := savefile.Open(o.read, savefile.Options{})
	if err != nil {
		return opened(err)
	}
	defer src.Close()
	m, err := o.serve(r, nil)
	if err != nil {
		return err
	}
	defer m.close()
	ctx, stop := o.limit(ctx)
	defer stop()
	in := o.inspect(r, src, sinsp.Options{})
	for n := uint64(0); ; n++ {
		if n&0xfff == 0 {
			r.publish(in)
			if ctx.Err() != nil {
				return nil
			}
		}
		switch err := r.next(ctx, in); {
		case errors.Is(err, io.EOF):
			r.publish(in)
			return leftOut(src, o.read)
		case err != nil:
			r.publish(in)
			return cli.Found(err)
		}
	}
}

// publish lets other goroutines see the counts of the inspector.
func (r *ruleRunner) publish(in *sinsp.Inspector) {
	st := in.Stats()
	r.seen.Store(st.Events)
	r.state.Store(&st)
}

// live applies the rules to the events of this machine, and reads them again on hup. lost
// says what was lost.
func (o *rulesOptions) live(ctx context.Context, r *ruleRunner, paths []string, hup <-chan os.Signal) (lost string, err error) {
	src, err := o.source.open(selectionFor(r.engine, o.source.enter, true), r.talk)
	if err != nil {
		return "", cli.Lacking(err)
	}
	defer src.Close()
	r.self = src.Self()
	held, state, err := readDuring(ctx, src, maxHeld, func(ctx context.Context) (*proc.State, error) { return o.scan.scan(ctx, r.self) })
	if err != nil {
		if ctx.Err() != nil {
			return "", nil
		}
		return "", cli.Lacking(err)
	}
	m, err := o.serve(r, src)
	if err != nil {
		return "", err
	}
	defer m.close()
	in := o.inspect(r, held, sinsp.Options{
		State: state,
		Lookup: func(tid event.PID) (*proc.Thread, error) {
			return proc.ScanThread(proc.Options{Root: o.scan.root, MaxFDs: o.scan.fds, Self: r.self}, tid)
		},
	})
	fmt.Fprintf(r.talk, "scap rules: %d rules watch this machine\n", len(r.engine.Rules))
	ctx, stop := o.limit(ctx) // the start, which may take seconds, does not count
	defer stop()
	loaded := make(chan *rule.Engine, 1)
	loading, again := false, false
	load := func() {
		loading, again = true, false
		go func() { // reading and compiling takes longer than the rings hold events
			e, err := o.load(paths, r.talk)
			if err != nil {
				fmt.Fprintf(r.talk, "scap rules: %v; the rules are those of before\n", err)
			}
			loaded <- e
		}()
	}
	for n, tick := 0, time.Now(); ctx.Err() == nil; n++ {
		if err := r.next(ctx, in); err != nil && !errors.Is(err, scap.ErrTimeout) {
			return r.lost(src), cli.Lacking(err)
		}
		// If more events wait, the clock is read less often.
		if !in.Waits() && n%4096 != 0 {
			continue
		}
		select {
		case <-hup:
			r.outputs.Reopen()
			if again = loading; !again { // else the files may have changed after they were read
				load()
			}
		case e := <-loaded:
			if loading = false; again {
				load()
			}
			if e == nil {
				break
			}
			if err := src.Select(selectionFor(e, o.source.enter, true)); err != nil {
				fmt.Fprintf(r.talk, "scap rules: %v; the rules are those of before\n", err)
				break
			}
			r.use(e)
			fmt.Fprintf(r.talk, "scap rules: %d rules watch this machine\n", len(e.Rules))
		default:
		}
		if now := time.Now(); now.Sub(tick) >= time.Second {
			tick = now
			r.publish(in)
		}
	}
	err = r.drain(src, in)
	r.publish(in)
	return r.lost(src), err
}

// drain applies the rules to what was captured before the end, as far as half a second
// allows.
func (r *ruleRunner) drain(src scap.Live, in *sinsp.Inspector) error {
	now := time.Now()
	r.end = uint64(now.UnixNano())
	ctx, stop := context.WithDeadline(context.Background(), now.Add(time.Second/2))
	defer stop()
	if err := src.Select(scap.Selection{}); err != nil {
		return err
	}
	src.Interrupt() // when the rings are empty, that is all
	for ctx.Err() == nil {
		switch err := r.next(ctx, in); {
		case errors.Is(err, errStop) || errors.Is(err, scap.ErrTimeout):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

func (r *ruleRunner) lost(src scap.Source) string {
	st, err := src.Stats()
	if err != nil {
		return "losses unknown: " + err.Error()
	}
	return drops(st.Drops)
}

// summary prints what happened: totals by priority and rule, and what became of the
// alerts.
func (r *ruleRunner) summary(elapsed time.Duration, outs []alert.Stats, lost string) {
	var total uint64
	byPriority := map[rule.Priority][]*tally{}
	for _, t := range r.byName {
		if n := t.n.Load(); n > 0 {
			total += n
			byPriority[t.rule.Priority] = append(byPriority[t.rule.Priority], t)
		}
	}
	var b strings.Builder
	seen := r.seen.Load()
	fmt.Fprintf(&b, "%d events in %s (%.0f/s), %d alerts", seen, elapsed.Round(time.Millisecond), float64(seen)/elapsed.Seconds(), total)
	if lost != "" {
		b.WriteString(", " + lost)
	}
	b.WriteByte('\n')
	for p := rule.Emergency; p <= rule.Debug; p++ {
		list := byPriority[p]
		if list == nil {
			continue
		}
		slices.SortFunc(list, func(a, b *tally) int {
			return cmp.Or(cmp.Compare(b.n.Load(), a.n.Load()), strings.Compare(a.rule.Name, b.rule.Name))
		})
		for _, t := range list {
			fmt.Fprintf(&b, "%8d  %-13s %s\n", t.n.Load(), p, t.rule.Name)
		}
	}
	for _, s := range outs {
		fmt.Fprintf(&b, "%s: %d delivered", s.Name, s.Delivered)
		if s.LeftOut() > 0 {
			fmt.Fprintf(&b, ", %d left out (%s)", s.LeftOut(), causes(s))
		}
		b.WriteByte('\n')
	}
	fmt.Fprint(r.talk, escape.Lines(b.String()))
}

func causes(s alert.Stats) string {
	var list []string
	for _, c := range []struct {
		n    uint64
		what string
	}{{s.Full, "queue full"}, {s.Failed, "failed"}, {s.Unsent, "not delivered at the end"}} {
		if c.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(list, ", ")
}
