// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

func TestTableOfConversionsIsSound(t *testing.T) {
	n := 0
	for code, rs := range rules() {
		info := event.Lookup(code)
		require.NotNil(t, info, code)
		require.NotZero(t, info.Flags&event.ConverterManaged|info.Flags&event.OldVersion, "%d is converted", code)
		for _, r := range rs {
			n++
			to := info
			have := 0
			switch r.action {
			case actAdd:
				have = int(r.params)
			case actRetype:
				to = event.Lookup(r.to)
				require.NotNil(t, to)
			default:
				require.Empty(t, r.ins)
			}
			require.LessOrEqual(t, int(r.params), len(info.Params), "%d", code)
			require.LessOrEqual(t, have+len(r.ins), len(to.Params), "%d with %d", code, r.params)
			for i, in := range r.ins {
				p := to.Params[have+i]
				switch in.op {
				case 'O':
					require.Less(t, in.arg, r.params, "%d", code)
					requireLike(t, info.Params[in.arg], p)
				case 'E':
					enter := event.Lookup(code - 1)
					require.Less(t, int(in.arg), len(enter.Params), "%d", code)
					requireLike(t, enter.Params[in.arg], p)
				}
			}
		}
	}
	require.Equal(t, 253, n)
}

// requireLike: a value may go from one param to the other; numbers may get narrower.
func requireLike(t *testing.T, from, to event.ParamInfo) {
	t.Helper()
	if from.Type == event.ParamDyn {
		require.Contains(t, from.Dyn, event.DynVariant{Type: to.Type, Format: event.FormatDec})
		return
	}
	a, fixedA := from.Type.Size()
	b, fixedB := to.Type.Size()
	require.Equal(t, fixedA, fixedB, "%s %s -> %s %s", from.Name, from.Type, to.Name, to.Type)
	require.GreaterOrEqual(t, a, b, "%s %s -> %s %s", from.Name, from.Type, to.Name, to.Type)
}

func TestRulesThatAreWrongAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"close_exit 1":                       `convert.txt:1: ["close_exit" "1"]: symbol, params and step expected`,
		"close_exti 1 add":                   "convert.txt:1: unknown event close_exti (did you mean close_exit?)",
		"\nclose_exit x add":                 `convert.txt:2: strconv.ParseUint: parsing "x": invalid syntax`,
		"close_exit 1 drop":                  `convert.txt:1: unknown step "drop"`,
		"close_exit 1 add Q":                 `convert.txt:1: unknown param "Q"`,
		"close_exit 1 add E":                 `convert.txt:1: strconv.ParseUint: parsing "": invalid syntax`,
		"close_exit 1 ->":                    `convert.txt:1: ["close_exit" "1" "->"]: a type expected after ->`,
		"close_exit 1 -> clos":               "convert.txt:1: unknown event clos",
		"close_exit 1 add\nclose_exit 1 add": "convert.txt:2: close_exit with 1 params already has a rule",
	} {
		_, err := parseRules(text)
		require.EqualError(t, err, want)
	}
}

// convertAllOf writes events to a file and returns what a reader delivers.
func convertAllOf(tb testing.TB, evs ...*event.Event) ([]*event.Event, Counts) {
	tb.Helper()
	return convertWith(tb, Options{}, evs...)
}

func convertWith(tb testing.TB, opts Options, evs ...*event.Event) ([]*event.Event, Counts) {
	tb.Helper()
	b := appendSectionHeader(nil, binary.LittleEndian)
	for _, ev := range evs {
		b = appendRawEvent(b, binary.LittleEndian, eventV2, uint16(ev.CPU()), ev.Bytes())
	}
	r, out := mustRead(tb, b, opts)
	return out, r.Counts()
}

func TestOlderEventsBecomeCurrent(t *testing.T) {
	e := func(typ event.Type, params ...any) *event.Event { return mustEvent(t, typ, 1, 9, params...) }
	for name, test := range map[string]struct{ in, want []*event.Event }{
		"close takes the fd of its enter event":         {[]*event.Event{e(4, 3), e(5, 0)}, []*event.Event{e(5, 0, 3)}},
		"close without one has fd 0":                    {[]*event.Event{e(5, 0)}, []*event.Event{e(5, 0, 0)}},
		"an enter event serves once":                    {[]*event.Event{e(4, 3), e(5, 0), e(5, 0)}, []*event.Event{e(5, 0, 3), e(5, 0, 0)}},
		"a later enter event replaces an earlier":       {[]*event.Event{e(4, 3), e(4, 4), e(5, 0)}, []*event.Event{e(5, 0, 4)}},
		"the enter event of another call does not help": {[]*event.Event{e(6, 3, uint32(10)), e(5, 0)}, []*event.Event{e(5, 0, 0)}},
		"a current event stays":                         {[]*event.Event{e(5, 0, 3)}, []*event.Event{e(5, 0, 3)}},
		"setuid without its enter event has no uid":     {[]*event.Event{e(199, 0)}, []*event.Event{e(199, 0, nil)}},
		"setuid has that of its enter event":            {[]*event.Event{e(198, uint32(5)), e(199, 0)}, []*event.Event{e(199, 0, uint32(5))}},
		"mkdir of version 1 becomes version 2": {
			[]*event.Event{e(98, "/d", uint32(0o755)), e(99, 0)}, []*event.Event{e(277, 0, "/d", uint32(0o755))},
		},
		"openat of version 1 has no device": {
			[]*event.Event{e(102, -100, "/f", uint32(1), uint32(0)), e(103, 3)},
			[]*event.Event{e(307, 3, -100, "/f", uint32(1), uint32(0), nil, nil)},
		},
		"bpf returns a plain fd now": {
			[]*event.Event{e(296, int64(5)), e(297, []byte{0, 7, 0, 0, 0, 0, 0, 0, 0})}, []*event.Event{e(369, 7, uint32(5))},
		},
		"connect keeps its enter event": {
			[]*event.Event{e(22, 3), e(23, 0, []byte{})},
			[]*event.Event{e(22, 3, nil), e(23, 0, nil, 3, nil)},
		},
		"unused types and empty enter events go": {[]*event.Event{e(17), e(94), e(95, 0, "/")}, []*event.Event{e(95, 0, "/")}},
		"fcntl of libs 0.23 has no argument":     {[]*event.Event{e(151, 0, 3, uint8(1))}, []*event.Event{e(151, 0, 3, uint8(1), nil)}},
		"accept of version 1 has no queue": {
			[]*event.Event{e(27, 3, nil, uint8(1))}, []*event.Event{e(247, 3, nil, uint8(1), uint32(0), uint32(0))},
		},
	} {
		got, counts := convertWith(t, Options{Defaults: true}, test.in...)
		require.Equal(t, test.want, got, name)
		require.Zero(t, counts.Unconverted+counts.Corrupt, name)
	}
}

func TestConversionInventsNoValue(t *testing.T) {
	e := func(typ event.Type, params ...any) *event.Event { return mustEvent(t, typ, 1, 9, params...) }
	for name, test := range map[string]struct{ in, want []*event.Event }{
		"close without its enter event has no fd": {[]*event.Event{e(5, 0)}, []*event.Event{e(5, 0, nil)}},
		"the enter event of another call does not help": {
			[]*event.Event{e(6, 3, uint32(10)), e(5, 0)}, []*event.Event{e(5, 0, nil)},
		},
		"fcntl of libs 0.23 has no argument": {[]*event.Event{e(151, 0, 3, uint8(1))}, []*event.Event{e(151, 0, 3, uint8(1), nil)}},
		"socket of libs 0.23 has no flags":   {[]*event.Event{e(19, 3, uint32(2), uint32(1), uint32(0))}, []*event.Event{e(19, 3, uint32(2), uint32(1), uint32(0), nil)}},
		"accept of version 1 has no queue": {
			[]*event.Event{e(27, 3, nil, uint8(1))}, []*event.Event{e(247, 3, nil, uint8(1), nil, nil)},
		},
	} {
		got, counts := convertAllOf(t, test.in...)
		require.Equal(t, test.want, got, name)
		require.Zero(t, counts.Unconverted+counts.Corrupt, name)
	}
	// No rule has a value of its own: without enter events every param is one of the old event's, or empty.
	for info := range event.All() {
		if info.Code.Enter() {
			continue
		}
		for n := range len(info.Params) + 1 {
			ev := randomEvent(t, rand.New(rand.NewPCG(uint64(info.Code), uint64(n))), info.Code, n, 9)
			out, _ := convertAllOf(t, ev)
			if len(out) == 0 {
				continue
			}
			for i, v := range out[0].Params() {
				known := len(v) == 0
				for _, old := range ev.Params() {
					known = known || bytes.Contains(old, v)
				}
				require.True(t, known, "%s with %d params: param %d is % x", info.Symbol, n, i, v)
			}
		}
	}
}

func TestExecveOfTwelveStepsAgo(t *testing.T) {
	in := mustEvent(t, 13, 1, 9, 0, "/bin/sh", []byte("-c\x00x\x00"), 9, 9, 1, "/", uint64(1024))
	got, counts := convertAllOf(t, mustEvent(t, 12, 1, 9), in)
	require.Equal(t, uint64(2), counts.Converted)
	require.Len(t, got, 2)
	require.Equal(t, event.TypeExecveExit, got[1].Type())
	require.Equal(t, 31, got[1].NumParams())
	for i := range 8 {
		require.Equal(t, in.Param(i), got[1].Param(i), i)
	}
	for i := 8; i < 31; i++ {
		require.Empty(t, got[1].Param(i), i)
	}
}

func TestContainersBecomeJSON(t *testing.T) {
	got, _ := convertAllOf(t, mustEvent(t, 228, 1, 9, "3ad7", uint32(0), `a "name"`, "image\n:latest"))
	require.Len(t, got, 1)
	require.Equal(t, event.TypeContainerJSONEnter, got[0].Type())
	text := got[0].Param(0)
	require.Equal(t, byte(0), text[len(text)-1])
	require.Equal(t, `{"id":"3ad7","type":0,"name":"a \"name\"","image":"image\u000a:latest"}`, string(text[:len(text)-1]))
	require.True(t, json.Valid(text[:len(text)-1]))

	got, _ = convertAllOf(t, mustEvent(t, 228, 1, 9, "3ad7", nil, "n", "i"))
	require.Equal(t, []byte{}, got[0].Param(0))
}

func TestEventsWithoutARule(t *testing.T) {
	got, counts := convertAllOf(t, mustEvent(t, 7, 1, 9), mustEvent(t, 6, 1, 9), mustEvent(t, 5, 1, 9, 0, 3, 4))
	require.Equal(t, []*event.Event{mustEvent(t, 7, 1, 9), mustEvent(t, 5, 1, 9, 0, 3, 4)}, got,
		"exit events come as they are, also with more params than are known")
	require.Equal(t, uint64(2), counts.Unconverted, "the first two")
}

// randomEvent has n params, each of its type's size or empty.
func randomEvent(tb testing.TB, rnd *rand.Rand, t event.Type, n int, tid uint64) *event.Event {
	info := event.Lookup(t)
	params := make([]any, n)
	for i := range params {
		size, fixed := info.Params[i].Type.Size()
		if !fixed {
			size = rnd.IntN(20)
		}
		if info.Params[i].Type == event.ParamDyn {
			size = 9
		}
		if rnd.IntN(4) > 0 && size > 0 {
			v := make([]byte, size)
			for j := range v {
				v[j] = byte(rnd.Uint32())
			}
			params[i] = v
		}
	}
	return mustEvent(tb, t, 1, event.PID(tid), params...)
}

func TestEveryRuleLeadsToACurrentEvent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for code, rs := range rules() {
		for _, r := range rs {
			for _, withEnter := range []bool{false, true} {
				var in []*event.Event
				if enter := event.Lookup(code - 1); withEnter && code&1 == 1 && enter != nil {
					in = append(in, randomEvent(t, rnd, code-1, len(enter.Params), 9))
				}
				in = append(in, randomEvent(t, rnd, code, int(r.params), 9))
				out, counts := convertAllOf(t, in...)
				require.Zero(t, counts.Unconverted+counts.Corrupt, "%d with %d params", code, r.params)
				for _, ev := range out {
					info := ev.Info()
					if ev.Type().Enter() && info.Flags&event.ConverterManaged != 0 {
						continue // kept against races
					}
					require.Zero(t, info.Flags&event.OldVersion, "%d became %d", code, info.Code)
					require.Equal(t, len(info.Params), ev.NumParams(), "%d became %d", code, info.Code)
					for i, v := range ev.Params() {
						if size, fixed := info.Params[i].Type.Size(); fixed && len(v) > 0 {
							require.Len(t, v, size, "%d became %d: %s", code, info.Code, info.Params[i].Name)
						}
					}
				}
				if code&1 == 1 {
					require.NotEmpty(t, out, "%d with %d params", code, r.params)
				}
			}
		}
	}
}

// ReadBatch has a shorter way for most events than Next.
func TestBatchesHaveTheSameEvents(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var in []*event.Event
	for code, rs := range rules() {
		for _, r := range rs {
			for range 3 {
				in = append(in, randomEvent(t, rnd, code, int(r.params), 9))
			}
		}
	}
	for info := range event.All() {
		in = append(in, randomEvent(t, rnd, info.Code, len(info.Params), 9))
	}
	in = append(in, mustEvent(t, event.TypeFcntlExit, 1, 9, 0, 3, []byte{1}, make([]byte, event.MaxSize-60)[:0]))
	rnd.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
	capture := mustCapture(t, WriterOptions{}, in...)
	for _, opts := range []Options{{}, {Defaults: true}, {Raw: true}} {
		one, err := NewReader(bytes.NewReader(capture), opts)
		require.NoError(t, err)
		many, err := NewReader(bytes.NewReader(capture), opts)
		require.NoError(t, err)
		evs := make([]event.Event, 100)
		for {
			n, err := many.ReadBatch(evs)
			for i := range n {
				ev, err := one.Next()
				require.NoError(t, err)
				require.Equal(t, *ev, evs[i], "event %d", one.Counts().Delivered)
			}
			if err != nil {
				_, also := one.Next()
				require.Equal(t, also, err)
				break
			}
		}
		require.Equal(t, one.Counts(), many.Counts())
		if opts == (Options{}) {
			require.NotZero(t, many.Counts().Converted)
		}
	}
}

func TestCurrentEventsStayAsTheyAre(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for info := range event.All() {
		d := decisions[info.Code]
		if d.kind == drop || d.kind == convert {
			continue
		}
		in := randomEvent(t, rnd, info.Code, len(info.Params), 9)
		out, _ := convertAllOf(t, in)
		require.Equal(t, []*event.Event{in}, out, "%d %s", info.Code, info.Name)
	}
}

func TestStoredEventsAreBounded(t *testing.T) {
	c := newConverter(false)
	for tid := range event.PID(3 * maxStored) {
		c.store(mustEvent(t, 4, 1, tid, 3))
		require.LessOrEqual(t, len(c.stored)+len(c.older), maxStored)
	}
	c.reset()
	require.Zero(t, c.bytes)
	large := make([]byte, 60_000)
	for tid := range event.PID(3 * maxStoredBytes / len(large)) {
		ev := mustEvent(t, 30, 1, tid, 3, uint32(0), large)
		c.store(ev)
		sum := 0
		for _, buf := range c.stored {
			sum += cap(buf.buf)
		}
		require.Equal(t, sum, c.bytes)
		for _, buf := range c.older {
			sum += cap(buf.buf)
		}
		require.LessOrEqual(t, sum, maxStoredBytes+4*event.MaxSize)
		if tid%3 == 0 {
			require.NotNil(t, c.find(tid))
			c.used()
		}
	}
}

func TestAFloodOfEnterEventsDoesNotHideTheOthers(t *testing.T) {
	c := newConverter(false)
	var enter event.Event
	never := mustEvent(t, 4, 1, 0, 3) // ends
	for tid := event.PID(1); tid < 2*maxStored; tid++ {
		binary.NativeEndian.PutUint64(never.Bytes()[8:], uint64(tid))
		c.store(never)
		if tid%1000 == 0 {
			// A call that lasts as long as 60,000 others.
			if was := tid - 60_000; was > 0 {
				exit := mustEvent(t, 5, 1, was, 3)
				require.True(t, c.enter(exit, &enter), "%d", tid)
				c.used()
				require.False(t, c.enter(exit, &enter))
			}
		}
	}
}

func FuzzConvert(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for code, rs := range rules() {
		f.Add(randomEvent(f, rnd, code, int(rs[0].params), 9).Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var ev event.Event
		if ev.Reset(raw, 0) != nil {
			return
		}
		c := newConverter(false)
		enter := ev.Clone()
		if enter.Type()&1 == 1 {
			// Something of this thread that looks like an enter event.
			buf := bytes.Clone(enter.Bytes())
			binary.NativeEndian.PutUint16(buf[20:], uint16(enter.Type()-1))
			if enter.Reset(buf, 0) == nil {
				c.store(&enter)
			}
		}
		_, out := c.convert(&ev, nil)
		if out == converted {
			var again event.Event
			if err := again.Reset(ev.Bytes(), 0); err != nil {
				t.Fatal(err)
			}
			_ = again.AppendArgs(nil)
		}
	})
}
