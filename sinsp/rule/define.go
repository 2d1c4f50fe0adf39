// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// defined is when something was defined, and changed last: items see only some of those
// before them.
type defined struct {
	place
	name    string
	first   int // number of the item that defined it first
	changed int // number of the item that changed it last
	file    int // index of the file of that item
	used    bool

	firstFile int // index of the file of the first definition
}

// list is a name for constants.
type list struct {
	defined
	items []element
	made  bool
	flat  []string // the items, lists among them expanded, once made
}

// element is an item of a list.
type element struct {
	file *file
	node *yaml.Node
}

func elements(f *file, nodes []*yaml.Node) (list []element) {
	for _, n := range nodes {
		list = append(list, element{f, n})
	}
	return list
}

// macro is a name for a condition.
type macro struct {
	defined
	condition text

	expr    *filter.Expr
	state   compileState
	filter  *filter.Filter
	err     error    // why there is none
	unknown bool     // it is no more than that fields are not known
	needs   []*macro // that are broken, too

	reported bool
}

type compileState uint8

const (
	notCompiled compileState = iota
	compiling
	compiled
)

// definition is a rule as the files have it.
type definition struct {
	defined
	condition, output, desc text
	priority                Priority
	source                  string
	sourceSet               bool
	enabled                 bool
	tags                    []string
	exceptions              []*exception
	warnTypes               bool
	skipUnknown             bool
	capture                 bool
	captureFor              uint64 // ms; 0: the default
}

var (
	macroName = regexp.MustCompile(`^[a-zA-Z]+[a-zA-Z0-9_]*$`)
	listName  = regexp.MustCompile("^[^ \b\t\n\r()\"'=,]+$")
)

func (l *Loader) define(it *item, old *defined) defined {
	d := defined{place: it.place, name: it.name, first: l.at, changed: l.at, file: it.file.index, firstFile: it.file.index}
	if old != nil {
		d.first, d.firstFile = old.first, old.firstFile
	}
	return d
}

// touch notes that the item changed d.
func (l *Loader) touch(it *item, d *defined) { d.changed, d.file = l.at, it.file.index }

// missing reports an item that changes one that does not exist.
func (it *item) missing(known []string) {
	what := "override"
	if it.append {
		what = "append"
	}
	slices.Sort(known)
	it.at("name", it.keys[it.kind]).add(ErrValidate, "no item before defines the %s that %s is to change%s", it.kind, what, guess(it.name, known))
}

func names[T any](m map[string]T) (list []string) {
	for name := range m {
		list = append(list, name)
	}
	return list
}

func (l *Loader) list(it *item) {
	nodes, ok := it.scalars("items")
	old := l.lists[it.name]
	switch {
	case !ok && it.bad:
		return
	case !ok && !it.extends():
		it.wrong(it.keys[it.kind], "it has no items (such as items: [a, b])")
		return
	case !it.extends():
		if !listName.MatchString(it.name) {
			it.at("name", it.keys[it.kind]).add(WarnListName, "the name is not a word, so no condition can use it")
		}
		n := &list{items: elements(it.file, nodes)}
		if old != nil {
			n.defined = l.define(it, &old.defined)
		} else {
			n.defined = l.define(it, nil)
		}
		l.lists[it.name] = n
		return
	case old == nil:
		it.missing(names(l.lists))
		return
	}
	if it.changes["items"] == "replace" {
		old.items = nil
	}
	old.items = append(old.items, elements(it.file, nodes)...)
	l.touch(it, &old.defined)
}

func (l *Loader) macro(it *item) {
	n, ok := it.text("condition")
	if it.bad {
		return
	}
	var cond text
	if ok {
		if cond = textOf(it.file, n); cond.string == "" {
			it.wrong(n, "the condition is empty (such as proc.name = cat)")
			return
		}
	}
	old := l.macros[it.name]
	switch {
	case !ok && !it.extends():
		it.wrong(it.keys[it.kind], "it has no condition (such as condition: proc.name = cat)")
	case !it.extends():
		if !macroName.MatchString(it.name) {
			it.at("name", it.keys[it.kind]).add(WarnMacroName, "the name is not an identifier (a letter, then letters, digits and _), so no condition can use it")
		}
		m := &macro{condition: cond}
		if old != nil {
			m.defined = l.define(it, &old.defined)
		} else {
			m.defined = l.define(it, nil)
		}
		l.macros[it.name] = m
	case old == nil:
		it.missing(names(l.macros))
	case it.changes["condition"] == "replace":
		old.condition = cond
		l.touch(it, &old.defined)
	default:
		old.condition = old.condition.join(cond)
		l.touch(it, &old.defined)
	}
}

func (l *Loader) rule(it *item) {
	old := l.rules[it.name]
	var bare []string // keys of a definition that are not there
	for _, key := range []string{"condition", "output", "desc", "priority"} {
		if it.keys[key] == nil {
			bare = append(bare, key)
		}
	}
	source, sourceSet := it.text("source")
	switch {
	case sourceSet && old != nil && old.source != source.Value:
		it.at("source", source).add(ErrValidate, "its source is %s already (the source of a rule cannot change)", old.source)
		return
	case it.extends() && old == nil:
		it.missing(names(l.rules))
		return
	case it.extends():
		l.extend(it, old)
		return
	case len(bare) == 4:
		l.toggle(it, old)
		return
	case len(bare) > 0:
		it.wrong(it.keys[it.kind], "it has no %s (a rule needs condition, output, desc and priority)", strings.Join(bare, ", "))
		return
	}
	d := &definition{source: defaultSource, enabled: true, warnTypes: true, sourceSet: sourceSet}
	if sourceSet {
		d.source = source.Value
	} else if old != nil {
		d.source = old.source
	}
	it.set(d, overridable["rule"].set)
	if it.bad {
		return
	}
	if old == nil {
		d.defined = l.define(it, nil)
		l.ordered = append(l.ordered, d)
		l.rules[it.name] = d
		return
	}
	d.defined = l.define(it, &old.defined)
	*old = *d
}

// toggle changes whether a rule is enabled, in the old form that has no other keys.
func (l *Loader) toggle(it *item, old *definition) {
	n := it.keys["enabled"]
	switch {
	case n == nil && it.keys["exceptions"] != nil && old != nil:
		it.wrong(it.keys["exceptions"], "exceptions without override (write override: {exceptions: append})")
		return
	case n == nil:
		it.wrong(it.keys[it.kind], "it has no condition, output, desc, priority (a rule needs them)")
		return
	}
	enabled := it.bool("enabled", true)
	if it.bad {
		return
	}
	it.at("enabled", n).add(WarnDeprecated, "a rule that only has enabled is old (add override: {enabled: replace})")
	if old == nil {
		it.at("name", it.keys[it.kind]).add(ErrValidate, "no item before defines the rule%s", guess(it.name, names(l.rules)))
		return
	}
	old.enabled = enabled
	l.touch(it, &old.defined)
}

// extend appends to a rule and replaces parts of it. What is appended is so before
// anything is replaced.
func (l *Loader) extend(it *item, old *definition) {
	change := *old
	change.exceptions = slices.Clone(old.exceptions)
	change.tags = slices.Clone(old.tags)
	var add, set []string
	if it.append {
		for _, key := range []string{"condition", "exceptions"} {
			if it.keys[key] != nil {
				add = append(add, key)
			}
		}
		if add == nil {
			it.wrong(it.keys[it.kind], "append without condition or exceptions")
		}
	}
	for key, how := range it.changes {
		if how == "append" {
			add = append(add, key)
		} else {
			set = append(set, key)
		}
	}
	slices.Sort(add)
	slices.Sort(set)
	for _, key := range add {
		it.add(&change, key)
	}
	it.set(&change, set)
	if it.bad {
		return
	}
	change.defined = old.defined
	l.touch(it, &change.defined)
	*old = change
}

// textOf returns the text of a key that must not be empty.
func (it *item) textOf(key string) text {
	n, ok := it.text(key)
	if !ok {
		return text{}
	}
	t := textOf(it.file, n)
	if t.string == "" && key != "desc" {
		it.wrong(n, "%s is empty", key)
	}
	return t
}

// add appends the value of a key.
func (it *item) add(d *definition, key string) {
	switch key {
	case "condition":
		d.condition = d.condition.join(it.textOf(key))
	case "output":
		d.output = d.output.join(it.textOf(key))
	case "desc":
		d.desc = d.desc.join(it.textOf(key))
	case "tags":
		d.tags = unite(d.tags, it.tags())
	case "exceptions":
		it.appendExceptions(d)
	}
}

// set sets the values of keys.
func (it *item) set(d *definition, keys []string) {
	for _, key := range keys {
		if it.keys[key] == nil {
			continue
		}
		switch key {
		case "condition":
			d.condition = it.textOf(key)
		case "output":
			d.output = it.textOf(key)
		case "desc":
			d.desc = it.textOf(key)
		case "tags":
			d.tags = unite(nil, it.tags())
		case "exceptions":
			it.readExceptions(d)
		case "priority":
			it.setPriority(d)
		case "enabled":
			d.enabled = it.bool(key, true)
		case "capture":
			d.capture = it.bool(key, false)
		case "capture_duration":
			d.captureFor = it.number(key)
		case "warn_evttypes":
			d.warnTypes = it.bool(key, true)
		case "skip-if-unknown-filter":
			d.skipUnknown = it.bool(key, false)
		}
	}
}

func (it *item) setPriority(d *definition) {
	n, ok := it.text("priority")
	if !ok {
		return
	}
	var err error
	if d.priority, err = ParsePriority(n.Value); err != nil {
		it.wrong(n, "%v%s", err, guess(n.Value, priorityNames[:]))
	}
}

func (it *item) tags() (tags []string) {
	nodes, _ := it.scalars("tags")
	for _, n := range nodes {
		tags = append(tags, n.Value)
	}
	return tags
}

// unite returns the sorted union.
func unite(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// flatten returns the items of a list, those that are names of lists replaced by the items
// of these lists, if they were defined before the list changed.
func (l *Loader) flatten(s *list) []string {
	if s.made {
		return s.flat
	}
	s.made = true // a list that has itself as an item has its name as a constant
	for _, e := range s.items {
		other := l.lists[e.node.Value]
		if other == nil {
			s.flat = append(s.flat, constants(e.node.Value)...)
			continue
		}
		if other.first >= s.changed || other == s {
			s.at("item", e.node).add(WarnCompileCondition, "list %s is defined after this one, so it is a constant here", other.name)
			s.flat = append(s.flat, constants(e.node.Value)...)
			continue
		}
		other.used = true
		if s.flat = append(s.flat, l.flatten(other)...); len(s.flat) > maxItems {
			s.at("item", e.node).add(ErrValidate, "with the lists in it the list has more than %d items", maxItems)
			s.flat = nil
			break
		}
	}
	return s.flat
}

// maxItems bounds a list: lists of lists of lists grow fast. One with more is left empty.
const maxItems = 1 << 20

// constants returns the constants that an item of a list stands for. An item in quotes of
// its own is what is in them, with escapes; one with blanks is one constant; others may
// have several constants with commas between them.
func constants(item string) []string {
	if n := len(item); n >= 2 && (item[0] == '"' || item[0] == '\'') && item[n-1] == item[0] {
		if text, ok := filter.Unquote(item); ok {
			return []string{text}
		}
	}
	if !strings.Contains(item, ",") || strings.ContainsAny(item, " \t") {
		return []string{item}
	}
	return strings.Split(item, ",")
}

// didYouMean suggests a macro for a name.
func (l *Loader) didYouMean(name string) string {
	all := names(l.macros)
	slices.Sort(all)
	if h := hint.DidYouMean(name, all); strings.Contains(h, "did you mean") {
		return h
	}
	if l.lists[name] != nil {
		return " (it is a list: write FIELD in (" + name + "))"
	}
	return ""
}
