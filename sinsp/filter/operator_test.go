// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// leftKind is a kind of what stands to the left of an operator.
type leftKind struct {
	typ  field.Type
	many field.Many
}

func (k leftKind) String() string {
	return fmt.Sprintf("%s %s", k.typ, [...]string{"", "(list)", "(any)", "(ends)"}[k.many])
}

// leftKinds has, of each kind that a field has, the fields that need no argument.
func leftKinds(t *testing.T) map[leftKind][]*field.Ref {
	t.Helper()
	kinds := map[leftKind][]*field.Ref{}
	for _, class := range field.Classes() {
		for i := range class.Fields {
			f := &class.Fields[i]
			text := f.Name
			switch {
			case f.Flags&field.Within != 0:
				continue // has an operator of its own
			case f.Type == field.Dynamic:
				text += ".tuple" // of a kind that no field without an argument has
			case f.Arg != 0 && f.Arg&field.ArgOptional == 0:
				continue
			}
			ref, _, err := field.Parse(text)
			require.NoError(t, err, text)
			k := leftKind{ref.Type, ref.Many}
			kinds[k] = append(kinds[k], &ref)
		}
	}
	for typ := field.String; typ < field.Dynamic; typ++ {
		require.Contains(t, kinds, leftKind{typ, field.One}, "a field of type %s", typ)
	}
	return kinds
}

// has reports whether an operator is available for a kind.
func (o *operator) has(k leftKind) bool { return o.available(k.typ, k.many) }

// Each operator that a kind of field has is in operators.txt with a value for which it
// holds, and with one for which it does not.
func TestEveryOperatorIsTestedWithEveryType(t *testing.T) {
	type pair struct {
		op   op
		kind leftKind
		want bool
	}
	tested := map[pair]bool{}
	written := map[string]bool{}
	for _, row := range operatorRows(t) {
		e, _ := parse(row.text)
		f := mustCompile(t, row.text)
		if e.kind != kindCheck || e.check.mod != modNone || e.check.right != nil {
			continue // tries more than an operator
		}
		left := f.root.leaf.left
		for i := range operators {
			if strings.HasPrefix(row.text[e.check.opOff:], operators[i].text) {
				written[operators[i].text] = true
				break
			}
		}
		_, present := left.get(1<<40, row.ev)
		if present || e.check.op == opExists {
			tested[pair{e.check.op, leftKind{left.typ, left.many}, row.want}] = true
		}
	}
	for i := range operators {
		o := &operators[i]
		require.True(t, written[o.text] || !o.symbol, "operators.txt has %s", o.text)
		for kind := range leftKinds(t) {
			if !o.has(kind) {
				continue
			}
			for _, want := range []bool{true, false} {
				if !tested[pair{o.op, kind, want}] {
					t.Errorf("operators.txt has no row where %s of %s is %t", o.text, kind, want)
				}
			}
		}
	}
}

// Each operator that a kind of field does not have is an error, which says so.
func TestOtherOperatorsAreErrors(t *testing.T) {
	refused := 0
	for kind, refs := range leftKinds(t) {
		for i := range operators {
			o := &operators[i]
			if o.has(kind) {
				continue
			}
			right := "0"
			if o.takesList {
				right = "(0)"
			}
			for _, ref := range refs {
				_, err := Compile(ref.Text + " " + o.text + " " + right)
				require.ErrorContains(t, err, fmt.Sprintf("filter:1:%d: %s is %s and has no operator %s (known: ", len(ref.Text)+2, ref.Text,
					describe(kind.typ, kind.many), o.op.info().text))
				refused++
			}
		}
	}
	require.NotZero(t, refused)
}

// A value compared with itself gives what the operator means.
func TestEveryOperatorComparesFieldsOfEveryType(t *testing.T) {
	events := []*sinsp.Event{openat(t), write(t), received(t, 4), connect(t), drop(t)}
	for kind, refs := range leftKinds(t) {
		for i := range operators {
			o := &operators[i]
			if kind.many != field.One || !o.has(kind) || o.op == opExists {
				continue
			}
			compared, refused := 0, 0
			for _, ref := range refs {
				text := fmt.Sprintf("%s %s val(%s)", ref.Text, o.text, ref.Text)
				f, err := Compile(text)
				switch {
				case ref.Flags&field.NoCompare != 0:
					require.ErrorContains(t, err, ref.Text+" cannot be compared with another field", text)
					refused++
					continue
				case o.op == opRegex || o.op == opPmatch:
					require.ErrorContains(t, err, o.text+" needs constants", text)
					refused++
					continue
				}
				require.NoError(t, err, text)
				itself := o.op != opNotEqual && o.op != opLess && o.op != opGreater
				for n, ev := range events {
					_, present := f.root.leaf.left.get(1<<40+uint64(n), ev)
					if present {
						compared++
					}
					require.Equal(t, present && itself, f.Match(ev), "%s: %s", ev.Type(), text)
				}
			}
			require.True(t, compared > 0 || refused == len(refs), "%s of %s", o.text, kind)
		}
	}
}
