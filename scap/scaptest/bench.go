// SPDX-License-Identifier: Apache-2.0

package scaptest

import (
	"testing"
	"time"
)

// Meter measures a benchmark by the clock and by processor time, which depends less
// on other work of the machine.
type Meter struct {
	b     *testing.B
	begun time.Duration
}

// Measure begins to count processor time. Call it right before the loop.
func Measure(b *testing.B) *Meter { return &Meter{b, cpuTime()} }

// CPU returns the processor time of the whole program since Measure.
func (m *Meter) CPU() time.Duration { return cpuTime() - m.begun }

// Report reports events per second of clock time and per second of processor time
// (per core). bytes is the total number of bytes read or written.
func (m *Meter) Report(events uint64, bytes int64) {
	m.b.ReportMetric(float64(events)/m.b.Elapsed().Seconds()/1e6, "Mevents/s")
	if cpu := m.CPU(); cpu > 0 {
		m.b.ReportMetric(float64(events)/cpu.Seconds()/1e6, "Mevents/s/core")
	}
	if bytes > 0 {
		m.b.SetBytes(bytes / int64(m.b.N))
	}
}
