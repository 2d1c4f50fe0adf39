// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"

	"github.com/scaplab/scaplab/sinsp/field"
)

// op is a comparison.
type op uint8

const (
	opEqual op = iota + 1
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opContains
	opIContains
	opBContains
	opStartsWith
	opBStartsWith
	opEndsWith
	opGlob
	opIGlob
	opRegex
	opIn
	opIntersects
	opPmatch
	opExists
)

// operator is how an op is written and with what it can be used.
type operator struct {
	text string
	op   op
	desc string

	symbol        bool // not a word
	takesList     bool
	takesModifier bool

	types []field.Type
	lists bool // also for fields with a list of values
}

var (
	numbers = []field.Type{field.Int, field.Uint, field.Double, field.Port, field.RelTime, field.AbsTime}
	texts   = []field.Type{field.String}
	buffers = []field.Type{field.Bytes}
	both    = []field.Type{field.String, field.Bytes}
	// comparable has all types whose values are equal to each other or not.
	comparable = append(append([]field.Type{field.Bool, field.IP, field.Net, field.Host}, both...), numbers...)
	all        = append([]field.Type{field.Opaque}, comparable...)
)

// operators has the symbols first, the longer of two with the same start before the
// shorter.
var operators = []operator{
	{text: "==", op: opEqual, symbol: true, takesModifier: true, types: comparable, desc: "the same as ="},
	{text: "=", op: opEqual, symbol: true, takesModifier: true, types: comparable, desc: "is equal; an address is in the network"},
	{text: "!=", op: opNotEqual, symbol: true, takesModifier: true, types: comparable, desc: "has a value, which is not equal"},
	{text: "<=", op: opLessEqual, symbol: true, types: numbers, desc: "is at most"},
	{text: "<", op: opLess, symbol: true, types: numbers, desc: "is less than"},
	{text: ">=", op: opGreaterEqual, symbol: true, types: numbers, desc: "is at least"},
	{text: ">", op: opGreater, symbol: true, types: numbers, desc: "is greater than"},
	{text: "contains", op: opContains, takesModifier: true, types: both, desc: "has the text somewhere"},
	{text: "icontains", op: opIContains, takesModifier: true, types: texts, desc: "the same; ASCII letters of either case are equal"},
	{text: "bcontains", op: opBContains, takesModifier: true, types: buffers, desc: "has the bytes, which are written in hexadecimal, somewhere"},
	{text: "startswith", op: opStartsWith, takesModifier: true, types: both, desc: "begins with the text"},
	{text: "bstartswith", op: opBStartsWith, takesModifier: true, types: buffers, desc: "begins with the bytes, which are written in hexadecimal"},
	{text: "endswith", op: opEndsWith, takesModifier: true, types: both, desc: "ends with the text"},
	{text: "glob", op: opGlob, takesModifier: true, types: texts, desc: "matches the pattern as a whole: * any text, ? one character, [a-z] one of those; all of them match a slash, too"},
	{text: "iglob", op: opIGlob, takesModifier: true, types: texts, desc: "the same; ASCII letters of either case are equal"},
	{text: "regex", op: opRegex, takesModifier: true, types: texts, desc: "matches the POSIX extended regular expression as a whole"},
	{text: "in", op: opIn, takesList: true, types: comparable, lists: true, desc: "is equal to an element of the list; of a field with a list of values: all are"},
	{text: "intersects", op: opIntersects, takesList: true, types: comparable, lists: true, desc: "the same; of a field with a list of values: at least one is"},
	{text: "pmatch", op: opPmatch, takesList: true, types: texts, desc: "is one of the paths, or below one; a component may be a pattern as for glob"},
	{text: "exists", op: opExists, types: all, lists: true, desc: "has a value"},
}

func (o op) info() *operator {
	for i := range operators {
		if operators[i].op == o && operators[i].text != "==" {
			return &operators[i]
		}
	}
	panic("unknown op")
}

// available reports whether fields of a type have the operator.
func (o *operator) available(typ field.Type, many field.Many) bool {
	return slices.Contains(o.types, typ) && (many != field.List || o.lists)
}

// OperatorsOf returns the operators that fields of a type have, as filters write them.
// Fields with the flag [field.Within] have = only.
func OperatorsOf(typ field.Type, many field.Many) (texts []string) {
	for i := range operators {
		if operators[i].available(typ, many) {
			texts = append(texts, operators[i].text)
		}
	}
	return texts
}

// operatorTexts returns all operators, for messages.
func operatorTexts() []string {
	texts := make([]string, len(operators))
	for i := range operators {
		texts[i] = operators[i].text
	}
	return texts
}

// modifier says for how many elements of a list an operator must hold.
type modifier uint8

const (
	modNone modifier = iota
	modAnyOf
	modAllOf
	modOneOf
)

var modifierTexts = [...]string{modAnyOf: "anyof", modAllOf: "allof", modOneOf: "oneof"}
