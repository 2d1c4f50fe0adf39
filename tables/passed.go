// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"errors"
	"slices"
	"strconv"

	"github.com/scaplab/scaplab/internal/expr"
)

// asPassed adds a wanted value for each exit param that want leaves out and whose
// value follows from the arguments of the case's call. It returns the other params
// that want leaves out.
func (l *loader) asPassed(s *Syscall, c *Case) (missing []string) {
	index := map[string]int{}
	for i, p := range s.Exit.Params {
		index[p.Name] = i
		if slices.ContainsFunc(c.Want, func(b Binding) bool { return b.Name == p.Name }) {
			continue
		}
		if x := l.passed(s, c, p); x != nil {
			c.Want = append(c.Want, Binding{Pos: c.Call.Pos, Name: p.Name, Expr: x, Passed: true})
		} else {
			missing = append(missing, p.Name)
		}
	}
	slices.SortStableFunc(c.Want, func(a, b Binding) int { return index[a.Name] - index[b.Name] })
	return missing
}

// passed returns the value that a param has from an argument of the call, in the
// language of want. It returns nil if the param is neither a bare argument nor a
// conversion of one, depends on a condition, or if the value does not follow from the
// argument's expression.
func (l *loader) passed(s *Syscall, c *Case, p *Param) *expr.Node {
	if p.From == nil || len(p.When) > 0 || p.Switch != nil || c.Call == nil || len(c.Call.Args) != len(s.Params) {
		return nil
	}
	from, set := p.From, (*FlagSet)(nil)
	low := l.typ(p.Type).Low
	if from.Kind == expr.Call && len(from.Args) == 1 {
		switch {
		case from.Text == "at_fdcwd":
			low = true
		case l.sets[from.Text] != nil && l.sets[from.Text].Kind != "":
			set = l.sets[from.Text]
		default:
			return nil
		}
		from = from.Args[0]
	}
	if from.Kind != expr.Name {
		return nil
	}
	i := slices.IndexFunc(s.Params, func(a CParam) bool { return a.Name == from.Text })
	if i < 0 {
		return nil
	}
	x := c.Call.Args[i]
	switch t := l.typ(p.Type); {
	case t.As == "text" && set == nil:
		return l.passedText(c, x)
	case !t.Number():
		return nil
	case set != nil:
		return l.converted(set, s.Params[i], x)
	default:
		bits, signed := RegisterBits(s.Params[i].Type)
		if low {
			bits, signed = 32, true
		}
		return passedNumber(c, x, min(bits, 8*t.Size), signed)
	}
}

// passedText returns the wanted text for a string argument.
func (l *loader) passedText(c *Case, x *expr.Node) *expr.Node {
	empty := &expr.Node{Kind: expr.Name, Pos: x.Pos, Text: "empty"}
	switch {
	case x.Kind == expr.Str:
		return x
	case isName(x, "NULL"), isInt(x, 0):
		return empty
	case x.Kind != expr.Var:
		return nil
	case len(x.Args) == 0 && (x.Text == "bad" || l.reads(c, x.Text) == "nothing"):
		return empty
	case len(x.Args) == 0 && l.reads(c, x.Text) == "text":
		return x
	}
	return nil
}

// reads returns what a driver reads if a variable of `given` is passed as a string,
// from the declaration of the function that makes it.
func (l *loader) reads(c *Case, name string) string {
	for _, b := range c.Given {
		if b.Name == name && b.Expr.Kind == expr.Call {
			if h := l.helpers["given"][b.Expr.Text]; h != nil {
				return h.Reads
			}
		}
	}
	return ""
}

// converted returns a converted argument in the names of its flag set: names that the
// set has, and numbers that the conversion keeps.
func (l *loader) converted(set *FlagSet, arg CParam, x *expr.Node) *expr.Node {
	if n, ok := fold(x); ok {
		switch {
		case set.Kind == "identity":
			bits, signed := RegisterBits(arg.Type)
			return number(x, cut(n, min(bits, set.Width), signed))
		case n == 0 && (set.Kind == "bits" || set.Kind == "mask"):
			return number(x, 0)
		}
		return nil
	}
	names := []*expr.Node{x}
	if x.Kind == expr.Or && set.Kind != "enum" {
		names = x.Args
	}
	for _, n := range names {
		if n.Kind != expr.Name || !set.has(n.Text) {
			return nil
		}
	}
	return x
}

// passedNumber returns a numeric argument cut to its significant bits; nil for strings,
// lists and structs, whose address is unknown.
func passedNumber(c *Case, x *expr.Node, bits int, signed bool) *expr.Node {
	if n, ok := fold(x); ok {
		return number(x, cut(n, bits, signed))
	}
	known := true
	expr.Walk(x, func(n *expr.Node) bool {
		switch n.Kind {
		case expr.Int, expr.Neg, expr.Not, expr.Or, expr.Add, expr.Sub, expr.Mul, expr.Shl, expr.Field, expr.Index, expr.Name:
		case expr.Var:
			for _, b := range c.Given {
				known = known && (b.Name != n.Text || b.Expr.Kind != expr.Str)
			}
		default:
			known = false
		}
		return known
	})
	if !known {
		return nil
	}
	return x
}

// fold computes an expression of numbers.
func fold(x *expr.Node) (int64, bool) {
	v, err := expr.Eval(x, noNames{})
	n, ok := v.(int64)
	return n, ok && err == nil && !isName(x, "NULL")
}

// noNames is an environment without names.
type noNames struct{}

var errNoNames = errors.New("not a number")

func (noNames) Lookup(string) (any, error)      { return nil, errNoNames }
func (noNames) Const(string) (int64, bool)      { return 0, false }
func (noNames) Call(string, []any) (any, error) { return nil, errNoNames }

// number returns v as a node at the place of x, with the spelling of x if that has the same value.
func number(x *expr.Node, v int64) *expr.Node {
	if n, ok := fold(x); ok && n == v {
		return x
	}
	abs := &expr.Node{Kind: expr.Int, Pos: x.Pos, Num: max(v, -v), Text: strconv.FormatInt(max(v, -v), 10)}
	if v < 0 {
		return &expr.Node{Kind: expr.Neg, Pos: x.Pos, Args: []*expr.Node{abs}}
	}
	return abs
}

// cut keeps the low bits of a number.
func cut(v int64, bits int, signed bool) int64 {
	shift := 64 - bits
	if signed {
		return v << shift >> shift
	}
	return int64(uint64(v) << shift >> shift)
}
