// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/internal/yamltext"
)

// file is a YAML file as nodes. A value is the text of its node: YAML's own reading of
// 5.10 or 0640 does not matter.
type file struct {
	*yamltext.Text
	root *yaml.Node
}

// parseFile reads src. It returns nil if the YAML itself has errors, which it adds to
// errs.
func parseFile(name string, src []byte, errs *ErrorList) *file {
	at := expr.Pos{File: name, Line: 1, Col: 1}
	if !utf8.Valid(src) {
		errs.Add(at, "", "text is not UTF-8")
		return nil
	}
	f := &file{Text: yamltext.New(name, string(src))}
	for i, line := range f.Lines {
		if strings.ContainsAny(line, "\r\u0085\u2028\u2029") { // line breaks for YAML, but not for editors
			errs.Add(expr.Pos{File: name, Line: i + 1, Col: 1}, "", "line break is not a newline")
			return nil
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	err := yamltext.Decode(dec, &doc)
	if errors.Is(err, io.EOF) {
		errs.Add(at, "", "file is empty (it starts with schema: 1)")
		return nil
	}
	if err != nil {
		at, msg := f.Blame(err)
		errs.Add(at, "", "bad YAML: %s", msg)
		return nil
	}
	if err := yamltext.Decode(dec, &more); !errors.Is(err, io.EOF) {
		at.Line = max(1, more.Line)
		errs.Add(at, "", "second YAML document (a file has one)")
		return nil
	}
	f.root = doc.Content[0]
	before := len(*errs)
	f.refuse(f.root, errs)
	if len(*errs) > before {
		return nil
	}
	return f
}

// refuse reports YAML features that the table does not use: it should mean the same to
// a reader who does not know YAML.
func (f *file) refuse(n *yaml.Node, errs *ErrorList) {
	switch {
	case n.Kind == yaml.AliasNode:
		errs.Add(f.Pos(n), "", "alias *%s (write it out, or use a group)", n.Value)
		return
	case n.Anchor != "":
		errs.Add(f.Pos(n), "", "anchor &%s (write it out, or use a group)", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		errs.Add(f.Pos(n), "", "tag %s (values have no YAML type)", n.Tag)
	}
	for i := 0; i < len(n.Content); i++ {
		if text, parts := f.cutCall(n, i); parts > 0 {
			errs.Add(f.Pos(n.Content[i]), "", "a call with commas inside {} or [] needs quotes (write %s)", strconv.Quote(text))
			i += parts
			continue
		}
		f.refuse(n.Content[i], errs)
	}
}

// cutCall reports whether a plain scalar inside {} or [] is the start of a call that its
// commas cut into several nodes; parts is how many nodes follow.
func (f *file) cutCall(n *yaml.Node, i int) (text string, parts int) {
	open := func(s string) int { return strings.Count(s, "(") - strings.Count(s, ")") }
	first := n.Content[i]
	if n.Style&yaml.FlowStyle == 0 || first.Kind != yaml.ScalarNode || first.Style != 0 || open(first.Value) <= 0 {
		return "", 0
	}
	text = first.Value
	for _, c := range n.Content[i+1:] {
		parts++
		if c.Kind != yaml.ScalarNode {
			return "", 0
		}
		if n.Kind == yaml.MappingNode && c.Value == "" { // the empty value of a part without a colon
			continue
		}
		if text += ", " + c.Value; open(text) == 0 {
			if n.Kind == yaml.MappingNode {
				parts++
			}
			return text, parts
		}
	}
	return "", 0
}

// find returns the first place of $name or ${name} from a place on, in the same line.
func (f *file) find(at expr.Pos, name string) expr.Pos {
	raw := f.Rest(at.Line, at.Col)
	for _, text := range []string{"$" + name, "${" + name} {
		if i := strings.Index(raw, text); i >= 0 {
			at.Col += utf8.RuneCountInString(raw[:i])
			break
		}
	}
	return at
}

// in returns the place of byte off of a scalar's text; the text is ASCII up to there.
func (l *loader) in(f *file, n *yaml.Node, off int) expr.Pos {
	pos := f.Positions(n)
	return pos[min(off, len(pos)-1)]
}

// maxExpr bounds an expression, in bytes: the parser counts the columns before
// each node, so hostile input would cost minutes.
const maxExpr = 1 << 14

// parse reads the expression a scalar holds. Errors have the file's own
// columns; they are added to errs and the result is nil.
func (f *file) parse(n *yaml.Node, subject string, errs *ErrorList) *expr.Node {
	at, text := f.Start(n), n.Value
	if len(text) > maxExpr {
		errs.Add(at, subject, "expression of %d bytes is too long (at most %d)", len(text), maxExpr)
		return nil
	}
	if strings.HasPrefix(f.Rest(at.Line, at.Col), text) {
		e, err := expr.Parse(text, at)
		addAll(errs, subject, err, func(p expr.Pos) expr.Pos { return p })
		return e
	}
	pos := f.Positions(n)
	starts := []int{0} // index of each line's first character in the value
	i := 0
	for _, r := range text {
		i++
		if r == '\n' {
			starts = append(starts, i)
		}
	}
	move := func(p expr.Pos) expr.Pos {
		i := starts[min(p.Line, len(starts))-1] + p.Col - 1
		return pos[min(i, len(pos)-1)]
	}
	e, err := expr.Parse(text, expr.Pos{File: f.Name, Line: 1, Col: 1})
	addAll(errs, subject, err, move)
	expr.Walk(e, func(n *expr.Node) bool {
		n.Pos = move(n.Pos)
		return true
	})
	return e
}

func addAll(errs *ErrorList, subject string, err error, move func(expr.Pos) expr.Pos) {
	var list expr.ErrorList
	if errors.As(err, &list) {
		for _, e := range list {
			errs.Add(move(e.Pos), subject, "%s", e.Msg)
		}
	}
}

// field is one key of a mapping.
type field struct {
	key, val *yaml.Node
}

// mapping is a YAML mapping with known, distinct keys.
type mapping struct {
	f       *file
	node    *yaml.Node
	subject string
	fields  []field
	byKey   map[string]*yaml.Node
	keys    map[string]*yaml.Node
	errs    *ErrorList
}

// mapping reads n; with known nil every key is allowed. It reports unknown and repeated
// keys and leaves them out. It returns nil if n is not a mapping.
func (f *file) mapping(n *yaml.Node, subject, what string, known []string, errs *ErrorList) *mapping {
	if n.Kind != yaml.MappingNode {
		errs.Add(f.Pos(n), subject, "%s is %s (a mapping is expected)", what, kindName(n))
		return nil
	}
	m := &mapping{f: f, node: n, subject: subject, errs: errs}
	m.byKey = make(map[string]*yaml.Node, len(n.Content)/2)
	m.keys = make(map[string]*yaml.Node, len(n.Content)/2)
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			errs.Add(f.Pos(k), subject, "key is %s (a name is expected)", kindName(k))
			continue
		}
		if line, ok := seen[k.Value]; ok {
			errs.Add(f.Pos(k), subject, "key %s is repeated (first on line %d)", k.Value, line)
			continue
		}
		seen[k.Value] = k.Line
		if known != nil && !slices.Contains(known, k.Value) {
			errs.Add(f.Pos(k), subject, "unknown key %s%s", k.Value, hint.DidYouMean(k.Value, known))
			continue
		}
		m.fields = append(m.fields, field{k, v})
		m.byKey[k.Value], m.keys[k.Value] = v, k
	}
	return m
}

func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Value == "" && n.Style&yamltext.Quoted == 0:
		return "missing"
	}
	return "text"
}

// peek returns the text of a key before the mapping is read, for the subject
// of its errors: up to the bracket of a signature.
func peek(n *yaml.Node, key string) string {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && n.Content[i+1].Kind == yaml.ScalarNode {
			name, _, _ := strings.Cut(n.Content[i+1].Value, "(")
			return strings.TrimSpace(name)
		}
	}
	return ""
}

func (m *mapping) has(key string) bool { return m.byKey[key] != nil }

func (m *mapping) errorf(n *yaml.Node, format string, args ...any) {
	m.errs.Add(m.f.Pos(n), m.subject, format, args...)
}

// scalar returns the node of a key whose value must be non-empty plain text, or nil.
func (m *mapping) scalar(key string) *yaml.Node {
	n := m.byKey[key]
	if n == nil {
		return nil
	}
	return m.asScalar(n, key)
}

func (m *mapping) asScalar(n *yaml.Node, what string) *yaml.Node {
	if n.Kind != yaml.ScalarNode || strings.TrimSpace(n.Value) == "" {
		m.errorf(n, "%s is %s (a value is expected)", what, kindName(n))
		return nil
	}
	return n
}

// text returns the value of a key, "" if it is missing or bad.
func (m *mapping) text(key string) string {
	if n := m.scalar(key); n != nil {
		return strings.TrimSpace(n.Value)
	}
	return ""
}

// required reports a missing key.
func (m *mapping) required(key, example string) bool {
	if !m.has(key) {
		m.errorf(m.node, "%s is missing (%s)", key, example)
		return false
	}
	return true
}

// oneOf returns the value of a key that must be one of known.
func (m *mapping) oneOf(key string, known []string) string {
	n := m.scalar(key)
	if n == nil {
		return ""
	}
	if !slices.Contains(known, n.Value) {
		m.errorf(n, "unknown %s %s%s", key, n.Value, hint.DidYouMean(n.Value, known))
		return ""
	}
	return n.Value
}

// uint returns a number in any C notation.
func (m *mapping) uint(n *yaml.Node, what string, limit uint64) (uint64, bool) {
	if n = m.asScalar(n, what); n == nil {
		return 0, false
	}
	v, err := strconv.ParseUint(n.Value, 0, 64)
	if err != nil || strings.Contains(n.Value, "_") {
		m.errorf(n, "bad %s %s (a number is expected)", what, n.Value)
		return 0, false
	}
	if v > limit {
		m.errorf(n, "%s %s is too large (at most %#x)", what, n.Value, limit)
		return 0, false
	}
	return v, true
}

func (m *mapping) bool(key string) bool {
	return m.oneOf(key, []string{"true", "false"}) == "true"
}

// list returns the items of a sequence, or the one scalar that stands for a list of one.
func (m *mapping) list(key string) []*yaml.Node {
	n := m.byKey[key]
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	case n.Kind == yaml.ScalarNode && n.Value != "":
		return []*yaml.Node{n}
	}
	m.errorf(n, "%s is %s (a list is expected)", key, kindName(n))
	return nil
}

// names returns a list of distinct words of known.
func (m *mapping) names(key, what string, known func(string) bool, all []string) []string {
	var out []string
	for _, n := range m.list(key) {
		if n = m.asScalar(n, what); n == nil {
			continue
		}
		switch {
		case !known(n.Value):
			m.errorf(n, "unknown %s %s%s", what, n.Value, hint.DidYouMean(n.Value, all))
		case slices.Contains(out, n.Value):
			m.errorf(n, "%s %s is repeated", what, n.Value)
		default:
			out = append(out, n.Value)
		}
	}
	return out
}

// needs returns the words of Needs that the key of that name lists.
func (m *mapping) needs() []string {
	return m.names("needs", "need", func(s string) bool { return Needs[s] != "" }, slices.Sorted(maps.Keys(Needs)))
}

// words returns names from a list of types.yaml, in the order of their numbers.
func (m *mapping) words(key, what string, list []Word) []string {
	all := names(list...)
	out := m.names(key, what, func(s string) bool { return slices.Contains(all, s) }, all)
	slices.SortFunc(out, func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) })
	return out
}
