// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/scaplab/scaplab/sinsp/field"
)

// transformer computes a value from other values.
type transformer struct {
	name string
	args string // for documents
	desc string

	// check returns the type of the result for arguments of these types; problem
	// says what is wrong with them.
	check func(args []*source, selector string) (t field.Type, many field.Many, problem string)
	apply func(c *source, args []*field.Value, v *field.Value) bool
}

var transformers []transformer

func init() { // breaks the cycle from the rows to the functions that name them
	transformers = []transformer{
		{name: "tolower", args: "field", desc: "ASCII letters become small", check: mapsText(field.String), apply: mapEach(lower)},
		{name: "toupper", args: "field", desc: "ASCII letters become capitals", check: mapsText(field.String), apply: mapEach(upper)},
		{name: "b64", args: "field", desc: "base64 is decoded; the value is missing if it is not base64", check: mapsText(field.String, field.Bytes), apply: mapEach(decode64)},
		{name: "basename", args: "field", desc: "what follows the last slash", check: mapsText(field.String), apply: mapEach(basename)},
		{name: "len", args: "field", desc: "the number of bytes, or of the elements of a list", check: checkLen, apply: applyLen},
		{name: "concat", args: "a, b, ...", desc: "texts one behind the other", check: checkConcat, apply: applyConcat},
		{name: "join", args: "separator, list", desc: "the elements of a list with a separator between them", check: checkJoin, apply: applyJoin},
		{name: "getopt", args: "list, options", desc: "the options of a command line, letters of which are followed by a colon if they have a value; with [c] the value of option c", check: checkGetopt, apply: applyGetopt},
	}
}

func findTransformer(name string) *transformer {
	for i := range transformers {
		if transformers[i].name == name {
			return &transformers[i]
		}
	}
	return nil
}

func transformerNames() []string {
	names := make([]string, len(transformers))
	for i := range transformers {
		names[i] = transformers[i].name
	}
	return names
}

const oneArgument = "takes one argument"

// mapsText checks transformers of one text to another of the same type.
func mapsText(types ...field.Type) func([]*source, string) (field.Type, field.Many, string) {
	return func(args []*source, selector string) (field.Type, field.Many, string) {
		if len(args) != 1 {
			return 0, 0, oneArgument
		}
		for _, t := range types {
			if args[0].typ == t {
				return t, args[0].many, ""
			}
		}
		return 0, 0, "does not take " + describe(args[0].typ, args[0].many)
	}
}

// mapEach applies f to a value, or to each element of a list.
func mapEach(f func(s, scratch []byte) ([]byte, bool)) func(*source, []*field.Value, *field.Value) bool {
	return func(c *source, args []*field.Value, v *field.Value) bool {
		if c.many == field.One {
			out, ok := f(args[0].Str, v.Scratch())
			return v.SetScratch(out) && ok
		}
		v.Clear()
		for i := range args[0].List {
			elem := v.Add()
			out, ok := f(args[0].List[i].Str, elem.Scratch())
			if elem.SetScratch(out); !ok {
				return false
			}
		}
		return true
	}
}

func lower(s, out []byte) ([]byte, bool) {
	for _, c := range s {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return out, true
}

func upper(s, out []byte) ([]byte, bool) {
	for _, c := range s {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		out = append(out, c)
	}
	return out, true
}

func decode64(s, out []byte) ([]byte, bool) {
	for range 2 {
		s = bytes.TrimSuffix(s, []byte("="))
	}
	out, err := base64.RawStdEncoding.AppendDecode(out, s)
	return out, err == nil
}

func basename(s, out []byte) ([]byte, bool) {
	return append(out, s[bytes.LastIndexByte(s, '/')+1:]...), true
}

func checkLen(args []*source, selector string) (field.Type, field.Many, string) {
	switch {
	case len(args) != 1:
		return 0, 0, oneArgument
	case args[0].many == field.List || args[0].typ == field.String || args[0].typ == field.Bytes:
		return field.Uint, field.One, ""
	}
	return 0, 0, "does not take " + describe(args[0].typ, args[0].many)
}

func applyLen(c *source, args []*field.Value, v *field.Value) bool {
	if c.args[0].many == field.List {
		return v.SetUint(uint64(len(args[0].List)))
	}
	return v.SetUint(uint64(len(args[0].Str)))
}

func checkConcat(args []*source, selector string) (field.Type, field.Many, string) {
	if len(args) < 2 {
		return 0, 0, "takes two arguments or more"
	}
	for _, a := range args {
		if a.typ != field.String || a.many != field.One {
			return 0, 0, "does not take " + describe(a.typ, a.many)
		}
	}
	return field.String, field.One, ""
}

func applyConcat(_ *source, args []*field.Value, v *field.Value) bool {
	out := v.Scratch()
	for _, a := range args {
		out = append(out, a.Str...)
	}
	return v.SetScratch(out)
}

func checkJoin(args []*source, selector string) (field.Type, field.Many, string) {
	switch {
	case len(args) != 2:
		return 0, 0, "takes a separator and a list"
	case args[0].typ != field.String || args[0].many != field.One:
		return 0, 0, "takes a text as separator"
	case args[1].many != field.List:
		return 0, 0, "takes a list as second argument (such as (proc.name, proc.pname))"
	}
	return field.String, field.One, ""
}

func applyJoin(c *source, args []*field.Value, v *field.Value) bool {
	out := v.Scratch()
	for i := range args[1].List {
		if i > 0 {
			out = append(out, args[0].Str...)
		}
		out = args[1].List[i].AppendText(out, c.args[1].typ, c.args[1].format)
	}
	return v.SetScratch(out)
}

func checkGetopt(args []*source, selector string) (field.Type, field.Many, string) {
	switch {
	case len(args) != 2:
		return 0, 0, "takes a list and the letters of options"
	case args[0].typ != field.String || args[0].many != field.List:
		return 0, 0, "takes a list of texts as first argument"
	case args[1].typ != field.String || args[1].many != field.One:
		return 0, 0, "takes the letters of options as second argument"
	case selector == "":
		return field.String, field.List, ""
	case len(selector) != 1:
		return 0, 0, "has one letter in brackets"
	}
	return field.String, field.One, ""
}

// applyGetopt reads options as getopt(3) does with a + in front of the letters: it
// stops at -- and at the first word that is not an option. Words of long options are passed
// over. An option that is not known is ?, an argument that is missing is empty.
func applyGetopt(c *source, args []*field.Value, v *field.Value) bool {
	words, letters := args[0].List, args[1].Str
	list := c.selector == ""
	found := false
	v.Clear()
	emit := func(text []byte) { v.Add().SetBytes(text) }
	for i := 0; i < len(words); i++ {
		w := words[i].Str
		if len(w) < 2 || w[0] != '-' || string(w) == "--" {
			break
		}
		if w[1] == '-' {
			continue
		}
		for j := 1; j < len(w); j++ {
			at := bytes.IndexByte(letters, w[j])
			known := at >= 0 && w[j] != ':'
			value := w[j : j+1]
			hasValue := known && at+1 < len(letters) && letters[at+1] == ':'
			if hasValue {
				switch {
				case j+1 < len(w):
					value = w[j+1:]
				case i+1 < len(words):
					i++
					value = words[i].Str
				default:
					value = nil
				}
			}
			switch {
			case list && !known:
				emit(unknownOption)
			case list && hasValue:
				emit(w[j : j+1])
				emit(value)
			case list:
				emit(value)
			case known && strings.IndexByte(c.selector, w[j]) == 0:
				v.SetBytes(value)
				found = true
			}
			if hasValue {
				break
			}
		}
	}
	return list || found
}

var unknownOption = []byte("?")
