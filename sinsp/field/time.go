// SPDX-License-Identifier: Apache-2.0

package field

import (
	"strconv"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// clock makes an extract of the event's time in a layout of package time, all parts of
// which have a fixed width. Most events are in the same second as the one before, whose
// text v still has: v.Num, which a text does not use, is that second.
func clock(layout string, zone *time.Location) extract {
	const fractionOf = ".000000000"
	digits := strings.Index(layout, fractionOf) + 1 // where the nanoseconds are; 0: nowhere
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		ts := ev.Timestamp()
		if sec := ts / second; sec != v.Num || len(v.scratch) < len(layout) {
			t := time.Unix(int64(sec), int64(ts%second)).In(zone)
			v.SetScratch(t.AppendFormat(v.Scratch(), layout))
			v.Num = sec
			return true
		}
		if digits > 0 {
			decimal.Put(v.scratch[digits:digits+len(fractionOf)-1], ts%second)
		}
		return v.SetScratch(v.scratch)
	}
}

// span makes an extract of a part of a time.
func span(get func(*sinsp.Event) uint64, part func(uint64) uint64) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool { return v.SetUint(part(get(ev))) }
}

func whole(ns uint64) uint64    { return ns }
func seconds(ns uint64) uint64  { return ns / second }
func fraction(ns uint64) uint64 { return ns % second }

func rawTime(ev *sinsp.Event) uint64 { return ev.Timestamp() }
func latency(ev *sinsp.Event) uint64 { return ev.Latency }

// relTime and deltaTime are 0 for events that come out of order.
func relTime(ev *sinsp.Event) uint64 { return since(ev.Timestamp(), ev.Start) }

func deltaTime(ev *sinsp.Event) uint64 { return since(ev.Timestamp(), ev.Prev) }

func since(ts, start uint64) uint64 {
	if start == 0 || ts < start {
		return 0
	}
	return ts - start
}

func waitLatency(ev *sinsp.Event) uint64 {
	if in := ev.Info(); in != nil && in.Flags&event.Waits != 0 {
		return ev.Latency
	}
	return 0
}

func extractLatencyQuantized(ev *sinsp.Event, _ *Arg, v *Value) bool {
	digits := uint64(0)
	for ns := ev.Latency; ns > 0; ns /= 10 {
		digits++
	}
	return v.SetUint(digits)
}

func extractLatencyHuman(ev *sinsp.Event, _ *Arg, v *Value) bool {
	if ev.Latency == 0 {
		return v.SetString("0ns")
	}
	return v.SetString(time.Duration(ev.Latency).String())
}

// Forms of evt.outputtime, as option -t has them. An output sets one as [Arg.Text].
const (
	OutputClock    = "h" // as evt.time
	OutputAbsolute = "a" // seconds since the Unix epoch
	OutputRelative = "r" // seconds since the first event
	OutputDelta    = "d" // seconds between the enter and the exit event of the call
	OutputPrevious = "D" // seconds since the event before in the output
	OutputFull     = "f" // date and time in the local zone, with the zone
)

var extractClock = clock("15:04:05.000000000", time.Local)

// extractOutputTime keeps in v.Num, which a text does not use, the time of the event
// for which v was set before: that is the event before in the output.
func extractOutputTime(ev *sinsp.Event, arg *Arg, v *Value) bool {
	var ns uint64
	switch arg.Text {
	case OutputAbsolute:
		ns = rawTime(ev)
	case OutputRelative:
		ns = relTime(ev)
	case OutputDelta:
		ns = ev.Latency
	case OutputFull:
		return v.SetScratch(event.AppendTime(v.Scratch(), ev.Timestamp()))
	case OutputPrevious:
		ns = since(ev.Timestamp(), v.Num)
		v.Num = ev.Timestamp()
	default:
		return extractClock(ev, arg, v)
	}
	b := strconv.AppendUint(v.Scratch(), ns/second, 10)
	return v.SetScratch(event.AppendNumber(append(b, '.'), ns%second, event.FormatPaddedDec))
}

// extractAround sets the distance in ms, rounded up, so that "within" is "<=".
func extractAround(ev *sinsp.Event, arg *Arg, v *Value) bool {
	const ms = 1_000_000
	ns := max(ev.Timestamp(), arg.Index) - min(ev.Timestamp(), arg.Index)
	up := ns / ms
	if ns%ms != 0 {
		up++
	}
	return v.SetUint(up)
}
