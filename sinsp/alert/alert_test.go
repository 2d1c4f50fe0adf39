// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/rule"
)

// opened is an event of a process that opens a file.
func opened(tb testing.TB, comm string) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeOpenatExit, 1_700_000_000_123_456_789, 42, 7)
	b.AddInt64(3)
	b.AddInt64(-100)
	b.AddString("/etc/shadow")
	b.AddUint32(1)
	b.AddUint32(0)
	b.AddUint32(0)
	b.AddUint64(1)
	raw, err := b.End()
	require.NoError(tb, err)
	state := &proc.State{Machine: proc.Machine{Hostname: "box"}, Threads: []proc.Thread{{TID: 42, PID: 42, VTID: 42, VPID: 42, Comm: comm}}}
	ev, err := sinsp.New(scaptest.New(raw), sinsp.Options{State: state}).Next()
	require.NoError(tb, err)
	return ev
}

var shadow = &rule.Rule{Name: "Read \"shadow\"", Priority: rule.Warning, Source: "syscall", Tags: []string{"b", "a"},
	Output: "read | file=%fd.name proc=%proc.name parent=%proc.pname"}

func mustMake(tb testing.TB, f Format, comm string) *Alert {
	tb.Helper()
	a, err := NewFormatter(f).Make(shadow, opened(tb, comm))
	require.NoError(tb, err)
	return a
}

func TestTextAlerts(t *testing.T) {
	time.Local = time.UTC
	require.Equal(t, "22:13:20.123456789: Warning read | file=/etc/shadow proc=cat parent=<NA>", string(mustMake(t, Format{}, "cat").Line))
	require.Equal(t, "2023-11-14T22:13:20.123456789+0000: Warning read | file=/etc/shadow proc=cat parent=<NA>",
		string(mustMake(t, Format{ISO8601: true}, "cat").Line))
	require.NotContains(t, string(mustMake(t, Format{}, "a\nb").Line), "\n", "a name cannot forge an alert")
}

func TestJSONAlerts(t *testing.T) {
	require.Equal(t, `{"hostname":"box","output":"22:13:20.123456789: Warning read | file=/etc/shadow proc=cat parent=<NA>",`+
		`"output_fields":{"evt.time":1700000000123456789,"fd.name":"/etc/shadow","proc.name":"cat","proc.pname":null},`+
		`"priority":"Warning","rule":"Read \"shadow\"","source":"syscall","tags":["a","b"],"time":"2023-11-14T22:13:20.123456789Z"}`,
		string(mustMake(t, Format{JSON: true}, "cat").Line))
	require.Equal(t, `{"hostname":"h","message":"read | file=/etc/shadow proc=cat parent=<NA>",`+
		`"priority":"Warning","rule":"Read \"shadow\"","source":"syscall","time":"2023-11-14T22:13:20.123456789Z"}`,
		string(mustMake(t, Format{JSON: true, Hostname: "h", WithMessage: true, NoOutput: true, NoOutputFields: true, NoTags: true}, "cat").Line))
	for _, comm := range []string{"a\nb", "\"\\", "\xff\x1b[1m"} {
		line := mustMake(t, Format{JSON: true}, comm).Line
		require.True(t, json.Valid(line), "%s", line)
		require.NotContains(t, string(line), "\n")
	}
}

// lines collects what is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func someAlert(text string) *Alert {
	return &Alert{Rule: shadow, Line: []byte(text)}
}

func send(o *Outputs, n int) {
	for range n {
		o.Send(context.Background(), someAlert("alert"))
	}
}

func TestAllOutputsGetAllAlerts(t *testing.T) {
	var a, b lines
	o := Start(Options{Queue: 100}, Stream("a", &a), Stream("b", &b))
	for _, text := range []string{"one", "two", "three"} {
		o.Send(context.Background(), someAlert(text))
	}
	for _, s := range o.Close(time.Minute) {
		require.EqualValues(t, 3, s.Delivered)
		require.Zero(t, s.LeftOut())
	}
	require.Equal(t, "one\ntwo\nthree\n", a.String())
	require.Equal(t, "one\ntwo\nthree\n", b.String())
}

// stuck is a sink that does not return until it is told to.
type stuck struct{ free chan struct{} }

func (s *stuck) Name() string { return "stuck" }
func (s *stuck) Deliver(context.Context, *Alert) error {
	<-s.free
	return nil
}
func (s *stuck) Close() error { return nil }

func TestAnOutputThatIsStuckHoldsUpNobody(t *testing.T) {
	var good lines
	bad := &stuck{make(chan struct{})}
	defer close(bad.free)
	o := Start(Options{Queue: 10}, bad, Stream("good", &good))
	for n := range 100 {
		send(o, 1)
		require.Eventually(t, func() bool { return o.Stats()[1].Delivered == uint64(n+1) }, time.Minute, time.Microsecond)
	}
	stats := o.Close(10 * time.Millisecond) // returns, although the sink never does
	require.EqualValues(t, 100, stats[1].Delivered)
	require.EqualValues(t, 0, stats[0].Delivered)
	// One is being delivered, 10 wait, the others had no room.
	require.GreaterOrEqual(t, stats[0].Full, uint64(89))
	require.EqualValues(t, 100, stats[0].LeftOut(), "%+v", stats[0])
}

func TestSendWaitsIfItIsTold(t *testing.T) {
	bad := &stuck{make(chan struct{})}
	o := Start(Options{Queue: 1, Wait: true}, bad)
	go func() {
		for range 50 {
			bad.free <- struct{}{}
		}
	}()
	send(o, 50)
	stats := o.Close(time.Minute)
	require.EqualValues(t, 50, stats[0].Delivered)
	require.Zero(t, stats[0].LeftOut())
}

func TestAFileIsReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts")
	sink, err := File(path)
	require.NoError(t, err)
	deliver := func(text string) { require.NoError(t, sink.Deliver(t.Context(), someAlert(text))) }
	deliver("one")
	require.NoError(t, os.Rename(path, path+".1"))
	deliver("two")
	sink.(Reopener).Reopen()
	deliver("three")
	require.NoError(t, sink.Close())
	old, err := os.ReadFile(path + ".1")
	require.NoError(t, err)
	require.Equal(t, "one\ntwo\n", string(old))
	now, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "three\n", string(now))
}

func TestAProgramGetsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "got")
	var out lines
	o := Start(Options{}, Program("echo started; cat > "+path, &out))
	send(o, 3)
	require.EqualValues(t, 3, o.Close(time.Minute)[0].Delivered)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "alert\nalert\nalert\n", string(got))
	require.Equal(t, "started\n", out.String())
}

func TestAProgramThatNeverReadsIsGivenUp(t *testing.T) {
	o := Start(Options{Queue: 5}, Program("sleep 1000", &lines{}))
	big := &Alert{Rule: shadow, Line: bytes.Repeat([]byte("x"), 1<<20)}
	for range 20 {
		o.Send(t.Context(), big)
	}
	s := o.Close(50 * time.Millisecond)[0]
	require.Zero(t, s.Delivered)
	require.EqualValues(t, 20, s.LeftOut(), "%+v", s)
}

func TestAProgramThatEndsIsStartedAgain(t *testing.T) {
	var said lines
	path := filepath.Join(t.TempDir(), "got")
	o := Start(Options{Say: func(text string) { _, _ = said.Write([]byte(text + "\n")) }}, Program("read x; echo $x >> "+path, &lines{}))
	require.Eventually(t, func() bool {
		send(o, 1)
		got, _ := os.ReadFile(path)
		return strings.Count(string(got), "alert\n") >= 2
	}, time.Minute, 50*time.Millisecond)
	s := o.Close(time.Minute)[0]
	require.NotZero(t, s.Delivered)
}

func TestAWebServerGetsAlertsInSpiteOfFailures(t *testing.T) {
	var got lines
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		_, _ = got.Write([]byte(r.Method + " " + r.Header.Get("Content-Type") + " " + r.UserAgent() + " " + body.String() + "\n"))
	}))
	defer server.Close()
	sink, err := HTTP(HTTPOptions{URL: server.URL, UserAgent: "scap/test", Pause: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, sink.Deliver(t.Context(), someAlert("one")))
	require.NoError(t, sink.Deliver(t.Context(), &Alert{Rule: shadow, Line: []byte("{}"), JSON: true}))
	require.Equal(t, "POST text/plain; charset=utf-8 scap/test one\nPOST application/json scap/test {}\n", got.String())
	require.EqualValues(t, 4, calls.Load())

	server.Close() // nobody answers any more
	sink, err = HTTP(HTTPOptions{URL: server.URL, Retries: 2, Pause: time.Millisecond})
	require.NoError(t, err)
	require.Error(t, sink.Deliver(t.Context(), someAlert("two")))
}

func TestAWebServerThatRefusesIsNotAskedAgain(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	sink, err := HTTP(HTTPOptions{URL: server.URL})
	require.NoError(t, err)
	require.ErrorContains(t, sink.Deliver(t.Context(), someAlert("one")), "403")
	require.EqualValues(t, 1, calls.Load())
}

func TestHTTPOptionsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		opts HTTPOptions
		want string
	}{
		{HTTPOptions{URL: "ftp://x"}, "is not a URL of a web server"},
		{HTTPOptions{URL: "http://"}, "is not a URL of a web server"},
		{HTTPOptions{URL: "https://x", CA: "/nonexistent"}, "no such file"},
		{HTTPOptions{URL: "https://x", CA: os.DevNull}, "has no certificate"},
		{HTTPOptions{URL: "https://x", Cert: "/nonexistent"}, "client certificate"},
	} {
		_, err := HTTP(c.opts)
		require.ErrorContains(t, err, c.want)
	}
}

// failing fails for some alerts.
type failing struct{ n int }

func (f *failing) Name() string { return "failing" }
func (f *failing) Deliver(context.Context, *Alert) error {
	if f.n++; f.n%5 < 3 {
		return errors.New("broken")
	}
	return nil
}
func (f *failing) Close() error { return nil }

func TestFailuresAreCountedAndSaidOnce(t *testing.T) {
	var said lines
	o := Start(Options{Queue: 10, Say: func(text string) { _, _ = said.Write([]byte(text + "\n")) }}, &failing{})
	send(o, 10)
	s := o.Close(time.Minute)[0]
	require.EqualValues(t, 4, s.Delivered)
	require.EqualValues(t, 6, s.Failed)
	require.Equal(t, strings.Repeat("failing: broken; alerts are left out until it works\nfailing works again\n", 2)+
		"failing: broken; alerts are left out until it works\n", said.String())
}
