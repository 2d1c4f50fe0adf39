// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/tables"
)

// What docs/differences.md says of the reference's module was seen, and all that was seen is in it.
func TestTheDifferencesFromTheModuleAreThoseThatWereSeen(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	claims := m.claims()
	require.NotEmpty(t, claims)
	for _, c := range claims {
		_, seen := m.seen(c)
		require.Equal(t, c.Of == "", seen, "%s %s: %s (a claim about the module is seen by `scaplab matrix --seen`; differs_of says of which driver others are)", c.event.Symbol, c.name(), c.Text)
	}
	for _, d := range m.table.Seen.Differs {
		i := slices.IndexFunc(m.events, func(e *event) bool { return e.Symbol == d.Event })
		require.GreaterOrEqual(t, i, 0, "tables/%s: the table has no event %s", tables.SeenFile, d.Event)
		// What is said of an exit event is meant of the enter event, too.
		listed := slices.ContainsFunc(claims, func(c claim) bool { return c.event.Code == m.events[i].Code|1 && c.name() == d.Param })
		if d.String {
			p := slices.IndexFunc(m.events[i].Params, func(p *tables.Param) bool { return p.Name == d.Param })
			listed = p >= 0 && m.losesString(m.events[i], m.events[i].Params[p])
		}
		require.True(t, listed, "tables/%s: %s %s: no differs lists it", tables.SeenFile, d.Event, d.Param)
	}
	for _, d := range m.table.Seen.Defects {
		require.Contains(t, []string{"crash", "hang", "kernel"}, d.Class,
			"tables/%s: %s %s differs and is not listed: it is our fault, or a differs lists it: %s", tables.SeenFile, d.Event, d.Param, d.Reason)
	}
}

func TestTheColumnSaysWhereADifferenceWasSeen(t *testing.T) {
	param := func(name, group string) *tables.Param { return &tables.Param{Name: name, Group: group} }
	execve := &event{Event: &tables.Event{Symbol: "execve_exit", Params: []*tables.Param{param("exe", "tail"), param("args", "")}}}
	execveat := &event{Event: &tables.Event{Symbol: "execveat_exit", Params: []*tables.Param{param("exe", "tail"), param("args", "")}}}
	m := &model{events: []*event{execve, execveat}, table: &tables.Table{Seen: tables.Seen{Module: "scap 1.2.3", Differs: []tables.SeenDifference{
		{Event: "execve_exit", Param: "exe", Kernels: []string{"6.1", "6.12"}},
		{Event: "execve_exit", Param: "args", Kernels: []string{"6.1"}},
		{Event: "execveat_exit", Param: "args", Kernels: []string{"6.1"}, String: true},
	}}}}
	on := func(e *event, i int, of string) string {
		return m.seenOn(claim{tables.Difference{Text: "x", Of: of}, e, e.Params[i]})
	}
	require.Equal(t, "1.2.3 on 6.1, 6.12", on(execve, 0, ""))
	require.Equal(t, "1.2.3 on 6.1, 6.12 (in execve)", on(execveat, 0, ""), "they share the param")
	require.Equal(t, "not seen", on(execveat, 1, ""), "a param of that name only, and a string that is lost")
	require.Equal(t, "not judged: of the eBPF driver only", on(execve, 0, tables.OfEBPF))
	require.Equal(t, "not judged: of newer versions only", on(execve, 0, tables.OfNewer))
	require.Equal(t, "not seen", m.seenOn(claim{tables.Difference{Text: "x"}, execve, nil}), "of the whole event")
}
