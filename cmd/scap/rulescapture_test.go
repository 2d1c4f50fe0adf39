// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/rule"
)

// processes is the state of a machine with n processes that have 30 open files each.
func processes(n int) *proc.State {
	state := &proc.State{Machine: proc.Machine{NumCPUs: 2, Memory: 1 << 30, BootTime: start - 1e9}}
	env := strings.Repeat("VARIABLE=some text\x00", 30)
	for i := range n {
		pid := event.PID(i + 1)
		t := proc.Thread{
			TID: pid, PID: pid, VTID: pid, VPID: pid, PTID: 1, Comm: "program", Exe: "program", ExePath: "/usr/bin/program", CWD: "/",
			Args: "--config\x00/etc/program/config.yaml\x00", Env: env, Cgroups: "memory=/\x00",
		}
		for fd := range 30 {
			t.FDs = append(t.FDs, proc.FD{Num: event.FD(fd), Type: proc.FDFile, Name: fmt.Sprintf("/var/lib/program/%d/%d", pid, fd)})
		}
		state.Threads = append(state.Threads, t)
	}
	return state
}

// Events wait while a segment begins, and while an alert starts a file.
func BenchmarkCaptureWaits(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("processes=%d", n), func(b *testing.B) {
			raw := mustEvent(b, event.TypeCloseExit, start, 1, func(b *event.Builder) { b.AddInt64(0); b.AddInt64(3) }, 2)
			src := scaptest.New(raw.Bytes())
			in := sinsp.New(src, sinsp.Options{State: processes(n)})
			ev, err := in.Next()
			if err != nil {
				b.Fatal(err)
			}
			flags := captureFlags{dir: b.TempDir(), all: true, before: time.Hour, after: time.Hour, memory: 128 << 20, files: 1 << 30}
			var segment, segmentCPU, file, most time.Duration
			for b.Loop() {
				s := watchSurroundings(flags, true, in, io.Discard)
				for s.now.events.Size() < 32<<20 {
					s.keep(ev)
				}
				s.flags.before = 0
				began, meter := time.Now(), scaptest.Measure(b)
				s.rotate(ev.Timestamp() + 1)
				d := time.Since(began)
				segment += d
				segmentCPU += meter.CPU()
				most = max(most, d)
				began = time.Now()
				s.alert(&rule.Rule{}, ev)
				file += time.Since(began)
				s.until = 0
				s.close()
				s.writers.Wait()
			}
			b.ReportMetric(float64(segment.Nanoseconds())/float64(b.N), "segment-ns")
			b.ReportMetric(float64(segmentCPU.Nanoseconds())/float64(b.N), "segment-cpu-ns")
			b.ReportMetric(float64(file.Nanoseconds())/float64(b.N), "file-ns")
			b.ReportMetric(float64(most.Nanoseconds()), "longest-segment-ns")
		})
	}
}
