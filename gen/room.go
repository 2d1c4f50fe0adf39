// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// restLeast is the room in bytes that a param always finds which takes what the event has left.
const restLeast = 4096

// size is how many bytes a param has: at most most, or what the event has left, and then at least that many.
type size struct {
	most int
	rest bool
}

// fit sets what each param has to leave to those after it. An event whose params can outgrow it is
// refused: whoever makes the call could choose that the event is lost.
func (m *model) fit(e *event) error {
	e.after = make([]int, len(e.Params))
	if e.From == "" {
		return nil
	}
	sum := payload(len(e.Params))
	for i, p := range e.Params {
		s, err := m.sizeOf(p)
		if err != nil {
			return fmt.Errorf("%v: %s: %s: %w", p.Pos, e.Symbol, p.Name, err)
		}
		if sum += s.most; sum > abi.EventMax {
			return fmt.Errorf("%v: %s: %s: an event of %d bytes can be too long by this param's %d (%d is the limit)",
				p.Pos, e.Symbol, p.Name, sum, s.most, abi.EventMax)
		}
		for j := range i {
			e.after[j] += s.most
		}
	}
	return nil
}

// rooms returns what a hand-written filler has to know: what the params that take the rest leave to others.
func (m *model) rooms(e *event) []cConst {
	var out []cConst
	for i, p := range e.Params {
		if s, err := m.sizeOf(p); e.Filler == "manual" && err == nil && s.rest {
			out = append(out, dec(strings.ToUpper(e.Symbol+"_after_"+p.Name), e.after[i], "bytes that later params may take"))
		}
	}
	return out
}

// payload returns where the first of n params is in an event.
func payload(n int) int { return abi.EventHeaderSize + 2*n }

// sizeOf returns the size of a param, the largest of its sources.
func (m *model) sizeOf(p *tables.Param) (size, error) {
	var all size
	add := func(typ string, from *expr.Node, dyn bool) error {
		s, err := m.sourceSize(p, typ, from)
		if dyn && err == nil {
			s.most++ // the variant
		}
		all.most, all.rest = max(all.most, s.most), all.rest || s.rest
		return err
	}
	if p.Else != nil {
		typ := p.Type
		if p.Switch != nil && p.Dyn != "" { // see otherwise
			for _, a := range p.Switch.Arms {
				typ = cmp.Or(a.Dyn, typ)
			}
		}
		if err := add(typ, p.Else, p.Dyn != ""); err != nil {
			return all, err
		}
	}
	if p.Switch == nil {
		err := add(p.Type, p.From, false)
		return all, err
	}
	for _, a := range p.Switch.Arms {
		if err := add(cmp.Or(a.Dyn, p.Type), a.From, p.Dyn != ""); err != nil {
			return all, err
		}
	}
	return all, nil
}

// sourceSize returns the size of a value of type typ. from is nil in a hand-written filler.
func (m *model) sourceSize(p *tables.Param, typ string, from *expr.Node) (size, error) {
	t := m.table.Types.Type(typ)
	switch {
	case isName(from, "empty"):
		return size{}, nil
	case t == nil:
		return size{}, fmt.Errorf("unknown type %s", typ)
	case from != nil && from.Kind == expr.Str:
		return size{most: 1}, nil
	case from != nil && from.Kind == expr.Call && m.helpers[from.Text] != nil && m.helpers[from.Text].Kind == "param":
		h := m.helpers[from.Text]
		if h.Rest {
			return size{restLeast, true}, nil
		}
		if n := cmp.Or(h.Max, t.Size, t.Max); n > 0 {
			return size{most: n}, nil
		}
		return size{}, fmt.Errorf("nothing says how many bytes %s sends (max: 128 in helpers.yaml, %v)", h.Name, h.Pos)
	case t.As == "bytes" && t.Max == 0, p.Len != nil && t.Max == 0:
		return size{restLeast, true}, nil
	case t.Size > 0 || t.Max > 0:
		return size{most: max(t.Size, t.Max)}, nil
	}
	return size{}, fmt.Errorf("nothing says how many bytes a %s has (max: 128 in types.yaml, %v)", typ, t.Pos)
}
