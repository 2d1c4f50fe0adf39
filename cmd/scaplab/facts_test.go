// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/internal/testutil"
)

// The running kernel's types stand for an image that has no list of its calls.
func TestFactsSayWhatOurProgramsRead(t *testing.T) {
	testutil.SkipUnlessBTF(t)
	var out, stderr bytes.Buffer
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"kernels", "facts", "--json", "/sys/kernel/btf/vmlinux"}, &out, &stderr), stderr.String())
	var f kernelfacts.Facts
	require.NoError(t, json.Unmarshal(out.Bytes(), &f))
	require.NotEmpty(t, f.NoConfig)
	require.Contains(t, f.Tracepoints, "sys_exit")
	var mm kernelfacts.Read
	for _, r := range f.Reads {
		if r.What == "struct task_struct.mm" {
			mm = r
		}
	}
	require.True(t, mm.There)
	require.Equal(t, "struct mm_struct *", mm.Type)
	require.EqualValues(t, 64, mm.Size)
	require.Positive(t, mm.Offset)

	out.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"kernels", "facts", "/sys/kernel/btf/vmlinux"}, &out, &stderr), stderr.String())
	require.Regexp(t, `(?m)^  struct task_struct\.mm +struct mm_struct \* +byte \d+$`, out.String())
	out.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"kernels", "diff", "/sys/kernel/btf/vmlinux", "/sys/kernel/btf/vmlinux"}, &out, &stderr), stderr.String())
	require.Equal(t, "from /sys/kernel/btf/vmlinux to /sys/kernel/btf/vmlinux\n\n0 fields that our programs read moved\n", out.String())
	require.Equal(t, cli.ExitUsage, run(t.Context(), []string{"kernels", "facts", "all"}, &out, &stderr))
}

func TestADiffNamesTheEntriesThatItTouches(t *testing.T) {
	d := kernelfacts.Diff{
		Syscalls: []kernelfacts.Change{{Name: "openat", After: "openat()"}, {Name: "no_such_call", After: "no_such_call()"}},
		Reads:    []kernelfacts.Change{{Name: "struct s.f", Before: "struct s.f: int", Programs: []string{"x_openat_exit", "x_brk_exit"}, Source: []string{"a.h:1"}}},
	}
	touch(&d)
	require.Regexp(t, `^openat \(tables/syscalls/file\.yaml:\d+\)$`, d.Syscalls[0].Entries[0])
	require.Empty(t, d.Syscalls[1].Entries)
	require.Equal(t, []string{"brk", "openat"}, d.Reads[0].Entries)
	var out bytes.Buffer
	require.NoError(t, writeDiff(&out, &d))
	require.Contains(t, out.String(), "  - struct s.f: int\n      read at a.h:1\n      by 2 programs, of brk, openat\n")
}
