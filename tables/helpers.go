// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
)

// parseDecl reads `open_flags(flags, ret?)` and `bytes(part...)`: a helper's
// name and its arguments, with ? and ... kept on them.
func parseDecl(src string) (name string, args []string, err *sigError) {
	toks, err := sigTokens(src)
	if err != nil {
		return "", nil, err
	}
	if !expr.IsIdent(toks[0].text) {
		return "", nil, sigErrorf(toks[0].off, "unexpected %s (a name is expected)", toks[0])
	}
	name = toks[0].text
	if toks[1].text != "(" {
		return "", nil, sigErrorf(toks[1].off, "unexpected %s (arguments in brackets are expected)", toks[1])
	}
	if toks[2].text == ")" {
		return name, nil, sigEnd(toks, 3)
	}
	optional := false
	seen := map[string]bool{}
	for i := 2; ; i++ {
		arg := toks[i]
		if !expr.IsIdent(arg.text) {
			return "", nil, sigErrorf(arg.off, "unexpected %s (an argument's name is expected)", arg)
		}
		if seen[arg.text] {
			return "", nil, sigErrorf(arg.off, "argument %s is repeated", arg.text)
		}
		seen[arg.text] = true
		suffix := ""
		if next := toks[i+1].text; next == "?" || next == "..." {
			suffix = next
			i++
		}
		if optional && suffix == "" {
			return "", nil, sigErrorf(arg.off, "argument %s comes after an optional one (write %s?)", arg.text, arg.text)
		}
		optional = optional || suffix != ""
		args = append(args, arg.text+suffix)
		i++
		switch end := toks[i]; {
		case end.text == ")":
			return name, args, sigEnd(toks, i+1)
		case end.text != ",":
			return "", nil, sigErrorf(end.off, "unexpected %s (, or ) is expected)", end)
		case suffix == "...":
			return "", nil, sigErrorf(arg.off, "argument %s repeats, so it must be the last", arg.text)
		}
	}
}

// Arity returns how many arguments a helper takes; most is -1 if there is no limit.
func (h *Helper) Arity() (least, most int) {
	most = len(h.Args)
	for _, a := range h.Args {
		switch {
		case strings.HasSuffix(a, "..."):
			most = -1
		case !strings.HasSuffix(a, "?"):
			least++
		}
	}
	return least, most
}

// String writes the declaration.
func (h *Helper) String() string { return h.Name + "(" + strings.Join(h.Args, ", ") + ")" }

// helperMax reads how many bytes a param helper sends at most: a number, or rest.
func (l *loader) helperMax(h *Helper, m *mapping) {
	n := m.scalar("max")
	switch {
	case n == nil:
	case h.Kind != "param":
		m.errorf(m.byKey["max"], "max without use (only param helpers send bytes)")
	case n.Value == "rest":
		h.Rest = true
	default:
		if v, ok := m.uint(n, "max", abi.ParamMax); ok && v == 0 {
			m.errorf(n, "max is 0 (bytes, or rest: all that the event has room for)")
		} else if ok {
			h.Max = int(v)
		}
	}
}

var helperKinds = []string{"value", "param", "given", "after", "act"}

// guestKinds are the kinds of the guest's functions, which share their names.
var guestKinds = []string{"given", "after", "act"}

func (l *loader) helper(f *file, n *yaml.Node) {
	m := f.mapping(n, "", "entry", append([]string{"doc", "filler", "zero", "user", "looks", "max", "first", "reads", "needs"}, helperKinds...), &l.errs)
	if m == nil {
		return
	}
	h := &Helper{Pos: f.Pos(n)}
	var decl *yaml.Node
	for _, e := range m.fields {
		if slices.Contains(helperKinds, e.key.Value) {
			if decl != nil {
				m.errorf(e.key, "helper is both %s and %s (write two entries)", h.Kind, e.key.Value)
				return
			}
			decl, h.Kind = e.val, e.key.Value
		}
	}
	if decl == nil {
		m.errorf(n, "kind is missing (value, param, given, after or act)")
		return
	}
	if m.asScalar(decl, h.Kind) == nil {
		return
	}
	name, args, serr := parseDecl(decl.Value)
	if serr != nil {
		l.errs.Add(l.in(f, decl, serr.off), h.Kind, "%s", serr.msg)
		return
	}
	h.Name, h.Args = name, args
	m.subject = name
	h.Doc = m.text("doc")
	m.required("doc", "one line: units, errors, what an object is")
	if h.Filler = m.bool("filler"); m.has("filler") && h.Kind != "value" {
		m.errorf(m.byKey["filler"], "filler without use (param helpers always take it, guest functions never)")
	}
	if h.Zero = m.oneOf("zero", []string{"memory", "descriptor"}); m.has("zero") && (h.Kind != "value" || len(args) == 0) {
		m.errorf(m.byKey["zero"], "zero without use (it is about the first argument of a value helper)")
	}
	if h.User = m.bool("user") || h.Zero == "memory"; m.has("user") && h.Kind != "value" && h.Kind != "param" {
		m.errorf(m.byKey["user"], "user without use (only helpers of the drivers read the caller's memory)")
	}
	if h.Looks = m.bool("looks") || h.Zero == "descriptor"; m.has("looks") && (h.Kind != "value" && h.Kind != "param" || len(args) == 0) {
		m.errorf(m.byKey["looks"], "looks without use (it is about the first argument of a helper of the drivers)")
	}
	l.helperMax(h, m)
	if n := m.scalar("first"); n != nil && h.Kind != "param" {
		m.errorf(m.byKey["first"], "first without use (only param helpers send lists)")
	} else if n != nil {
		v, _ := m.uint(n, "first", abi.ParamMax)
		h.First = int(v)
	}
	if h.Reads = m.oneOf("reads", []string{"text", "nothing"}); m.has("reads") && h.Kind != "given" {
		m.errorf(m.byKey["reads"], "reads without use (only what given makes is passed as a string)")
	}
	h.Needs = m.needs()
	guest := slices.Contains(guestKinds, h.Kind)
	if m.has("needs") && !guest {
		m.errorf(m.byKey["needs"], "needs without use (only functions of the guest have needs)")
	}
	if expr.Functions[name] != "" && guest {
		m.errorf(decl, "%s is built in", expr.Functions[name])
		return
	}
	for _, kind := range helperKinds {
		old := l.helpers[kind][name]
		if old != nil && (kind == h.Kind || kind == "value" && h.Kind == "param" || kind == "param" && h.Kind == "value" || guest && slices.Contains(guestKinds, kind)) {
			m.errorf(decl, "%s helper %s is declared already on line %d", old.Kind, name, old.Pos.Line)
			return
		}
	}
	if l.helpers[h.Kind] == nil {
		l.helpers[h.Kind] = map[string]*Helper{}
	}
	l.helpers[h.Kind][name] = h
	l.table.Helpers = append(l.table.Helpers, h)
}
