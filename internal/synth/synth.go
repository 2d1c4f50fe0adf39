// SPDX-License-Identifier: Apache-2.0

// Package synth writes synthetic captures, for benchmarks and tests of readers.
package synth

import (
	"fmt"

	"github.com/scaplab/scaplab/scap/event"
)

// Writer receives the events.
type Writer interface {
	Write(ev *event.Event) error
}

// ManyTerms is a filter such as rules have, of 14 terms. It selects none of the events.
const ManyTerms = "(evt.type in (open, openat, openat2) and evt.failed = false and fd.name startswith /etc and not proc.name in (cat, vi, bash)) or " +
	"(evt.type = connect and fd.sport = 443 and fd.snet = 10.0.0.0/8) or " +
	"(evt.type in (execve, execveat) and proc.pname = sshd and proc.cmdline contains passwd) or " +
	"(evt.type = write and fd.name pmatch (/root/.ssh) and user.uid != 0 and evt.rawres > 0)"

// Write writes n synthetic events with the mix of a busy server, about 80 bytes each
// in a capture file, always the same for the same n.
func Write(w Writer, n int) error {
	const (
		start   = uint64(1_700_000_000_000_000_000)
		threads = 64
	)
	var b event.Builder
	data := make([]byte, 64)
	for i := range n {
		ts := start + 700*uint64(i)
		// A linear congruential sequence, the same with every version of Go.
		seed := uint32(i)*1664525 + 1013904223
		seed ^= seed >> 15
		tid := event.PID(1000 + seed%threads)
		fd := int64(3 + seed>>8%20)
		for j := 0; j < len(data); j += 8 {
			data[j] = byte(seed >> (j & 15))
			copy(data[j+1:], " line\n ")
		}
		switch seed >> 13 % 8 {
		case 0, 1, 2:
			size := int64(seed >> 20 % 48)
			b.Begin(event.TypeReadExit, ts, tid, 4)
			b.AddInt64(size)
			b.Add(data[:size])
			b.AddInt64(fd)
			b.AddUint32(4096)
		case 3, 4:
			size := int64(seed >> 20 % 48)
			b.Begin(event.TypeWriteExit, ts, tid, 4)
			b.AddInt64(size)
			b.Add(data[:size])
			b.AddInt64(fd)
			b.AddUint32(uint32(size))
		case 5:
			b.Begin(event.TypeCloseExit, ts, tid, 2)
			b.AddInt64(0)
			b.AddInt64(fd)
		case 6:
			b.Begin(event.TypeOpenatExit, ts, tid, 7)
			b.AddInt64(fd)
			b.AddInt64(-100)
			b.AddString(paths[seed>>20%uint32(len(paths))])
			b.AddUint32(1 | 4096)
			b.AddUint32(0)
			b.AddUint32(0x801)
			b.AddUint64(uint64(seed))
		default:
			b.Begin(event.TypeFcntlExit, ts, tid, 4)
			b.AddInt64(0)
			b.AddInt64(fd)
			b.AddUint8(4)
			b.AddUint64(0)
		}
		raw, err := b.End()
		if err != nil {
			return fmt.Errorf("make event %d: %w", i, err)
		}
		var ev event.Event
		ev.ResetUnchecked(raw, int(tid&3))
		if err := w.Write(&ev); err != nil {
			return err
		}
	}
	return nil
}

// WriteOld writes about n synthetic events as the first versions of the format have them:
// each call is an event at its start, with its arguments, and one at its end, with its result.
func WriteOld(w Writer, n int) error {
	const start = uint64(1_600_000_000_000_000_000)
	var b event.Builder
	data := make([]byte, 40)
	write := func(ts uint64, tid event.PID) error {
		raw, err := b.End()
		if err != nil {
			return fmt.Errorf("make event at %d: %w", ts, err)
		}
		var ev event.Event
		ev.ResetUnchecked(raw, int(tid&3))
		return w.Write(&ev)
	}
	for i := range n / 2 {
		ts := start + 1400*uint64(i)
		tid := event.PID(100 + i%32/4)
		begin := func(exit bool, code event.Type, params int) {
			if exit {
				b.Begin(code+1, ts+700, tid, params)
			} else {
				b.Begin(code, ts, tid, params)
			}
		}
		for _, exit := range []bool{false, true} {
			switch kind := i % 4; {
			case kind < 2:
				code := [2]event.Type{event.TypeReadEnter, event.TypeWriteEnter}[kind]
				begin(exit, code, 2)
				if exit {
					b.AddInt64(int64(len(data)))
					b.Add(data)
				} else {
					b.AddInt64(3 + int64(kind))
					b.AddUint32(uint32(len(data)))
				}
			case kind == 2:
				begin(exit, event.TypeCloseEnter, 1)
				b.AddInt64(map[bool]int64{false: 3, true: 0}[exit])
			case exit:
				begin(exit, event.TypeOpenEnter, 4)
				b.AddInt64(3)
				b.AddString(paths[i/4%len(paths)])
				b.AddUint32(1)
				b.AddUint32(0)
			default:
				begin(exit, event.TypeOpenEnter, 0)
			}
			if err := write(ts, tid); err != nil {
				return err
			}
		}
	}
	return nil
}

var paths = [...]string{"/etc/hosts", "/etc/passwd", "/usr/lib/libc.so.6", "/var/log/messages", "/srv/www/index.html", "/proc/self/stat", "/tmp/x"}
