// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kver"
)

// skipRecorder is a test that remembers why it was skipped.
type skipRecorder struct {
	testing.TB
	reason string
}

func (s *skipRecorder) Helper()                  {}
func (s *skipRecorder) Skip(args ...any)         { s.reason = fmt.Sprint(args...) }
func (s *skipRecorder) Skipf(f string, a ...any) { s.reason = fmt.Sprintf(f, a...) }

func TestReasonsToSkip(t *testing.T) {
	require.Empty(t, notRoot("linux", 0))
	require.Equal(t, "needs root", notRoot("linux", 1000))
	require.Equal(t, "needs Linux, this is plan9", notRoot("plan9", -1))

	require.Empty(t, tooOld(kver.MustParse("5.17"), "5.17", "bpf_loop"))
	require.Equal(t, "needs Linux 5.17 for bpf_loop, this is 5.10.3", tooOld(kver.MustParse("5.10.3"), "5.17", "bpf_loop"))

	file := filepath.Join(t.TempDir(), "vmlinux")
	require.Contains(t, noBTF(file), "needs the kernel's BTF: open "+file)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Empty(t, noBTF(file))
}

func TestSkipsAgreeWithTheMachine(t *testing.T) {
	s := &skipRecorder{TB: t}
	SkipUnlessRoot(s)
	require.Equal(t, os.Geteuid() == 0, s.reason == "")

	s = &skipRecorder{TB: t}
	SkipUnlessBTF(s)
	_, err := os.Stat(btfFile)
	require.Equal(t, err == nil, s.reason == "")

	s = &skipRecorder{TB: t}
	SkipIfShort(s, "waits")
	require.Equal(t, testing.Short(), s.reason == "-short: it waits")

	if running, err := kver.Running(); err == nil {
		s = &skipRecorder{TB: t}
		SkipUnlessKernel(s, running.String(), "itself")
		require.Empty(t, s.reason)
		SkipUnlessKernel(s, fmt.Sprintf("%d.0", running.Major+1), "time travel")
		require.Contains(t, s.reason, "for time travel")
	}
}
