// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/hint"
)

// item is an item of a file: a mapping whose keys depend on its kind.
type item struct {
	place
	kind string // "list", "macro", "rule", or a requirement
	name string
	node *yaml.Node
	keys map[string]*yaml.Node

	append  bool
	changes map[string]string // override: what to do by key, "append" or "replace"
	bad     bool              // errors were reported
}

// kinds are the kinds of items. The first whose name is a key of an item is the kind of
// the item.
var kinds = []struct {
	name string
	keys []string
}{
	{"required_engine_version", nil},
	{"required_plugin_versions", nil},
	{"list", []string{"items", "append", "override"}},
	{"macro", []string{"condition", "append", "override"}},
	{"rule", []string{"condition", "output", "desc", "priority", "source", "enabled", "tags", "exceptions", "warn_evttypes",
		"skip-if-unknown-filter", "capture", "capture_duration", "append", "override"}},
}

// overridable says which keys may be appended to and replaced, by the kind of the item.
var overridable = map[string]struct{ add, set []string }{
	"list":  {[]string{"items"}, []string{"items"}},
	"macro": {[]string{"condition"}, []string{"condition"}},
	"rule": {[]string{"condition", "output", "desc", "tags", "exceptions"},
		[]string{"condition", "output", "desc", "tags", "exceptions", "priority", "enabled", "capture", "capture_duration",
			"warn_evttypes", "skip-if-unknown-filter"}},
}

// deref returns what an alias stands for.
func deref(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kindOf names the kind of a node for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "empty"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return "a text"
}

// readItem reads an element of a file; nil: it has none that is known.
func (f *file) readItem(n *yaml.Node) *item {
	top := place{f, []Location{{"item", "", f.of(n)}}}
	if n.Kind != yaml.MappingNode {
		top.add(ErrYAMLValidate, "an item is %s (a mapping, such as - rule: NAME)", kindOf(n))
		return nil
	}
	it := &item{node: n, keys: map[string]*yaml.Node{}}
	var order []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if it.keys[k.Value] != nil {
			top.at("key", k).add(WarnUnknownKey, "key %s is repeated (the first one counts)", k.Value)
			continue
		}
		it.keys[k.Value] = deref(n.Content[i+1])
		order = append(order, k)
	}
	var known []string
	for _, k := range kinds {
		if v := it.keys[k.name]; v != nil {
			it.kind, known = k.name, k.keys
			if v.Kind == yaml.ScalarNode {
				it.name = v.Value
			}
			break
		}
	}
	if it.kind == "" {
		key, names := "", []string{}
		for _, k := range kinds {
			names = append(names, k.name)
		}
		if len(order) > 0 {
			key = order[0].Value
		}
		top.add(WarnUnknownItem, "the item is none of %s%s", strings.Join(names, ", "), guess(key, names))
		return nil
	}
	it.place = place{f, []Location{{it.kind, it.name, f.of(n)}}}
	for _, k := range order {
		if k.Value != it.kind && !slices.Contains(known, k.Value) {
			it.at("key", k).add(WarnUnknownKey, "unknown key %s%s", k.Value, hint.DidYouMean(k.Value, known))
		}
	}
	if known == nil {
		return it
	}
	if v := it.keys[it.kind]; v.Kind != yaml.ScalarNode || it.name == "" {
		it.wrong(v, "the name is %s (a text)", kindOf(v))
		return it
	}
	it.append = it.bool("append", false)
	if it.keys["append"] != nil {
		it.at("append", it.keys["append"]).add(WarnDeprecated, "append is old (write override: {KEY: append})")
	}
	it.readOverride()
	return it
}

// guess is a hint for a misspelt word, without a list of all words.
func guess(word string, known []string) string {
	if h := hint.DidYouMean(word, known); strings.Contains(h, "did you mean") {
		return h
	}
	return ""
}

// wrong reports a value of a wrong shape.
func (it *item) wrong(n *yaml.Node, format string, args ...any) {
	it.bad = true
	it.at("value", n).add(ErrYAMLValidate, format, args...)
}

// text returns the text of a key; ok is false if it has none, which is an error if the
// key is there.
func (it *item) text(key string) (n *yaml.Node, ok bool) {
	n = it.keys[key]
	switch {
	case n == nil:
		return nil, false
	case n.Kind != yaml.ScalarNode || isNull(n):
		it.wrong(n, "%s is %s (a text)", key, kindOf(n))
		return nil, false
	}
	return n, true
}

var truths = map[string]bool{"true": true, "yes": true, "on": true, "y": true, "false": false, "no": false, "off": false, "n": false}

func (it *item) bool(key string, missing bool) bool {
	n, ok := it.text(key)
	if !ok {
		return missing
	}
	b, ok := truths[strings.ToLower(n.Value)]
	if !ok {
		it.wrong(n, "%s is %q (true or false)", key, n.Value)
	}
	return b
}

func (it *item) number(key string) uint64 {
	n, ok := it.text(key)
	if !ok {
		return 0
	}
	v, err := strconv.ParseUint(n.Value, 10, 32)
	if err != nil {
		it.wrong(n, "%s is %q (a number, 0 or more)", key, n.Value)
	}
	return v
}

// scalars returns the elements of a list of texts.
func (it *item) scalars(key string) (list []*yaml.Node, ok bool) {
	n := it.keys[key]
	switch {
	case n == nil:
		return nil, false
	case isNull(n):
		return nil, true
	case n.Kind != yaml.SequenceNode:
		it.wrong(n, "%s is %s (a list, such as [a, b])", key, kindOf(n))
		return nil, false
	}
	for _, e := range n.Content {
		if e = deref(e); e.Kind != yaml.ScalarNode {
			it.wrong(e, "an element of %s is %s (a text)", key, kindOf(e))
			return nil, false
		}
		list = append(list, e)
	}
	return list, true
}

// readOverride reads what the item does with each key of an item before it.
func (it *item) readOverride() {
	n := it.keys["override"]
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		it.wrong(n, "override is %s (a mapping, such as {condition: append})", kindOf(n))
		return
	}
	if it.append {
		it.wrong(n, "override with append: true (write one of them)")
		return
	}
	can := overridable[it.kind]
	it.changes = map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], deref(n.Content[i+1])
		allowed := can.set
		if v.Value == "append" {
			allowed = can.add
		}
		switch {
		case v.Value != "append" && v.Value != "replace":
			it.wrong(v, "override of %s is %q (append or replace)", k.Value, v.Value)
		case !slices.Contains(allowed, k.Value):
			it.wrong(k, "%s has no key %s to %s (known: %s)", it.kind, k.Value, v.Value, strings.Join(allowed, ", "))
		case it.keys[k.Value] == nil:
			it.wrong(k, "override of %s without the key %s", k.Value, k.Value)
		default:
			it.changes[k.Value] = v.Value
		}
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(can.add, can.set)))) {
		if v := it.keys[k]; v != nil && it.changes[k] == "" && !it.bad {
			it.wrong(v, "key %s is not in override (say append or replace)", k)
		}
	}
}

// extends reports whether the item changes one before it, rather than defining it.
func (it *item) extends() bool { return it.append || it.changes != nil }
