// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	cComment  = regexp.MustCompile(`(?s)/\*.*?\*/`)
	structTop = regexp.MustCompile(`(?s)\nstruct filler \{\n(.*?)\n\};`)
	fieldLine = regexp.MustCompile(`^(.*?)(\w+)(\[\d+\])?$`)
	fieldUse  = regexp.MustCompile(`\bf->(\w+)`)
)

// fillerFields are the fields of a driver's struct filler, with their types.
func fillerFields(tb testing.TB, header string) map[string]string {
	tb.Helper()
	text, err := os.ReadFile(header)
	require.NoError(tb, err)
	m := structTop.FindStringSubmatch(cComment.ReplaceAllString(string(text), ""))
	require.NotNil(tb, m, "%s has no struct filler", header)
	fields := make(map[string]string)
	for line := range strings.SplitSeq(m[1], ";") {
		if line = strings.Join(strings.Fields(line), " "); line == "" {
			continue
		}
		d := fieldLine.FindStringSubmatch(line)
		require.NotNil(tb, d, line)
		fields[d[2]] = d[1] + d[3]
	}
	return fields
}

// The text that both drivers compile uses fields that mean the same in each.
func TestFillersUseFieldsThatBothDriversHaveAlike(t *testing.T) {
	ebpf, kmod := fillerFields(t, "bpf/push.h"), fillerFields(t, "kmod/push.h")
	headers, err := filepath.Glob("fillers/*.h")
	require.NoError(t, err)
	used := make(map[string]bool)
	for _, header := range headers {
		text, err := os.ReadFile(header)
		require.NoError(t, err)
		for _, m := range fieldUse.FindAllStringSubmatch(cComment.ReplaceAllString(string(text), ""), -1) {
			used[m[1]] = true
			require.Contains(t, ebpf, m[1], "%s: f->%s, in the eBPF driver", header, m[1])
			require.Contains(t, kmod, m[1], "%s: f->%s, in the module", header, m[1])
			require.Equal(t, ebpf[m[1]], kmod[m[1]], "%s: type of f->%s, eBPF and module", header, m[1])
		}
	}
	require.Greater(t, len(used), 10)
}
