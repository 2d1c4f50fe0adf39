// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"errors"
	"flag"
	"fmt"
	goconstant "go/constant"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/testutil"
)

// headerList has the series of the kernel that it is of in its first line, then a line for each name: set, name, value.
const headerList = "testdata/headers.txt"

// updateHeaders makes the list again.
const updateHeaders = "go test ./gen -run '^TestTheListOfHeaderNamesIsThatOfTheNewestKernel$' -update makes the list again"

// Each flag set of events has the values of the newest kernel's headers, so that no value is reported as another one.
func TestFlagSetsKnowWhatTheNewestKernelHas(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	text, err := os.ReadFile(headerList)
	require.NoError(t, err)
	// sets with a hand-written conversion: the sets that they are built from
	parts := map[string]string{"open_flags": "open_bits", "mmap_flags": "mmap_type mmap_bits"}
	listed := make(map[string]int)
	var missing []string
	_, lines, _ := strings.Cut(string(text), "\n")
	for line := range strings.Lines(lines) {
		var set, name string
		var value uint64
		_, err := fmt.Sscan(line, &set, &name, &value)
		require.NoError(t, err, line)
		listed[set]++
		natives := make(map[uint64]bool)
		for part := range strings.FieldsSeq(set + " " + parts[set]) {
			require.Contains(t, m.sets, part)
			for _, v := range m.sets[part].Values {
				if n, ok := nativeOf(v); ok {
					if n, ok := n.on("amd64"); ok {
						natives[n] = true
					}
				}
				if v.Name == name || "MS_"+v.Name == name {
					natives[value] = true
				}
			}
		}
		known := natives[value] || int64(value) < 0 && natives[uint64(uint32(value))] // an int below 0
		if set == "open_flags" && value <= 2 || value == 0 {                          // the access mode, and the absence of flags
			known = true
		}
		if !known {
			missing = append(missing, fmt.Sprintf("%s: %s %#x", set, name, value))
		}
	}
	require.Empty(t, missing, "flags.yaml lacks them")
	for _, s := range m.table.Flags {
		if s.Kernel.None == "" {
			require.Positive(t, listed[s.Name], "%s: %s: %s has no name of the set; %s", s.Pos, s.Name, headerList, updateHeaders)
		}
	}
}

// The list has the names of the newest kernel's headers.
func TestTheListOfHeaderNamesIsThatOfTheNewestKernel(t *testing.T) {
	k, src := newestHeaders(t)
	newest := filepath.Join(src, "include/uapi")
	text, err := os.ReadFile(headerList)
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintln(&b, k.Name)
	for _, h := range mustLoad(t, filepath.Join(root, "tables")).Flags {
		defs := make(map[string]string)
		var names []string
		for _, file := range h.Kernel.Files {
			src, err := os.ReadFile(filepath.Join(newest, file))
			require.NoError(t, err)
			for _, d := range definitions(string(src)) {
				if defs[d.name] == "" {
					names = append(names, d.name)
				}
				defs[d.name] = d.value
			}
		}
		for _, extra := range []string{"asm-generic/fcntl.h"} {
			src, err := os.ReadFile(filepath.Join(newest, extra))
			require.NoError(t, err)
			for _, d := range definitions(string(src)) {
				if defs[d.name] == "" {
					defs[d.name] = d.value
				}
			}
		}
		want, but := regexp.MustCompile("^("+h.Kernel.Names+")$"), regexp.MustCompile("^("+h.Kernel.But+")$")
		for _, name := range names {
			if !want.MatchString(name) || but.MatchString(name) {
				continue
			}
			if v, ok := evaluate(name, defs); ok {
				fmt.Fprintf(&b, "%s %s %d\n", h.Name, name, v)
			}
		}
	}
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(headerList, []byte(b.String()), 0o644))
		return
	}
	require.Equal(t, string(text), b.String(), "%s is stale; %s", headerList, updateHeaders)
}

// newestHeaders returns the newest kernel and the directory of its headers, which are
// fetched if necessary.
func newestHeaders(t *testing.T) (kernels.Kernel, string) {
	testutil.SkipIfShort(t, "fetches the headers of a kernel")
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	wants, err := catalog.ParseRequests("newest")
	require.NoError(t, err)
	b := &kmodbuild.Builder{Store: &kernels.Store{Catalog: catalog, MaxAge: 1 << 62, Log: t.Logf}, Log: t.Logf}
	found, gone, err := b.Store.Resolve(t.Context(), wants)
	if lacks, ok := errors.AsType[*env.Error](err); ok {
		t.Skip(lacks)
	}
	require.NoError(t, err)
	if len(gone) > 0 {
		t.Skipf("kernel %s is not available: %v", gone[0].Request, gone[0].Reason)
	}
	src, err := b.Headers(t.Context(), found[0])
	require.NoError(t, err)
	common, err := filepath.Glob(filepath.Join(src, "linux-headers-*-common"))
	require.NoError(t, err)
	require.Len(t, common, 1)
	return found[0], common[0]
}

type definition struct{ name, value string }

var (
	headerComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	headerDefine  = regexp.MustCompile(`^\s*#\s*define\s+([A-Z_]\w*)\s+(.+?)\s*$`)
	headerEnum    = regexp.MustCompile(`(?s)enum(?:\s+\w+)?\s*\{(.*?)\}`)
	numberSuffix  = regexp.MustCompile(`\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b`)
	forceCast     = regexp.MustCompile(`\(__force \w+\)`)
	headerWord    = regexp.MustCompile(`\b[A-Za-z_]\w*\b`)
)

// definitions returns the macros without arguments and the enumerators of a header, in order.
func definitions(src string) (out []definition) {
	src = headerComment.ReplaceAllString(src, " ")
	src = strings.ReplaceAll(src, "\\\n", " ")
	for line := range strings.Lines(src) {
		if m := headerDefine.FindStringSubmatch(line); m != nil {
			out = append(out, definition{m[1], m[2]})
		}
	}
	for _, body := range headerEnum.FindAllStringSubmatch(src, -1) {
		last := "-1"
		for item := range strings.SplitSeq(body[1], ",") {
			name, value, set := strings.Cut(strings.TrimSpace(item), "=")
			name = strings.TrimSpace(name)
			if !regexp.MustCompile(`^[A-Z_]\w*$`).MatchString(name) {
				continue
			}
			if value = strings.TrimSpace(value); !set {
				value = last + " + 1"
			}
			out = append(out, definition{name, value})
			last = "(" + value + ")"
		}
	}
	return out
}

// evaluate returns the number of a name.
func evaluate(name string, defs map[string]string) (uint64, bool) {
	text := name
	for range 50 {
		text = forceCast.ReplaceAllString(text, "")
		text = strings.ReplaceAll(text, "XQM_CMD", "('X'<<8)+")
		text = numberSuffix.ReplaceAllString(text, "$1")
		before := text
		text = headerWord.ReplaceAllStringFunc(text, func(w string) string {
			if v := defs[w]; v != "" {
				return "(" + v + ")"
			}
			return w
		})
		if text == before {
			break
		}
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, strings.ReplaceAll(text, "~", "^"))
	if err != nil || v.Value == nil {
		return 0, false
	}
	n := goconstant.ToInt(v.Value)
	if i, ok := goconstant.Int64Val(n); ok {
		return uint64(i), true
	}
	return goconstant.Uint64Val(n)
}
