// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// files are the table's files in the order they are read, with the lists of
// each. A table without codes for generic events needs no ids.yaml, one with the
// project's own types no types.yaml.
var files = []struct {
	name  string
	lists []string
}{
	{typesFile, typeLists},
	{"flags.yaml", []string{"flags"}},
	{"helpers.yaml", []string{"helpers", "reducers"}},
	{"ids.yaml", []string{"ids", "ia32", "x32"}},
	{"structs.yaml", []string{"structs"}},
	{"events.yaml", []string{"groups", "events"}},
	{"syscalls.yaml", []string{"wants", "include", "syscalls"}},
	{suitesFile, []string{"suites"}},
}

// optionalLists are lists that a file may lack.
var optionalLists = []string{"groups", "reducers", "wants", "include", "ia32", "x32"}

// partDir holds the parts that syscalls.yaml includes, one for each class.
const partDir = "syscalls"

// Load reads and checks the table in a directory. On errors it returns an ErrorList
// with all of them, and no table.
func Load(dir string) (*Table, error) {
	return load(os.DirFS(dir), filepath.ToSlash(filepath.Clean(dir)))
}

// LoadFS is Load for any file system; positions have the names of files in it.
func LoadFS(fsys fs.FS) (*Table, error) { return load(fsys, "") }

func load(fsys fs.FS, dir string) (*Table, error) {
	l := &loader{
		fsys:     fsys,
		dir:      dir,
		table:    &Table{Dir: dir, Types: &Types{}},
		sets:     map[string]*FlagSet{},
		natives:  map[string]bool{},
		helpers:  map[string]map[string]*Helper{},
		groups:   map[string]*rawGroup{},
		structs:  map[string]*Struct{},
		wants:    map[string]*wantGroup{},
		reducers: map[string]*Reducer{},
		codes:    map[uint16]codeOwner{},
		symbols:  map[string]codeOwner{},
	}
	for _, file := range files {
		if file.name == "events.yaml" {
			l.checkIDs()
			l.readLock()
		}
		if _, err := fs.Stat(fsys, file.name); errors.Is(err, fs.ErrNotExist) {
			switch file.name {
			case typesFile:
				l.table.Types = DefaultTypes()
				continue
			case "ids.yaml", "structs.yaml", suitesFile:
				continue
			}
		}
		if f := l.open(file.name, expr.Pos{}); f != nil && !l.broken {
			l.file(f, file.lists)
		}
		if file.name == typesFile && len(l.errs) > 0 {
			l.broken = true // params cannot be checked
		}
	}
	l.seen()
	if !l.broken {
		l.check()
	}
	if len(l.errs) > 0 {
		return nil, l.errs.Sorted()
	}
	return l.table, nil
}

type loader struct {
	fsys   fs.FS
	dir    string
	broken bool // a file is unreadable: names in later files would seem unknown

	class string   // of the part being read; "" in the root
	parts []string // read so far

	table    *Table
	errs     ErrorList
	sets     map[string]*FlagSet
	natives  map[string]bool // constants with a native value
	helpers  map[string]map[string]*Helper
	groups   map[string]*rawGroup
	raw      map[string]*yaml.Node // entries of the file being read, for like
	ids      map[string]*ID        // by name
	structs  map[string]*Struct
	wants    map[string]*wantGroup
	reducers map[string]*Reducer
	codes    map[uint16]codeOwner
	symbols  map[string]codeOwner

	nativeNames []string // sorted, made on first use
}

// open reads and parses a file; at is the place that includes it, if any.
func (l *loader) open(name string, at expr.Pos) *file {
	full := path.Join(l.dir, name)
	src, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		if at.File == "" {
			at = expr.Pos{File: full, Line: 1, Col: 1}
		}
		l.errs.Add(at, "", "%s", err)
		l.broken = true
		return nil
	}
	f := parseFile(full, src, &l.errs)
	l.broken = l.broken || f == nil
	return f
}

// file reads one file: its schema number, then its lists.
func (l *loader) file(f *file, lists []string) {
	m := f.mapping(f.root, "", "file", append([]string{"schema"}, lists...), &l.errs)
	if m == nil {
		return
	}
	if m.required("schema", "schema: 1 comes first") {
		if n := m.scalar("schema"); n != nil && n.Value != "1" {
			m.errorf(n, "unknown schema %s (1 is known)", n.Value)
		}
		if m.fields[0].key.Value != "schema" {
			m.errorf(m.fields[0].key, "schema comes after %s (schema: 1 comes first)", m.fields[0].key.Value)
		}
	}
	defer func() {
		if slices.Contains(lists, "types") {
			l.checkTypes(m)
		}
	}()
	l.raw = map[string]*yaml.Node{}
	for _, key := range lists {
		n := m.byKey[key]
		if n == nil {
			if !slices.Contains(optionalLists, key) && !(key == "syscalls" && m.has("include")) {
				m.required(key, "the list of this file")
			}
			continue
		}
		if slices.Contains(typeLists, key) && key != "types" && key != "dyns" {
			l.words(f, key, n)
			continue
		}
		if n.Kind != yaml.SequenceNode {
			m.errorf(n, "%s is %s (a list is expected)", key, kindName(n))
			continue
		}
		for _, item := range n.Content {
			switch key {
			case "include":
				l.include(m, item)
			case "types":
				l.wireType(f, item)
			case "dyns":
				l.dyn(f, item)
			case "flags":
				l.flagSet(f, item)
			case "helpers":
				l.helper(f, item)
			case "reducers":
				l.reducer(f, item)
			case "wants":
				l.wantGroup(f, item)
			case "structs":
				l.structEntry(f, item)
			case "groups":
				l.group(f, item)
			case "events":
				l.event(f, item)
			case "syscalls":
				l.syscall(f, item)
			case "suites":
				l.suite(f, item)
			case "ids":
				l.id(f, item)
			case "ia32":
				l.ia32(f, item)
			case "x32":
				l.x32(f, item)
			}
		}
	}
}

// include reads a part of syscalls.yaml: the entries of one class.
func (l *loader) include(m *mapping, n *yaml.Node) {
	if m.asScalar(n, "include") == nil {
		return
	}
	class, ok := strings.CutSuffix(strings.TrimPrefix(n.Value, partDir+"/"), ".yaml")
	if known := l.partNames(); !ok || !slices.Contains(known, n.Value) {
		m.errorf(n, "include %s is not the file of a class%s", n.Value, hint.DidYouMean(n.Value, known))
		return
	}
	if slices.Contains(l.parts, n.Value) {
		m.errorf(n, "include %s is repeated", n.Value)
		return
	}
	l.parts = append(l.parts, n.Value)
	if f := l.open(n.Value, m.f.Pos(n)); f != nil && !l.broken {
		l.class = class
		l.file(f, []string{"wants", "syscalls"})
		l.class = ""
	}
}

func (l *loader) partNames() []string {
	var out []string
	for _, class := range l.table.Types.Classes {
		out = append(out, partDir+"/"+class.Name+".yaml")
	}
	return out
}

// checkParts reports files in the folder of the parts that are not included.
func (l *loader) checkParts() {
	names, _ := fs.Glob(l.fsys, partDir+"/*.yaml")
	for _, name := range names {
		if !slices.Contains(l.parts, name) {
			l.errs.Add(expr.Pos{File: path.Join(l.dir, name), Line: 1, Col: 1}, "", "file is not included (add %s to include of syscalls.yaml)", name)
		}
	}
}
