// SPDX-License-Identifier: Apache-2.0

// Package shard divides a run among several machines.
package shard

import (
	"fmt"
	"strings"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// Shard is part Index (from 1) of the Count parts of a run.
type Shard struct{ Index, Count int }

// Parse reads "i/n".
func Parse(s string) (Shard, error) {
	var sh Shard
	if s == "" {
		return Shard{1, 1}, nil
	}
	if n, err := fmt.Sscanf(s, "%d/%d", &sh.Index, &sh.Count); err != nil || n != 2 || sh.String() != s ||
		sh.Index < 1 || sh.Index > sh.Count {
		return Shard{}, fmt.Errorf("shard %q: want i/n with 1 <= i <= n", s)
	}
	return sh, nil
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Partial reports whether there are other shards.
func (s Shard) Partial() bool { return s.Count > 1 }

// Share is a shard's part of a run: the cases to run on each of some kernels.
type Share struct {
	From, To int // half-open range of the kernels
	Cases    []string
	First    bool // no earlier shard has one of these kernels
}

// Share returns this shard's part of a run of the cases on a number of kernels. Preparing
// a kernel takes longer than running its cases, so a kernel is divided only if there are
// more shards than kernels. The cases of a syscall are never divided.
func (s Shard) Share(kernels int, cases []string) Share {
	if len(cases) == 0 || kernels == 0 {
		return Share{}
	}
	n, i := max(s.Count, 1), max(s.Index, 1)-1
	if n <= kernels {
		return Share{kernels * i / n, kernels * (i + 1) / n, cases, true}
	}
	k := i * kernels / n
	begin := func(k int) int { return (k*n + kernels - 1) / kernels } // the first shard of a kernel
	part, parts := i-begin(k), begin(k+1)-begin(k)
	from, to := cut(cases, part, parts), cut(cases, part+1, parts)
	if from == to {
		return Share{}
	}
	return Share{k, k + 1, cases[from:to], part == 0}
}

// cut returns where a part (from 0) begins when cases are divided between syscalls.
func cut(cases []string, part, parts int) int {
	at := (len(cases)*part + parts - 1) / parts
	for at > 0 && at < len(cases) && guest.SyscallOf(cases[at]) == guest.SyscallOf(cases[at-1]) {
		at++
	}
	return at
}

// Text describes what a shard runs: some or all of the cases on kernels with these names.
func Text(s Shard, kernels []string, cases, all int) string {
	if len(kernels) == 0 {
		return fmt.Sprintf("shard %s: the other shards have all cases", s)
	}
	return fmt.Sprintf("shard %s: %d of %d cases on %s", s, cases, all, strings.Join(kernels, ", "))
}
