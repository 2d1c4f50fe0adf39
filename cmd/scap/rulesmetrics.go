// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap"
)

// metricsServer serves /metrics and /healthz.
type metricsServer struct{ s *http.Server }

// serve starts the server that the flags ask for; src is nil for captures.
func (o *rulesOptions) serve(r *ruleRunner, src scap.Source) (*metricsServer, error) {
	if o.metrics == "" {
		return &metricsServer{}, nil
	}
	l, err := net.Listen("tcp", o.metrics)
	if err != nil {
		return nil, cli.Lacking(fmt.Errorf("metrics: %w", err))
	}
	fmt.Fprintf(r.talk, "scap rules: metrics at http://%s/metrics\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"status":"ok"}`)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(r.metrics(src)) // the reader is gone
	})
	m := &metricsServer{&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}}
	go func() { _ = m.s.Serve(l) }() // until close
	return m, nil
}

func (m *metricsServer) close() {
	if m.s != nil {
		_ = m.s.Shutdown(context.Background())
		_ = m.s.Close()
	}
}

// metrics returns the counts in the text format of Prometheus.
func (r *ruleRunner) metrics(src scap.Source) []byte {
	var b bytes.Buffer
	family := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP scap_%s %s\n# TYPE scap_%s %s\n", name, help, name, kind)
	}
	sample := func(name string, n uint64, labels ...string) {
		fmt.Fprintf(&b, "scap_%s", name)
		for i := 0; i < len(labels); i += 2 {
			fmt.Fprintf(&b, "%c%s=%q", "{,"[min(i, 1)], labels[i], labelText(labels[i+1]))
		}
		if len(labels) > 0 {
			b.WriteByte('}')
		}
		fmt.Fprintf(&b, " %d\n", n)
	}
	family("events_total", "counter", "Events that the rules were applied to.")
	sample("events_total", r.seen.Load())
	if src != nil {
		if st, err := src.Stats(); err == nil {
			family("drops_total", "counter", "Events that were lost, by cause.")
			d := st.Drops
			for _, c := range []struct {
				cause string
				n     uint64
			}{{"buffer_full", d.BufferFull}, {"too_large", d.TooLarge}, {"scratch", d.Scratch}, {"tail_call", d.TailCall}, {"no_ring", d.NoRing}, {"messages", d.Messages}, {"other", d.Other}} {
				sample("drops_total", c.n, "cause", c.cause)
			}
		}
	}
	r.mu.Lock()
	var tallies []*tally
	enabled := len(r.engine.Rules)
	for _, t := range r.byName {
		tallies = append(tallies, t)
	}
	slices.SortFunc(tallies, func(a, b *tally) int { return cmp.Compare(a.rule.Name, b.rule.Name) })
	family("rules", "gauge", "Rules that are enabled.")
	sample("rules", uint64(enabled))
	family("rule_matches_total", "counter", "Events that a rule holds for.")
	for _, t := range tallies {
		sample("rule_matches_total", t.n.Load(), "rule", t.rule.Name, "priority", t.rule.Priority.String(), "source", t.rule.Source)
	}
	r.mu.Unlock()
	outs := r.outputs.Stats()
	family("output_alerts_total", "counter", "Alerts of an output, by what became of them.")
	for _, s := range outs {
		for _, c := range []struct {
			what string
			n    uint64
		}{{"delivered", s.Delivered}, {"failed", s.Failed}, {"queue_full", s.Full}} {
			sample("output_alerts_total", c.n, "output", s.Name, "result", c.what)
		}
	}
	family("output_queue_length", "gauge", "Alerts that wait for an output.")
	for _, s := range outs {
		sample("output_queue_length", uint64(s.Waiting), "output", s.Name)
	}
	if st := r.state.Load(); st != nil {
		family("threads", "gauge", "Threads that the state has.")
		sample("threads", uint64(st.Threads))
		family("fds", "gauge", "Open files that the state has.")
		sample("fds", uint64(st.FDs))
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	family("memory_bytes", "gauge", "Memory that this process has from the system.")
	sample("memory_bytes", mem.Sys)
	return b.Bytes()
}

// labelText makes a text that %q writes as Prometheus reads it: it knows the escapes of
// quotes, backslashes and line feeds only.
func labelText(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (r < ' ' || r == 0x7f || r > 0x7e) {
			return '?'
		}
		return r
	}, s)
}
