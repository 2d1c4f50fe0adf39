// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/tables"
)

func mustParse(tb testing.TB, src string) *expr.Node {
	tb.Helper()
	n, err := expr.Parse(src, expr.Pos{File: "t.yaml", Line: 7, Col: 3})
	require.NoError(tb, err)
	return n
}

// oneEvent returns a table of one syscall, one(int fd, char *buf, size_t n), whose
// exit event has the param p.
func oneEvent(p *tables.Param) *tables.Table {
	p.Pos = expr.Pos{File: "t.yaml", Line: 7, Col: 3}
	p.Name = "p"
	e := &tables.Event{Code: 1, Name: "one", Symbol: "one_exit", Dir: "exit", Class: "other", Source: "syscall", From: "sys_exit",
		FDParam: -1, Params: []*tables.Param{p}}
	return &tables.Table{Types: tables.DefaultTypes(), Syscalls: []*tables.Syscall{{
		Name: "one", Class: "other", NR: map[string]int{"amd64": 1}, Exit: e,
		Params: []tables.CParam{{Type: "int", Name: "fd"}, {Type: "char *", Name: "buf"}, {Type: "size_t", Name: "n"}},
	}}}
}

// A table that passes its own checks must not become wrong code.
func TestWhatCannotBeGenerated(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    tables.Param
		src  string
		want string
	}{
		{"a helper nobody declared", tables.Param{Type: "uint64"}, "twice(n)", "t.yaml:7:3: one_exit: p: unknown helper twice"},
		{"an argument the call lacks", tables.Param{Type: "uint64"}, "size", "unknown name size"},
		{"bytes without a length", tables.Param{Type: "bytebuf"}, "buf", "type bytebuf needs a param helper or a len"},
		{"a type nobody knows", tables.Param{Type: "uint128"}, "n", "unknown type uint128"},
		{"a literal string that is not empty", tables.Param{Type: "charbuf"}, `"text"`, "only string literal is the empty one"},
		{"an expression of cases", tables.Param{Type: "uint64"}, "$x", "not a source"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.p
			p.From = mustParse(t, tt.src)
			_, err := Files(oneEvent(&p))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestArgumentsAreCutToTheirCType(t *testing.T) {
	for _, tt := range []struct{ typ, src, want string }{
		{"uint64", "n", "push_u64(f, f->arg[2]);"},
		{"uint64", "fd", "push_u64(f, (s32)f->arg[0]);"},
		{"uint32", "fd", "push_u32(f, f->arg[0]);"},
		{"fd", "fd", "push_s64(f, (s32)f->arg[0]);"},
		{"fd", "n", "push_s64(f, (s32)f->arg[2]);"},
		{"pid", "n", "push_s64(f, (s32)f->arg[2]);"},
		{"int64", "n", "push_s64(f, f->arg[2]);"},
		{"uint64", "n << 32 | fd", "push_u64(f, (f->arg[2] << 32) | (s32)f->arg[0]);"},
		{"uint64", "(fd << 32) + n", "push_u64(f, ((u64)(s32)f->arg[0] << 32) + f->arg[2]);"},
		{"uint8", "-1", "push_u8(f, -1);"},
		{"uint64", "0xffffffffffffffff", "push_u64(f, 0xffffffffffffffff);"},
	} {
		table := oneEvent(&tables.Param{Type: tt.typ, From: mustParse(t, tt.src)})
		text, err := Filler(table, "one_exit")
		require.NoError(t, err, tt.src)
		require.Contains(t, text, "\t"+tt.want+"\n", "%s from %s", tt.typ, tt.src)
	}
}

// A value without an arm must not make the event one param short.
func TestAnEmptyArmSendsAnEmptyParam(t *testing.T) {
	for _, p := range []tables.Param{{Type: "uint64"}, {Type: "dyn", Dyn: "ptrace"}} {
		arm := tables.SwitchArm{Values: []*expr.Node{mustParse(t, "7")}, From: mustParse(t, "n")}
		if p.Dyn != "" {
			arm.Dyn = "uint64"
		}
		p.Switch = &tables.Switch{On: "q", Arms: []tables.SwitchArm{arm, {From: mustParse(t, "empty")}}}
		table := oneEvent(&p)
		table.Syscalls[0].Exit.Params = append(table.Syscalls[0].Exit.Params, &tables.Param{Name: "q", Type: "uint64", From: mustParse(t, "n")})
		text, err := Filler(table, "one_exit")
		require.NoError(t, err, p.Type)
		require.Contains(t, text, "\tdefault:\n\t\tpush_empty(f);\n\t\tbreak;\n", p.Type)
	}
}

func TestTwoEventsCannotShareACodeOrASymbol(t *testing.T) {
	table := oneEvent(&tables.Param{Type: "uint64", From: mustParse(t, "n")})
	table.Events = []*tables.Event{{Code: 1, Symbol: "two_exit"}}
	_, err := Files(table)
	require.ErrorContains(t, err, "two_exit: code 1 belongs to one_exit")
	table.Events = []*tables.Event{{Code: 3, Symbol: "one_exit"}}
	_, err = Files(table)
	require.ErrorContains(t, err, "one_exit: symbol of codes 1 and 3")
}

func TestConversionsThatCannotBeTold(t *testing.T) {
	bit := func(name string, value, native uint64) tables.FlagValue {
		return tables.FlagValue{Name: name, Value: value, Native: native, HasNative: true}
	}
	for _, tt := range []struct {
		name string
		set  tables.FlagSet
		want string
	}{
		{"no bit", tables.FlagSet{Kind: "bits", Values: []tables.FlagValue{bit("A", 1, 0)}}, "A: no bit to test"},
		{"no mask", tables.FlagSet{Kind: "mask", Values: []tables.FlagValue{bit("A", 1, 0)}}, "A: no bit to test"},
		{"one native, two values", tables.FlagSet{Kind: "enum", Values: []tables.FlagValue{bit("A", 1, 5), bit("B", 2, 5)}},
			"A and B have one native value but two event values"},
		{"unknown kind", tables.FlagSet{Kind: "bitz", Values: []tables.FlagValue{bit("A", 1, 5)}}, "unknown kind bitz"},
	} {
		tt.set.Name = "set"
		_, err := flagBody(&tt.set)
		require.ErrorContains(t, err, "set: "+tt.want, tt.name)
	}
}

func TestFieldNames(t *testing.T) {
	for param, want := range map[string]string{"fd": "FD", "ino": "Ino", "cap_effective": "CapEffective", "nativeID": "NativeID",
		"exe_ino_ctime": "ExeInoCtime", "olddirfd": "OldDirFD", "io_uring_op": "IOUringOp", "ptid": "PTID", "fd1": "FD1", "pid_fd": "PIDFD", "ipv4addr": "IPv4Addr", "enumflags32": "EnumFlags32", "getpid": "Getpid", "set": "SetParam", "2nd": "P2nd"} {
		require.Equal(t, want, fieldName(param))
	}
}

// The generated Go compiles where it is needed: decoders everywhere, cases on what
// guests are made for.
func TestGeneratedGoCompiles(t *testing.T) {
	testutil.SkipUnderRace(t)
	for target, pkgs := range map[string][]string{
		"linux/amd64":  {"./scap/event", "./vmtest/guest"},
		"linux/arm64":  {"./scap/event", "./vmtest/guest"},
		"darwin/arm64": {"./scap/event"},
	} {
		testutil.Compiles(t, target, pkgs...)
	}
}

// Gen knows the number of every errno that lint accepts in a condition.
func TestEveryErrnoHasANumberInConditions(t *testing.T) {
	for _, e := range tables.DefaultTypes().Errnos {
		p := &tables.Param{Type: "uint64", From: mustParse(t, "n")}
		p.When = []tables.Cond{{Var: "ret", Op: "in", In: []*expr.Node{mustParse(t, "-"+e.Name)}}}
		text, err := Filler(oneEvent(p), "one_exit")
		require.NoError(t, err, e.Name)
		require.Contains(t, text, "-N_"+e.Name, e.Name)
	}
}
