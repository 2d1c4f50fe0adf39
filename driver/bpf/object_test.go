// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package bpf

import (
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

// Programs of every object use the core's maps, so an object must define its maps as the core does.
func TestObjectsShareTheMapsOfTheCore(t *testing.T) {
	require.Contains(t, Names(), Core)
	core, err := Load(Core)
	require.NoError(t, err)
	for _, name := range Names() {
		spec, err := Load(name)
		require.NoError(t, err)
		for _, m := range slices.Sorted(maps.Keys(spec.Maps)) {
			require.Contains(t, core.Maps, m, "%s has a map of its own (see SHARED in maps.h)", name)
			require.Equal(t, layout(t, core.Maps[m]), layout(t, spec.Maps[m]), "%s of %s", m, name)
		}
	}
}

func layout(tb testing.TB, m *ebpf.MapSpec) any {
	tb.Helper()
	type variable struct {
		name         string
		offset, size uint32
	}
	var variables []variable
	if data, ok := m.Value.(*btf.Datasec); ok {
		for _, v := range data.Vars {
			variables = append(variables, variable{v.Type.TypeName(), v.Offset, v.Size})
		}
	}
	return struct {
		kind                              ebpf.MapType
		key, value, entries, flags, inner uint32
		variables                         []variable
	}{m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags, innerType(m), variables}
}

func innerType(m *ebpf.MapSpec) uint32 {
	if m.InnerMap == nil {
		return 0
	}
	return uint32(m.InnerMap.Type)
}

// Programs are looked up by name alone.
func TestAProgramIsInOneObject(t *testing.T) {
	in := make(map[string]string)
	for _, name := range Names() {
		spec, err := Load(name)
		require.NoError(t, err)
		for program := range spec.Programs {
			require.Empty(t, in[program], "%s is also in %s", program, name)
			in[program] = name
		}
	}
}
