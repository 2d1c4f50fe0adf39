// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

func TestPreemptionIsAFactOfTheKernelsTypes(t *testing.T) {
	number := &btf.Int{Name: "int", Size: 4}
	data := func(member string) *btf.Struct {
		return &btf.Struct{Name: "srcu_data", Size: 4, Members: []btf.Member{{Name: member, Type: number}}}
	}
	perCPU := func(name string, of btf.Type) *btf.Datasec {
		v := &btf.Var{Name: name, Type: of, Linkage: btf.StaticVar}
		return &btf.Datasec{Name: ".data..percpu", Size: 4, Vars: []btf.VarSecinfo{{Type: v, Size: 4}}}
	}
	old, fast := data("srcu_lock_count"), data("srcu_ctrs")
	for _, c := range []struct {
		name  string
		types []btf.Type
		want  bool
	}{
		{"5.10: no SRCU-fast, variables are not described", []btf.Type{old}, false},
		{"6.1: tracepoint_srcu is for the idle loop", []btf.Type{old, perCPU("tracepoint_srcu_srcu_data", old)}, false},
		{"6.19: SRCU-fast is for others", []btf.Type{fast, perCPU("tasks_rcu_exit_srcu_srcu_data", fast)}, false},
		{"7.0: SRCU-fast protects tracepoints", []btf.Type{fast, perCPU("tracepoint_srcu_srcu_data", fast)}, true},
		{"variables are not described: unknown", []btf.Type{fast}, true},
		{"no SRCU is described: unknown", []btf.Type{number}, true},
	} {
		b, err := btf.NewBuilder(c.types, nil)
		require.NoError(t, err, c.name)
		raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.NativeEndian})
		require.NoError(t, err, c.name)
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, tracepointsPreempt(spec), c.name)
	}
}
