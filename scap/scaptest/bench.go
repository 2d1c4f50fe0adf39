// SPDX-License-Identifier: Apache-2.0

package scaptest

import (
	"testing"
	"time"
)

// Meter measures a benchmark by the clock and by processor time, which other work
// on the machine changes less.
type Meter struct {
	b     *testing.B
	begun time.Duration
}

// Measure begins to count processor time; call it where the loop begins.
func Measure(b *testing.B) *Meter { return &Meter{b, cpuTime()} }

// CPU is the processor time of the whole program since.
func (m *Meter) CPU() time.Duration { return cpuTime() - m.begun }

// Report adds events per second, by the clock and per core, which is by processor
// time. bytes is what was read or written in all.
func (m *Meter) Report(events uint64, bytes int64) {
	m.b.ReportMetric(float64(events)/m.b.Elapsed().Seconds()/1e6, "Mevents/s")
	if cpu := m.CPU(); cpu > 0 {
		m.b.ReportMetric(float64(events)/cpu.Seconds()/1e6, "Mevents/s/core")
	}
	if bytes > 0 {
		m.b.SetBytes(bytes / int64(m.b.N))
	}
}
