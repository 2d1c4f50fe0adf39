// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/internal/yamltext"
)

// EngineVersion is the version of falco's engine whose files load.
const EngineVersion = "0.63.0"

// Plugins are the plugins of falco whose fields are here without them, with the version
// that the fields are those of.
var Plugins = map[string]string{"container": "0.7.0"}

// Sources are the sources of events that rules may have.
var Sources = []string{defaultSource}

const defaultSource = "syscall"

// Loader collects the items of rule files.
type Loader struct {
	Append []Append // text that is added to the outputs of rules

	files   []*file
	at      int // number of the item
	lists   map[string]*list
	macros  map[string]*macro
	rules   map[string]*definition
	ordered []*definition // in the order of their first definition
}

// Append is a text that is added to outputs.
type Append struct {
	Source string   // of the rules; "": any
	Tags   []string // that the rules have, all of them
	Rule   string   // name of the rule; "": any
	Output string
}

// AddFile adds a file, or the files in a directory whose names end in .yaml or .yml.
func (l *Loader) AddFile(path string) {
	st, err := os.Stat(path)
	if err == nil && st.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			l.unreadable(path, err)
			return
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				l.AddFile(filepath.Join(path, e.Name()))
			}
		}
		return
	}
	var text []byte
	if err == nil {
		text, err = readFile(path)
	}
	if err != nil {
		l.unreadable(path, err)
		return
	}
	l.Add(path, string(text))
}

// maxFile bounds a rule file, in bytes.
const maxFile = 64 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is larger than 64 MiB")
	}
	return text, err
}

func (l *Loader) unreadable(path string, err error) {
	f := l.add(path, "")
	place{f, []Location{{"file", "", Position{File: path}}}}.add(ErrFileRead, "the file cannot be read: %v", err)
}

func (l *Loader) add(name, text string) *file {
	f := newFile(len(l.files), name, text)
	l.files = append(l.files, f)
	return f
}

// Add adds a file by its text.
func (l *Loader) Add(name, text string) {
	if l.lists == nil {
		l.lists, l.macros, l.rules = map[string]*list{}, map[string]*macro{}, map[string]*definition{}
	}
	f := l.add(name, text)
	top := place{f, []Location{{"file", "", Position{File: name, Line: 1, Col: 1}}}}
	if !utf8.ValidString(text) {
		top.add(ErrYAMLParse, "the file is not UTF-8")
		return
	}
	for i, line := range f.Lines {
		if at := strings.IndexAny(line, "\r\u0085\u2028\u2029"); at >= 0 { // line breaks for YAML, but not for editors
			pos := expr.Pos{File: name, Line: i + 1, Col: utf8.RuneCountInString(line[:at]) + 1}
			top.in("text", f, f.position(pos)).add(ErrYAMLParse, "a line break that is not a newline")
			return
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		err := yamltext.Decode(dec, &doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			at, msg := f.Blame(err)
			top.in("text", f, f.position(at)).add(ErrYAMLParse, "bad YAML: %s", msg)
			return
		}
		if len(doc.Content) == 0 || isNull(doc.Content[0]) {
			continue
		}
		root := doc.Content[0]
		if root.Kind != yaml.SequenceNode {
			top.at("document", root).add(ErrYAMLValidate, "the file is %s (a list of items, each of which begins with a dash)", kindOf(root))
			return
		}
		for _, n := range root.Content {
			if n = deref(n); !isNull(n) {
				l.item(f, n)
			}
		}
	}
}

func (l *Loader) item(f *file, n *yaml.Node) {
	it := f.readItem(n)
	if it == nil || it.bad {
		return
	}
	l.at++
	switch it.kind {
	case "required_engine_version":
		it.requireEngine()
	case "required_plugin_versions":
		it.requirePlugins()
	case "list":
		l.list(it)
	case "macro":
		l.macro(it)
	case "rule":
		l.rule(it)
	}
}

// version is a semantic version.
type version [3]uint64

var versionShape = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

func parseVersion(text string) (v version, ok bool) {
	m := versionShape.FindStringSubmatch(text)
	if m == nil {
		return v, false
	}
	for i := range v {
		n, err := strconv.ParseUint(m[i+1], 10, 32)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// satisfies reports whether v is compatible with what is required.
func (v version) satisfies(required version) bool {
	return v[0] == required[0] && slices.Compare(v[:], required[:]) >= 0
}

func (it *item) requireEngine() {
	n, ok := it.text(it.kind)
	if !ok {
		return
	}
	text := n.Value
	if _, err := strconv.ParseUint(text, 10, 32); err == nil {
		text = "0." + text + ".0"
	}
	required, ok := parseVersion(text)
	if !ok {
		it.wrong(n, "%q is not a version (such as 0.57.0, or 57)", n.Value)
		return
	}
	if own, _ := parseVersion(EngineVersion); !own.satisfies(required) {
		it.at("value", n).add(ErrValidate, "the file needs engine %s (this one is compatible with %s)", text, EngineVersion)
	}
}

func (it *item) requirePlugins() {
	n := it.keys[it.kind]
	if n.Kind != yaml.SequenceNode {
		it.wrong(n, "%s is %s (a list, such as [{name: container, version: 0.4.0}])", it.kind, kindOf(n))
		return
	}
	for _, e := range n.Content {
		it.requirePlugin(deref(e))
	}
}

// requirement is a plugin and the version of it that a file needs.
type requirement struct {
	name    string
	version version
	text    string
}

func (it *item) requirePlugin(n *yaml.Node) {
	first, alternatives, ok := it.requirement(n)
	if !ok {
		return
	}
	all := []requirement{first}
	if alternatives != nil && alternatives.Kind != yaml.SequenceNode {
		it.wrong(alternatives, "alternatives are %s (a list)", kindOf(alternatives))
		return
	}
	if alternatives != nil {
		for _, e := range alternatives.Content {
			r, _, ok := it.requirement(deref(e))
			if !ok {
				return
			}
			if slices.ContainsFunc(all, func(o requirement) bool { return o.name == r.name }) {
				it.wrong(e, "plugin %s is named twice", r.name)
				return
			}
			all = append(all, r)
		}
	}
	var asked []string
	for _, r := range all {
		if own, ok := parseVersion(Plugins[r.name]); ok && own.satisfies(r.version) {
			return
		}
		asked = append(asked, r.name+" "+r.text)
	}
	var have []string
	for _, name := range slices.Sorted(maps.Keys(Plugins)) {
		have = append(have, name+" "+Plugins[name])
	}
	it.at("value", n).add(ErrValidate, "the file needs plugin %s (here are the fields of %s)", strings.Join(asked, " or "), strings.Join(have, ", "))
}

func (it *item) requirement(n *yaml.Node) (r requirement, alternatives *yaml.Node, ok bool) {
	if n.Kind != yaml.MappingNode {
		it.wrong(n, "a plugin is %s (such as {name: container, version: 0.4.0})", kindOf(n))
		return r, nil, false
	}
	known := []string{"name", "version", "alternatives"}
	var ver *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], deref(n.Content[i+1])
		switch k.Value {
		case "name":
			r.name = v.Value
		case "version":
			ver = v
		case "alternatives":
			alternatives = v
		default:
			it.at("key", k).add(WarnUnknownKey, "unknown key %s%s", k.Value, hint.DidYouMean(k.Value, known))
		}
	}
	switch {
	case r.name == "":
		it.wrong(n, "a plugin without a name (such as {name: container, version: 0.4.0})")
		return r, nil, false
	case ver == nil:
		it.wrong(n, "plugin %s without a version (such as version: 0.4.0)", r.name)
		return r, nil, false
	}
	r.text = ver.Value
	if r.version, ok = parseVersion(ver.Value); !ok {
		it.wrong(ver, "%q is not a version (such as 0.4.0)", ver.Value)
	}
	return r, alternatives, ok
}
