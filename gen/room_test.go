// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// No event of the table can outgrow its limit, however long what the caller passes is.
func TestNoEventIsTooLong(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	growing := 0
	for _, e := range m.driven() {
		// As the drivers: each param takes as much as it may, in order.
		off := payload(len(e.Params))
		text, err := Filler(m.table, e.Symbol)
		require.NoError(t, err)
		for i, p := range e.Params {
			s, err := m.sizeOf(p)
			require.NoError(t, err)
			n := s.most
			if s.rest {
				growing++
				n = min(abi.ParamMax, abi.EventMax-e.after[i]-off)
				require.GreaterOrEqual(t, n, restLeast, "%s: %s", e.Symbol, p.Name)
				if e.Filler != "manual" {
					require.Contains(t, text, fmt.Sprintf(", %d);", e.after[i]), "%s: %s", e.Symbol, p.Name)
				}
			}
			off += n
		}
		require.LessOrEqual(t, off, abi.EventMax, e.Symbol)
	}
	require.Greater(t, growing, 40)
}

func TestAnEventThatCanBeTooLongIsRefused(t *testing.T) {
	p := &tables.Param{Type: "charbuf", From: mustParse(t, "buf")}
	table := oneEvent(p)
	e := table.Syscalls[0].Exit
	for i := 2; i <= 16; i++ {
		e.Params = append(e.Params, &tables.Param{Pos: expr.Pos{File: "t.yaml", Line: 6 + i, Col: 3}, Name: fmt.Sprintf("p%d", i),
			Type: "charbuf", From: p.From})
	}
	_, err := Files(table)
	require.EqualError(t, err, "t.yaml:22:3: one_exit: p16: an event of 65594 bytes can be too long by this param's 4096 (65536 is the limit)")
	e.Params = e.Params[:15]
	_, err = Files(table)
	require.NoError(t, err)

	e.Params = append(e.Params, &tables.Param{Pos: expr.Pos{File: "t.yaml", Line: 9, Col: 5}, Name: "rest", Type: "bytebuf", From: p.From,
		Len: mustParse(t, "n")})
	_, err = Files(table)
	require.ErrorContains(t, err, "t.yaml:9:5: one_exit: rest: an event of")
}

func TestAParamOfUnknownSizeIsRefused(t *testing.T) {
	table := oneEvent(&tables.Param{Type: "charbufarray", From: mustParse(t, "strings(buf)")})
	table.Helpers = []*tables.Helper{{Kind: "param", Name: "strings", Args: []string{"p"}, Pos: expr.Pos{File: "h.yaml", Line: 4, Col: 3}}}
	_, err := Files(table)
	require.EqualError(t, err, "t.yaml:7:3: one_exit: p: nothing says how many bytes strings sends (max: 128 in helpers.yaml, h.yaml:4:3)")
	table.Helpers[0].Max = 300
	text, err := Filler(table, "one_exit")
	require.NoError(t, err)
	require.Contains(t, text, "push_strings(f, f->arg[1]);")
	table.Helpers[0].Max, table.Helpers[0].Rest = 0, true
	text, err = Filler(table, "one_exit")
	require.NoError(t, err)
	require.Contains(t, text, "push_strings(f, f->arg[1], 0);")
}
