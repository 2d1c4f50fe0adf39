// SPDX-License-Identifier: Apache-2.0

package savefile_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/savefile"
)

// corpusKernels and drivers that testdata/corpus has a capture of.
var (
	corpusKernels = []string{"5.10", "6.1", "6.12", "7.3"}
	corpusDrivers = []string{"ebpf", "kmod"}
)

// delivered is what a driver delivered. The harness recorded it from the events,
// before it wrote them to a file (vmtest.CaptureInfo).
type delivered struct {
	Kernel  string         `json:"kernel"`
	Release string         `json:"release"`
	Arch    string         `json:"arch"`
	Driver  string         `json:"driver"`
	Cases   int            `json:"cases"`
	Events  int            `json:"events"`
	SHA256  string         `json:"sha256"`
	Types   map[string]int `json:"types"`
}

// The machines of the matrix wrote the captures of testdata/corpus (see
// testdata/corpus/README.md). The reader must return every byte of every event that
// the driver delivered.
func TestCorpusIsReadBackEqual(t *testing.T) {
	for _, kernel := range corpusKernels {
		for _, driver := range corpusDrivers {
			t.Run(kernel+"-"+driver, func(t *testing.T) {
				base := filepath.Join("testdata", "corpus", kernel+"-"+driver)
				text, err := os.ReadFile(base + ".json")
				require.NoError(t, err)
				var want delivered
				require.NoError(t, json.Unmarshal(text, &want))
				require.Equal(t, []string{kernel, driver}, []string{want.Kernel, want.Driver})
				require.True(t, strings.HasPrefix(want.Release, kernel+"."), want.Release)
				require.Greater(t, want.Events, 100)
				st, err := os.Stat(base + ".scap")
				require.NoError(t, err)
				require.Less(t, st.Size(), int64(100<<10), "a corpus in git is small")

				r, err := savefile.Open(base+".scap", savefile.Options{Raw: true})
				require.NoError(t, err)
				defer r.Close()
				sum, types, last := sha256.New(), map[string]int{}, uint64(0)
				for {
					ev, err := r.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					require.NoError(t, err)
					sum.Write(ev.Bytes())
					require.GreaterOrEqual(t, ev.Timestamp(), last)
					last = ev.Timestamp()
					info := ev.Info()
					require.NotNil(t, info, "code %d", ev.Type())
					types[info.Symbol]++
				}
				require.Equal(t, want.Types, types)
				require.Equal(t, want.SHA256, hex.EncodeToString(sum.Sum(nil)))
				require.EqualValues(t, want.Events, r.Counts().Events)
				require.NotEmpty(t, r.State().Threads, "the state of the machine")
				require.NotZero(t, r.State().Machine.NumCPUs)
			})
		}
	}
}

// The conversion of old captures does not change current ones.
func TestCorpusNeedsNoConversion(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.scap")
	require.NoError(t, err)
	require.Len(t, files, len(corpusKernels)*len(corpusDrivers))
	for _, file := range files {
		r, err := savefile.Open(file, savefile.Options{})
		require.NoError(t, err)
		raw, err := savefile.Open(file, savefile.Options{Raw: true})
		require.NoError(t, err)
		for {
			want, end := raw.Next()
			got, err := r.Next()
			require.Equal(t, end, err, file)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.Equal(t, want.Bytes(), got.Bytes(), "%s: event %d", file, raw.Counts().Delivered)
		}
		require.NoError(t, errors.Join(r.Close(), raw.Close()))
	}
}
