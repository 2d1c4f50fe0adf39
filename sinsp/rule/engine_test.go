// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/synth"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// collected are the events of synth in memory.
type collected struct{ src *scaptest.Source }

func (c collected) Write(ev *event.Event) error {
	c.src.Add(append([]byte(nil), ev.Bytes()...), ev.CPU())
	return nil
}

func synthetic(tb testing.TB, n int) *scaptest.Source {
	tb.Helper()
	src := &scaptest.Source{}
	require.NoError(tb, synth.Write(collected{src}, n))
	return src
}

func TestRulesAreFoundInOrder(t *testing.T) {
	file := ""
	for _, r := range [][2]string{
		{"writes", "evt.type = write"}, {"hosts", "opens and fd.name = /etc/hosts"}, {"etc", "opens and fd.name startswith /etc"},
		{"off", "opens"}, {"never", "opens and evt.type = write"},
	} {
		file += "- rule: " + r[0] + "\n  desc: d\n  condition: " + r[1] + "\n  output: o\n  priority: notice\n"
	}
	set := mustLoad(t, "f", "- macro: opens\n  condition: evt.type in (open, openat)\n"+file+"- rule: off\n  enabled: false\n  override: {enabled: replace}\n")
	e := set.Engine()
	in := sinsp.New(synthetic(t, 3000), sinsp.Options{})
	found := map[string]int{}
	for {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		var got []string
		for i := e.First(ev); i >= 0; i = e.Next(ev) {
			got = append(got, e.Rules[i].Name)
			found[e.Rules[i].Name]++
		}
		name := ""
		if fd := ev.FD(); fd != nil {
			name = fd.Path
		}
		switch {
		case ev.Type() == event.TypeWriteExit:
			require.Equal(t, []string{"writes"}, got)
		case ev.Type() == event.TypeOpenatExit && name == "/etc/hosts":
			require.Equal(t, []string{"hosts", "etc"}, got)
		case ev.Type() == event.TypeOpenatExit && len(name) > 4 && name[:5] == "/etc/":
			require.Equal(t, []string{"etc"}, got)
		default:
			require.Empty(t, got, "%s %s", ev.Type(), name)
		}
		ev.SetHidden(true)
		require.Equal(t, -1, e.First(ev), "hidden events only update the state")
		require.Equal(t, -1, e.Next(ev))
	}
	require.NotZero(t, found["writes"])
	require.NotZero(t, found["hosts"])
	require.Greater(t, found["etc"], found["hosts"])
}

// An engine finds what each rule finds alone.
func TestOfficialRulesTogetherAreWhatTheyAreAlone(t *testing.T) {
	files := []string{officialFiles[0].name, officialFiles[1].name, officialFiles[2].name}
	set := mustOfficial(t, files...)
	for _, r := range set.Rules {
		r.Enabled = true
	}
	e := set.Engine()
	alone := map[string]*Engine{}
	for _, r := range mustOfficial(t, files...).Rules {
		one := &Set{Rules: []*Rule{r}, group: filter.NewGroup()}
		r.Enabled = true
		alone[r.Name] = one.Engine()
	}
	src := synthetic(t, 1000)
	state := &proc.State{}
	for i, comm := range []string{"cat", "sshd", "bash", "nginx"} {
		pid := event.PID(1000 + i) // as in the synthetic events
		state.Threads = append(state.Threads, proc.Thread{TID: pid, PID: pid, VTID: pid, VPID: pid, Comm: comm, Exe: comm, CWD: "/"})
		for _, path := range []string{"/etc/shadow", "/etc/hosts", "/etc/passwd", "/var/log/syslog", "/root/.ssh/id_rsa", "/etc/../etc/pam.d/su", "/bin/x", "/dev/y", "/tmp/z"} {
			for _, flags := range [][]string{{"O_RDONLY"}, {"O_WRONLY", "O_TRUNC"}, {"O_WRONLY", "O_CREAT"}} {
				var b event.Builder
				b.Begin(event.TypeOpenatExit, 1_700_000_000_000_000_000, pid, 7)
				b.AddInt64(9)
				b.AddInt64(-100)
				b.AddString(path)
				b.AddUint32(event.MustValue("open_flags", flags...))
				b.AddUint32(0o644)
				b.AddUint32(1)
				b.AddUint64(2)
				raw, err := b.End()
				require.NoError(t, err)
				src.Add(bytes.Clone(raw), 0)
			}
		}
	}
	in := sinsp.New(src, sinsp.Options{State: state})
	found := map[string]bool{}
	for {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		got := map[string]bool{}
		for i := e.First(ev); i >= 0; i = e.Next(ev) {
			got[e.Rules[i].Name], found[e.Rules[i].Name] = true, true
		}
		for name, one := range alone {
			require.Equal(t, one.Rules[0].Condition.Match(ev), got[name], "%s: event %d", name, ev.Num)
		}
	}
	require.Greater(t, len(found), 5, "%v", found)
}

func TestFindingRulesDoesNotAllocate(t *testing.T) {
	e := mustOfficial(t, officialFiles[0].name, officialFiles[1].name, officialFiles[2].name).Engine()
	src := &loop{Source: scaptest.New()}
	require.NoError(t, synth.Write(src, 2000))
	in := sinsp.New(src, sinsp.Options{})
	look := true
	round := func() {
		for range 2000 {
			ev, err := in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !look {
				continue
			}
			for i := e.First(ev); i >= 0; i = e.Next(ev) {
			}
		}
	}
	round()
	round()
	with := testing.AllocsPerRun(5, round)
	look = false
	require.Equal(t, testing.AllocsPerRun(5, round), with, "per 2000 events") // the state may have some
}

// loop is a source that delivers the same events again and again.
type loop struct {
	scap.Source
	events []event.Event
	at     int
}

func (l *loop) ReadBatch(evs []event.Event) (n int, err error) {
	for ; n < len(evs); n++ {
		evs[n] = l.events[l.at]
		if l.at++; l.at == len(l.events) {
			l.at = 0
		}
	}
	return n, nil
}

func (l *loop) Write(ev *event.Event) error {
	var own event.Event
	own.ResetUnchecked(bytes.Clone(ev.Bytes()), ev.CPU())
	l.events = append(l.events, own)
	return nil
}

// The figures of docs/rules.md are those of scap rules -r with a capture of scap synth;
// this is the part of them that the rules take.
func BenchmarkRules(b *testing.B) {
	for _, c := range []struct {
		name  string
		files int
	}{{"none", 0}, {"25", 1}, {"93", 3}} {
		b.Run(c.name, func(b *testing.B) {
			e := (&Set{group: filter.NewGroup()}).Engine()
			if c.files > 0 {
				var names []string
				for _, f := range officialFiles[:c.files] {
					names = append(names, f.name)
				}
				e = mustOfficial(b, names...).Engine()
			}
			src := &loop{Source: scaptest.New()}
			require.NoError(b, synth.Write(src, 100_000))
			in := sinsp.New(src, sinsp.Options{})
			b.ReportAllocs()
			meter := scaptest.Measure(b)
			for b.Loop() {
				ev, err := in.Next()
				if err != nil {
					b.Fatal(err)
				}
				e.First(ev)
			}
			b.ReportMetric(float64(meter.CPU().Nanoseconds())/float64(b.N), "cpu-ns/event")
		})
	}
}
