// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package driver

import (
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap/event"
)

func mustStruct(tb testing.TB, name string) *btf.Struct {
	tb.Helper()
	spec, err := bpf.Load(bpf.Core)
	require.NoError(tb, err)
	var s *btf.Struct
	require.NoError(tb, spec.Types.TypeByName(name, &s))
	return s
}

// The programs write the header that package event reads.
func TestEventHeaderIsThatOfTheFormat(t *testing.T) {
	s := mustStruct(t, "event_header")
	require.EqualValues(t, event.HeaderSize, s.Size)
	offsets := make(map[string]int)
	for _, m := range s.Members {
		offsets[m.Name] = int(m.Offset.Bytes())
	}
	require.Equal(t, map[string]int{
		"ts": abi.EventTime, "tid": abi.EventTID, "len": abi.EventLen, "type": abi.EventType, "nparams": abi.EventNumParams,
	}, offsets)
}

// Structs that Go and the programs share through maps have the same layout in both.
func TestSharedStructsLieAlike(t *testing.T) {
	for name, goType := range map[string]reflect.Type{
		"config":   reflect.TypeFor[bpf.Config](),
		"counters": reflect.TypeFor[bpf.Counters](),
		"cpu":      reflect.TypeFor[bpf.CPU](),
	} {
		s := mustStruct(t, name)
		require.EqualValues(t, s.Size, goType.Size(), name)
		for _, m := range s.Members {
			field, ok := goType.FieldByName(goName(m.Name))
			require.True(t, ok, "%s.%s", name, m.Name)
			require.EqualValues(t, m.Offset.Bytes(), field.Offset, "%s.%s", name, m.Name)
			size, err := btf.Sizeof(m.Type)
			require.NoError(t, err)
			require.EqualValues(t, size, field.Type.Size(), "%s.%s", name, m.Name)
		}
	}
}

// goName returns the Go name of a C field.
func goName(c string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(c, "_") {
		r := []rune(part)
		b.WriteRune(unicode.ToUpper(r[0]))
		b.WriteString(string(r[1:]))
	}
	return b.String()
}
