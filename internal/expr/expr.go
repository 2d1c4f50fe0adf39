// SPDX-License-Identifier: Apache-2.0

// Package expr is the small expression language of the table: `from` sources,
// calls, given objects and wanted values are all written in it. The table
// checks expressions with it, the guest and the host evaluate them.
//
//	flags | O_CREAT          or-ed together
//	open_flags(flags, ret)   a call
//	{tv_sec: 1, tv_nsec: 0}  fields of a struct
//	[1, 2]                   a list
//	"$dir/new"               a string; $name and $name.field are put in
//	/etc/passwd  $dir/new    the same without quotes, when it looks like a path
//	[::1]:0  127.0.0.1:80    a socket address: a string too
//	$st.dev  $buf[:80]  $p[0]  a variable, its field, a part, an element
//	$a -> $b                 a tuple: from one end to the other
//	how->flags  v[1].len  *p what an argument points to: a field, an element (sources only)
//	open_how{flags: O_RDWR}  a call with a struct: open_how({flags: O_RDWR})
//	>= 1                     a comparison (wanted values only)
//
// Operators are C's, with C's precedence: ~ - (unary), *, + -, <<, |. In
// strings $name, $name.field and ${name.field} are replaced and $$ is a dollar
// sign. Escapes in quotes: \n \t \r \0 \\ \" \xHH.
package expr

import (
	"fmt"
)

// Pos is a place in a text file; Line and Col count from 1.
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Kind is the kind of a Node.
type Kind uint8

const (
	Int     Kind = iota + 1 // Num; Text keeps the spelling
	Str                     // Text, unquoted, with $name still in it
	Name                    // Text: a constant, an argument, ret, empty, any
	Var                     // Text: variable name without $, then Args as accessors (Field, Slice, Index)
	Field                   // Text: .name
	Slice                   // Args[0:2], either may be nil: [a:b]
	Call                    // Text(Args...)
	Or                      // Args or-ed
	Not                     // ~Args[0]
	Neg                     // -Args[0]
	Add                     // Args[0] + Args[1]
	Sub                     // Args[0] - Args[1]
	Mul                     // Args[0] * Args[1]
	Shl                     // Args[0] << Args[1]
	Struct                  // Names[i]: Args[i]
	List                    // Args
	Arrow                   // Args[0] -> Args[1]
	Compare                 // Text is the operator, Args[0] the bound
	Index                   // accessor of a Var: [Args[0]]
	Member                  // Args[0]->Text, or Args[0].Text when Num is 0
	Elem                    // Args[0][Args[1]]; *x is x[0]
)

// Node is one expression.
type Node struct {
	Kind  Kind
	Pos   Pos // of its first character, inside the YAML file
	Text  string
	Num   int64 // two's complement for values above 1<<63
	Args  []*Node
	Names []string
}

var kindNames = [...]string{
	Int: "number", Str: "string", Name: "name", Var: "variable", Field: "field", Slice: "slice", Call: "call",
	Or: "or", Not: "not", Neg: "negation", Add: "sum", Sub: "difference", Mul: "product", Shl: "shift",
	Struct: "struct", List: "list", Arrow: "tuple", Compare: "comparison", Index: "index", Member: "member", Elem: "element",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Walk calls f for n and everything inside it, parents first. If f returns false, Walk
// skips the inside of that node. It does not visit the nil bounds of a slice.
func Walk(n *Node, f func(*Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for _, a := range n.Args {
		Walk(a, f)
	}
}

// Equal reports whether two expressions mean the same. It ignores positions, the
// spelling of numbers, and quoting.
func Equal(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Num != b.Num || len(a.Args) != len(b.Args) || len(a.Names) != len(b.Names) {
		return false
	}
	if a.Kind != Int && a.Text != b.Text {
		return false
	}
	for i := range a.Names {
		if a.Names[i] != b.Names[i] {
			return false
		}
	}
	for i := range a.Args {
		if !Equal(a.Args[i], b.Args[i]) {
			return false
		}
	}
	return true
}
