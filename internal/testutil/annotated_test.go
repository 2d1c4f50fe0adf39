// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// watched is a test whose failure is looked at.
type watched struct {
	testing.TB
	failed bool
	log    string
}

func (w *watched) Helper()                        {}
func (w *watched) Name() string                   { return "TestWatched" }
func (w *watched) Logf(format string, a ...any)   { w.log += fmt.Sprintf(format, a...) }
func (w *watched) Errorf(format string, a ...any) { w.failed = true; w.Logf(format, a...) }
func (w *watched) FailNow()                       { w.failed = true; runtime.Goexit() }

func watch(f func(tb testing.TB)) *watched {
	w := &watched{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(w)
	}()
	<-done
	return w
}

func TestAnnotations(t *testing.T) {
	src := "a: 1\nb: 2 # ERROR: first # ERROR 4: second\n# plain\n# ERROR:third"
	require.Equal(t, []LineError{{2, 0, "first"}, {2, 4, "second"}, {4, 0, "third"}}, Annotations(src))
}

func TestAnnotated(t *testing.T) {
	const src = "a # ERROR 3: no b\nc # ERROR: no d"
	for _, row := range []struct {
		name string
		got  []LineError
		want string
	}{
		{"all there", []LineError{{2, 9, "x: no d (but e)"}, {1, 3, "no b"}}, ""},
		{"one missing", []LineError{{1, 3, "no b"}}, "f:2: no such error: no d"},
		{"one too many", []LineError{{1, 3, "no b"}, {2, 1, "no d"}, {2, 1, "no d"}}, "f:2:1: unexpected error: no d"},
		{"another line", []LineError{{1, 3, "no b"}, {1, 3, "no d"}}, "f:1:3: unexpected error: no d\nf:2: no such error: no d"},
		{"another column", []LineError{{1, 4, "no b"}, {2, 1, "no d"}}, "f:1:4: unexpected error: no b\nf:1:3: no such error: no b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := watch(func(tb testing.TB) { Annotated(tb, "f", src, row.got) })
			require.Equal(t, row.want, w.log)
			require.Equal(t, row.want != "", w.failed)
		})
	}
}

func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b.txt")

	w := watch(func(tb testing.TB) { golden(tb, path, []byte("x"), false) })
	require.True(t, w.failed, "a missing file is a failure")
	require.Contains(t, w.log, "-update")
	require.NoFileExists(t, path)

	w = watch(func(tb testing.TB) { golden(tb, path, []byte("x"), true) })
	require.False(t, w.failed, w.log)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))

	w = watch(func(tb testing.TB) { golden(tb, path, []byte("x"), false) })
	require.False(t, w.failed, w.log)

	w = watch(func(tb testing.TB) { golden(tb, path, []byte("y"), false) })
	require.True(t, w.failed, "different bytes are a failure")
	require.Contains(t, w.log, "-update")
}
