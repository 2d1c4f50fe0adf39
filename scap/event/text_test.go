// SPDX-License-Identifier: Apache-2.0

package event

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	openFlags = NameSet{"file_flags", []NamedValue{{"O_CLOEXEC", 4096}, {"O_CREAT", 4}, {"O_RDWR", 3}, {"O_WRONLY", 2}, {"O_RDONLY", 1}, {"O_NONE", 0}}}
	rights    = NameSet{"rights", []NamedValue{{"R_READ", 1}, {"R_OWN", 1 << 32}}}
	whence    = NameSet{"lseek_whence", []NamedValue{{"SEEK_END", 2}, {"SEEK_CUR", 1}, {"SEEK_SET", 0}}}
	sockopt   = []DynVariant{{ParamBytebuf, FormatHex}, {ParamErrno, FormatDec}, {ParamUint32, FormatDec}, {ParamUint64, FormatDec}, {ParamReltime, FormatDec}}
)

func cat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestEveryParamTypeHasItsText(t *testing.T) {
	old := time.Local
	time.Local = time.FixedZone("", 2*3600)
	defer func() { time.Local = old }()
	v6 := []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	v6any := make([]byte, 16)
	v6mapped := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1}
	tests := []struct {
		name  string
		p     ParamInfo
		value []byte
		raw   string // AppendRaw
		arg   string // AppendArg; raw when ""
		text  string // AppendText; raw when ""
	}{
		{"int8", ParamInfo{Type: ParamInt8, Format: FormatDec}, []byte{0xff}, "-1", "", ""},
		{"int16", ParamInfo{Type: ParamInt16, Format: FormatDec}, u16(0x8000), "-32768", "", ""},
		{"int32", ParamInfo{Type: ParamInt32, Format: FormatDec}, u32(0xfffffffe), "-2", "", ""},
		{"int32 in hex shows its 32 bits", ParamInfo{Type: ParamInt32, Format: FormatHex}, u32(0xfffffffe), "FFFFFFFE", "", ""},
		{"int64 in hex", ParamInfo{Type: ParamInt64, Format: FormatHex}, s64(-1), "FFFFFFFFFFFFFFFF", "", ""},
		{"int64", ParamInfo{Type: ParamInt64, Format: FormatDec}, s64(math.MinInt64), "-9223372036854775808", "", ""},
		{"uint8", ParamInfo{Type: ParamUint8, Format: FormatDec}, []byte{200}, "200", "", ""},
		{"uint16", ParamInfo{Type: ParamUint16, Format: FormatDec}, u16(65535), "65535", "", ""},
		{"uint32 in octal", ParamInfo{Type: ParamUint32, Format: FormatOct}, u32(0o644), "0644", "", ""},
		{"uint32 in hex", ParamInfo{Type: ParamUint32, Format: FormatHex}, u32(0xfd00), "FD00", "", ""},
		{"uint64", ParamInfo{Type: ParamUint64, Format: FormatDec}, u64(math.MaxUint64), "18446744073709551615", "", ""},
		{"uint64 padded", ParamInfo{Type: ParamUint64, Format: FormatPaddedDec}, u64(42), "000000042", "", ""},
		{"uint64 padded, zero", ParamInfo{Type: ParamUint64, Format: FormatPaddedDec}, u64(0), "000000000", "", ""},
		{"uint64 padded, longer than the padding", ParamInfo{Type: ParamUint64, Format: FormatPaddedDec}, u64(12345678901), "12345678901", "", ""},
		{"a number as id", ParamInfo{Type: ParamUint64, Format: FormatID}, u64(1234567), "1234567", "", ""},
		{"a direction: enter", ParamInfo{Type: ParamUint8, Format: FormatDir}, []byte{0}, ">", "", ""},
		{"a direction: exit", ParamInfo{Type: ParamUint8, Format: FormatDir}, []byte{1}, "<", "", ""},
		{"a number of the wrong size", ParamInfo{Type: ParamUint32}, []byte("abc"), "abc", "", ""},
		{"a missing number", ParamInfo{Type: ParamUint32}, nil, "<NA>", "", ""},

		{"an error", ParamInfo{Type: ParamErrno, Format: FormatDec}, s64(-2), "-2", "-2(ENOENT)", "-2(ENOENT)"},
		{"an error of the kernel's own", ParamInfo{Type: ParamErrno}, s64(-512), "-512", "-512(ERESTARTSYS)", "-512(ERESTARTSYS)"},
		{"an error without a name", ParamInfo{Type: ParamErrno}, s64(-4000), "-4000", "", ""},
		{"the lowest number is no error", ParamInfo{Type: ParamErrno}, s64(math.MinInt64), "-9223372036854775808", "", ""},
		{"a result", ParamInfo{Type: ParamErrno, Format: FormatDec}, s64(2), "2", "", ""},
		{"an address as result, which sysdig prints as any number", ParamInfo{Type: ParamErrno, Format: FormatHex}, s64(0x7f00dead0000), "139641712607232", "", ""},
		{"an error where addresses are hex", ParamInfo{Type: ParamErrno, Format: FormatHex}, s64(-12), "-12", "-12(ENOMEM)", "-12(ENOMEM)"},
		{"an fd", ParamInfo{Type: ParamFD, Format: FormatDec}, s64(3), "3", "", ""},
		{"the current directory", ParamInfo{Type: ParamFD}, s64(-100), "-100", "-100(AT_FDCWD)", "-100(AT_FDCWD)"},
		{"an fd that is an error", ParamInfo{Type: ParamFD}, s64(-13), "-13", "-13(EACCES)", "-13(EACCES)"},
		{"an fd of 32 bits", ParamInfo{Type: ParamFD32}, u32(0xffffff9c), "-100", "-100(AT_FDCWD)", "-100(AT_FDCWD)"},
		{"a pid", ParamInfo{Type: ParamPID}, s64(42), "42", "", ""},
		{"a process group", ParamInfo{Name: "pid", Type: ParamPID}, s64(-1), "-1", "", ""},
		{"a pid that is an error, which sysdig does not name either", ParamInfo{Name: "res", Type: ParamPID}, s64(-11), "-11", "", ""},
		{"a pid of 32 bits", ParamInfo{Type: ParamPID32}, u32(42), "42", "", ""},
		{"a uid", ParamInfo{Type: ParamUID}, u32(1000), "1000", "", ""},
		{"no uid", ParamInfo{Type: ParamUID}, u32(math.MaxUint32), "-1", "", ""},
		{"a gid", ParamInfo{Type: ParamGID}, u32(0), "0", "", ""},
		{"a syscall", ParamInfo{Type: ParamSyscallID}, u16(7), "7", "", ""},
		{"a signal", ParamInfo{Type: ParamSigtype}, []byte{9}, "9", "9(SIGKILL)", "9(SIGKILL)"},
		{"a real-time signal", ParamInfo{Type: ParamSigtype}, []byte{40}, "40", "", ""},
		{"a signal set", ParamInfo{Type: ParamSigset}, u32(5), "SIGHUP SIGQUIT", "", ""},
		{"no signal", ParamInfo{Type: ParamSigset}, u32(0), "", "", ""},
		{"a time span", ParamInfo{Type: ParamReltime}, u64(1500000000), "1500000000", "1500000000(1.5s)", ""},
		{"a time", ParamInfo{Type: ParamAbstime}, u64(1700000000_000000042), "2023-11-15 00:13:20.000000042", "", ""},
		{"a port", ParamInfo{Type: ParamPort, Format: FormatHex}, u16(8080), "8080", "", ""},
		{"a protocol", ParamInfo{Type: ParamL4Proto}, []byte{6}, "6", "", ""},
		{"a family", ParamInfo{Type: ParamSockfamily}, []byte{10}, "10", "", ""},
		{"true", ParamInfo{Type: ParamBool}, u32(7), "true", "", ""},
		{"false", ParamInfo{Type: ParamBool}, u32(0), "false", "", ""},
		{"a double", ParamInfo{Type: ParamDouble}, u64(math.Float64bits(2.25)), "2.2", "", ""},

		{"flags", ParamInfo{Type: ParamFlags32, Format: FormatHex, Names: &openFlags}, u32(4097), "4097", "4097(O_CLOEXEC|O_RDONLY)", "O_CLOEXEC|O_RDONLY"},
		{"flags of several bits", ParamInfo{Type: ParamFlags16, Names: &openFlags}, u16(3), "3", "3(O_RDWR)", "O_RDWR"},
		{"bits without a name are in the number", ParamInfo{Type: ParamFlags32, Names: &openFlags}, u32(0x10001), "65537", "65537(O_RDONLY)", "O_RDONLY"},
		{"only bits without a name", ParamInfo{Type: ParamFlags32, Names: &openFlags}, u32(0x10000), "65536", "", ""},
		{"no flag, which has a name", ParamInfo{Type: ParamFlags8, Names: &openFlags}, []byte{0}, "0", "0(O_NONE)", "O_NONE"},
		{"no flag, which has none", ParamInfo{Type: ParamFlags8, Names: &NameSet{}}, []byte{0}, "0", "", ""},
		{"flags of 64 bits", ParamInfo{Type: ParamFlags64, Format: FormatHex, Names: &rights}, u64(0x8000000100000001), "9223372041149743105", "9223372041149743105(R_READ|R_OWN)", "R_READ|R_OWN"},
		{"flags without a set", ParamInfo{Type: ParamFlags32}, u32(3), "3", "", ""},
		{"an enumeration", ParamInfo{Type: ParamEnumFlags8, Names: &whence}, []byte{1}, "1", "1(SEEK_CUR)", "SEEK_CUR"},
		{"an enumeration's zero", ParamInfo{Type: ParamEnumFlags32, Names: &whence}, u32(0), "0", "0(SEEK_SET)", "SEEK_SET"},
		{"an enumeration is not a sum", ParamInfo{Type: ParamEnumFlags16, Names: &whence}, u16(3), "3", "", ""},
		{"a mode", ParamInfo{Type: ParamMode, Format: FormatOct, Names: &NameSet{"m", []NamedValue{{"S_IRUSR", 0o400}, {"S_IWUSR", 0o200}}}}, u32(0o600), "0600", "0600(S_IRUSR|S_IWUSR)", "S_IRUSR|S_IWUSR"},

		{"a string", ParamInfo{Type: ParamCharbuf}, []byte("abc\x00"), "abc", "", ""},
		{"a string ends at its first NUL", ParamInfo{Type: ParamFSPath}, []byte("ab\x00cd\x00"), "ab", "", ""},
		{"the empty string", ParamInfo{Type: ParamFSRelPath}, []byte{0}, "", "", ""},
		{"no string", ParamInfo{Type: ParamCharbuf}, nil, "<NA>", "", ""},
		{"a string with control characters", ParamInfo{Type: ParamFSPath}, []byte("a\nb\x7f\x00"), "a.b.", "", ""},
		{"a string that is UTF-8", ParamInfo{Type: ParamFSPath}, []byte("zoë\x00"), "zoë", "", ""},
		{"a string that is not", ParamInfo{Type: ParamFSPath}, []byte("zo\xeb\xc2\x85\x00"), "zo...", "", ""},
		{"a buffer", ParamInfo{Type: ParamBytebuf}, []byte("a\x00b\xffc~"), "a.b.c~", "", ""},
		{"no buffer", ParamInfo{Type: ParamBytebuf}, nil, "NULL", "", ""},
		{"strings", ParamInfo{Type: ParamCharbufArray}, []byte("a\x00\x00b\x00"), "a,,b", "", ""},
		{"strings without the last NUL", ParamInfo{Type: ParamCharbufPairArray}, []byte("a\x00b"), "a,b", "", ""},

		{"an IPv4 address", ParamInfo{Type: ParamIPv4Addr, Format: FormatHex}, []byte{127, 0, 0, 1}, "127.0.0.1", "", ""},
		{"an IPv6 address", ParamInfo{Type: ParamIPv6Addr}, v6, "2001:db8::1", "", ""},
		{"an address of either kind", ParamInfo{Type: ParamIPAddr}, []byte{1, 2, 3, 4}, "1.2.3.4", "", ""},
		{"an address of neither", ParamInfo{Type: ParamIPAddr}, []byte("abc"), "abc", "", ""},
		{"a network", ParamInfo{Type: ParamIPNet}, []byte("abc"), "abc", "", ""},
		{"a socket address, IPv4", ParamInfo{Type: ParamSockaddr}, cat([]byte{2, 127, 0, 0, 1}, u16(80)), "127.0.0.1:80", "", ""},
		{"a socket address, IPv6", ParamInfo{Type: ParamSockaddr}, cat([]byte{10}, v6, u16(80)), "2001:db8::1:80", "", ""},
		{"a socket address, unix", ParamInfo{Type: ParamSockaddr}, []byte("\x01/run/x\x00"), "/run/x", "", ""},
		{"a socket address, cut", ParamInfo{Type: ParamSockaddr}, []byte{2, 'a', 'b'}, ".ab", "", ""},
		{"a socket address, other", ParamInfo{Type: ParamSockaddr}, []byte{17, 'a', 'b'}, ".ab", "", ""},
		{"no socket address", ParamInfo{Type: ParamSockaddr}, nil, "<NA>", "", ""},
		{"a tuple, IPv4", ParamInfo{Type: ParamSocktuple}, cat([]byte{2, 127, 0, 0, 1}, u16(1), []byte{127, 0, 0, 1}, u16(2)), "127.0.0.1:1->127.0.0.1:2", "", ""},
		{"a tuple, IPv6", ParamInfo{Type: ParamSocktuple}, cat([]byte{10}, v6, u16(1), v6any, u16(2)), "2001:db8::1:1->:::2", "", ""},
		{"a tuple, IPv4 in IPv6", ParamInfo{Type: ParamSocktuple}, cat([]byte{10}, v6mapped, u16(1), v6any, u16(2)), "10.0.0.1:1->0.0.0.0:2", "", ""},
		{"a tuple, unix", ParamInfo{Type: ParamSocktuple}, cat([]byte{1}, u64(0xffff8800deadbeef), u64(0), []byte("/run/x\x00")), "ffff8800deadbeef->0 /run/x", "", ""},
		{"a tuple, unix without a path", ParamInfo{Type: ParamSocktuple}, cat([]byte{1}, u64(1), u64(2), []byte{0}), "1->2", "", ""},
		{"a tuple, cut", ParamInfo{Type: ParamSocktuple}, []byte{2, '1', '2', '3', '4', 0, 1, '5'}, ".1234..5", "", ""},
		{"a tuple, unix, cut", ParamInfo{Type: ParamSocktuple}, []byte{1, 'a'}, ".a", "", ""},
		{"a poll list", ParamInfo{Type: ParamFDList}, cat(u16(2), s64(3), u16(1), s64(-1), u16(0x14)), "3:1 -1:14", "", ""},
		{"a poll list that says more than it has", ParamInfo{Type: ParamFDList}, cat(u16(9), s64(3), u16(1)), "3:1", "", ""},
		{"a poll list that leaves out three", ParamInfo{Type: ParamFDList}, cat(u16(2), s64(3), u16(1), s64(1<<32+3), u16(0)), "3:1 ...(3 more)", "", ""},
		{"a poll list with an absurd number", ParamInfo{Type: ParamFDList}, cat(u16(2), s64(1<<33), u16(1), s64(1<<32), u16(0)), "8589934592:1 4294967296:0", "", ""},
		{"numbers, some with names", ParamInfo{Type: ParamNumbers, Format: FormatDec, Names: &whence}, cat(s64(1), s64(7)), "1(SEEK_CUR) 7", "", ""},
		{"numbers in hex", ParamInfo{Type: ParamNumbers, Format: FormatHex}, cat(s64(-1), s64(0)), "FFFFFFFFFFFFFFFF 0", "", ""},
		{"no numbers", ParamInfo{Type: ParamNumbers}, nil, "NULL", "", ""},
		{"an empty poll list", ParamInfo{Type: ParamFDList}, u16(0), "", "", ""},
		{"a cut poll list", ParamInfo{Type: ParamFDList}, []byte{1}, "", "", ""},

		{"dyn: bytes", ParamInfo{Type: ParamDyn, Dyn: sockopt}, []byte{0, 'h', 0}, "h.", "", ""},
		{"dyn: an error", ParamInfo{Type: ParamDyn, Dyn: sockopt}, cat([]byte{1}, s64(-111)), "-111", "-111(ECONNREFUSED)", "-111(ECONNREFUSED)"},
		{"dyn: a number", ParamInfo{Type: ParamDyn, Dyn: sockopt}, cat([]byte{2}, u32(5)), "5", "", ""},
		{"dyn: a time span", ParamInfo{Type: ParamDyn, Dyn: sockopt}, cat([]byte{4}, u64(5e8)), "500000000", "500000000(0.5s)", "500000000(0.5s)"},
		{"dyn: an index beyond", ParamInfo{Type: ParamDyn, Dyn: sockopt}, []byte{5, 'a'}, ".a", "", ""},
		{"dyn: the index alone", ParamInfo{Type: ParamDyn, Dyn: sockopt}, []byte{2}, "<NA>", "", ""},
		{"dyn: nothing", ParamInfo{Type: ParamDyn, Dyn: sockopt}, nil, "NULL", "", ""},
		{"dyn: of itself", ParamInfo{Type: ParamDyn, Dyn: []DynVariant{{ParamDyn, 0}}}, []byte{0, 0}, "..", "", ""},
		{"a type of the future", ParamInfo{Type: 200}, []byte("ab\x01"), "ab.", "", ""},
	}
	covered := map[ParamType]bool{ParamNone: true, ParamIPv4Net: true, ParamIPv6Net: true}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			prefix := []byte("x=")
			covered[test.p.Type] = true
			require.Equal(t, "x="+test.raw, string(test.p.AppendRaw(prefix, test.value)))
			if test.arg == "" {
				test.arg = test.raw
			}
			if test.text == "" {
				test.text = test.raw
			}
			require.Equal(t, "x="+test.arg, string(test.p.AppendArg(prefix, test.value)))
			require.Equal(t, "x="+test.text, string(test.p.AppendText(prefix, test.value)))
		})
	}
	for i := range ParamType(len(paramTypes)) {
		require.True(t, covered[i], "no row for %s", i)
	}
}

func TestArgsOfUnknownAndLongerEvents(t *testing.T) {
	var ev Event
	require.NoError(t, ev.Reset(mustBuild(t, 1000, 0, 0, []byte("ab\x00")), 0))
	require.Empty(t, ev.AppendArgs(nil))
	require.Equal(t, "ab.", string(ev.AppendParam(nil, 0)))
	require.NoError(t, ev.Reset(mustBuild(t, TypeUnlinkExit, 0, 0, s64(0), []byte("a\x00"), []byte("more")), 0))
	require.Equal(t, "res=0 path=a", string(ev.AppendArgs(nil)))
	require.Equal(t, "more", string(ev.AppendParam(nil, 2)))
}

func TestNamesOfEnumerations(t *testing.T) {
	for _, c := range []Category{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 32, 33, 34, 64, 128, 256} {
		require.NotEmpty(t, c.String())
		require.Equal(t, c == CategoryUnknown, c.String() == "unknown")
	}
	require.Equal(t, "syscall", SourceSyscall.String())
	require.Equal(t, "tracepoint", SourceTracepoint.String())
	require.Equal(t, "plugin", SourcePlugin.String())
	require.Equal(t, "metaevent", SourceMetaevent.String())
	require.Equal(t, "iter", SourceIter.String())
	require.Equal(t, "unknown", Source(1).String())
	names := map[string]bool{}
	for f := range Format(7) {
		names[f.String()] = true
	}
	require.Len(t, names, 7)
	v, ok := openFlags.Value("O_CREAT")
	require.True(t, ok)
	require.EqualValues(t, 4, v)
	_, ok = openFlags.Value("nosuch")
	require.False(t, ok)
	require.Equal(t, "EPERM", ErrnoName(1))
	require.Equal(t, "EHWPOISON", ErrnoName(133))
	require.Empty(t, ErrnoName(0))
	require.Empty(t, ErrnoName(134))
	require.Equal(t, "SIGSYS", SignalName(31))
	require.Empty(t, SignalName(0))
}

func TestPrintingDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dst := make([]byte, 0, 64<<10)
	for info := range All() {
		raw := sample(t, info, r)
		var ev Event
		require.Zero(t, testing.AllocsPerRun(10, func() {
			if err := ev.Reset(raw, 0); err != nil {
				t.Error(err)
			}
			dst = ev.AppendArgs(dst[:0])
			for i := range ev.NumParams() {
				dst = ev.AppendParam(dst, i)
			}
		}), info.Symbol)
	}
}

// FuzzPrint prints any bytes as a value of any type.
func FuzzPrint(f *testing.F) {
	f.Add(uint8(ParamSocktuple), uint8(0), []byte("\x02\x7f\x00\x00\x01\x01\x00\x7f\x00\x00\x01\x02\x00"))
	f.Add(uint8(ParamFDList), uint8(0), []byte("\x02\x00abcdefghij"))
	f.Add(uint8(ParamDyn), uint8(2), []byte("\x01\xfe\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(uint8(ParamFlags32), uint8(2), []byte("\x01\x10\x00\x00"))
	f.Add(uint8(ParamAbstime), uint8(1), []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(uint8(ParamFSPath), uint8(0), []byte("/tmp/\xc3\xab\x00"))
	f.Add(uint8(255), uint8(255), []byte{})
	f.Fuzz(func(t *testing.T, typ, format uint8, value []byte) {
		p := ParamInfo{Name: "res", Type: ParamType(typ), Format: Format(format), Names: &openFlags, Dyn: sockopt, DirFD: -1}
		keep := append([]byte(nil), value...)
		raw := p.AppendRaw([]byte("x="), value)
		arg := p.AppendArg([]byte("x="), value)
		text := p.AppendText([]byte("x="), value)
		resolved, ok := p.AppendResolved([]byte("x="), value)
		require.Equal(t, keep, append([]byte(nil), value...))
		for _, out := range [][]byte{raw, arg, text, resolved} {
			require.Equal(t, "x=", string(out[:2]))
			for _, c := range out {
				require.GreaterOrEqual(t, c, byte(' '))
				require.NotEqual(t, byte(0x7f), c)
			}
		}
		if ok {
			require.Equal(t, string(raw)+"("+string(resolved[2:])+")", string(arg))
		} else {
			require.Equal(t, raw, arg)
			require.Equal(t, "x=", string(resolved))
		}
		if len(value) == 0 {
			require.Contains(t, []string{"x=<NA>", "x=NULL"}, string(text))
		}
	})
}

func BenchmarkAppendArgs(b *testing.B) {
	var ev Event
	require.NoError(b, ev.Reset(openatEvent(b), 0))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = ev.AppendArgs(dst[:0])
	}
	require.Contains(b, string(dst), "name=/etc/ld.so.cache")
}
