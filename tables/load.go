// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/scaplab/scaplab/internal/expr"
)

// Files are the names of the table's files, in the order they are read. A table
// without codes for generic events needs no ids.yaml.
var Files = []string{"flags.yaml", "helpers.yaml", "events.yaml", "syscalls.yaml", "ids.yaml"}

// Load reads and checks the table in a directory. The error is an ErrorList
// with everything that is wrong, and the table is nil then.
func Load(dir string) (*Table, error) {
	return load(os.DirFS(dir), filepath.ToSlash(filepath.Clean(dir)))
}

// LoadFS is Load for any file system; positions name the files as they stand in it.
func LoadFS(fsys fs.FS) (*Table, error) { return load(fsys, "") }

func load(fsys fs.FS, dir string) (*Table, error) {
	l := &loader{
		table:   &Table{},
		sets:    map[string]*FlagSet{},
		natives: map[string]bool{},
		helpers: map[string]map[string]*Helper{},
		groups:  map[string]*rawGroup{},
		codes:   map[uint16]codeOwner{},
		symbols: map[string]codeOwner{},
	}
	broken := false
	for _, name := range Files {
		full := path.Join(dir, name)
		src, err := fs.ReadFile(fsys, name)
		if name == "ids.yaml" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			l.errs.add(expr.Pos{File: full, Line: 1, Col: 1}, "", "%s", err)
			broken = true
			continue
		}
		f := parseFile(full, src, &l.errs)
		broken = broken || f == nil
		if !broken { // what cannot be read would make every name in it unknown
			l.file(name, f)
		}
	}
	if !broken {
		l.check()
	}
	if len(l.errs) > 0 {
		return nil, l.errs.sorted()
	}
	return l.table, nil
}

type loader struct {
	table   *Table
	errs    ErrorList
	sets    map[string]*FlagSet
	natives map[string]bool // constants with a native value
	helpers map[string]map[string]*Helper
	groups  map[string]*rawGroup
	codes   map[uint16]codeOwner
	symbols map[string]codeOwner

	nativeNames []string // sorted, made when first needed
}

// file reads one file: its schema number, then its lists.
func (l *loader) file(name string, f *file) {
	lists := map[string][]string{
		"flags.yaml": {"flags"}, "helpers.yaml": {"helpers"}, "events.yaml": {"groups", "events"}, "syscalls.yaml": {"syscalls"},
		"ids.yaml": {"ids"},
	}[name]
	m := f.mapping(f.root, "", "file", append([]string{"schema"}, lists...), &l.errs)
	if m == nil {
		return
	}
	if m.required("schema", "schema: 1 comes first") {
		if n := m.scalar("schema"); n != nil && n.Value != "1" {
			m.errorf(n, "unknown schema %s (1 is known)", n.Value)
		}
		if m.fields[0].key.Value != "schema" {
			m.errorf(m.fields[0].key, "schema stands behind %s (schema: 1 comes first)", m.fields[0].key.Value)
		}
	}
	for _, key := range lists {
		n := m.byKey[key]
		if n == nil {
			if key != "groups" {
				m.required(key, "the list of this file")
			}
			continue
		}
		if n.Kind != yaml.SequenceNode {
			m.errorf(n, "%s is %s (a list is expected)", key, kindName(n))
			continue
		}
		for _, item := range n.Content {
			switch key {
			case "flags":
				l.flagSet(f, item)
			case "helpers":
				l.helper(f, item)
			case "groups":
				l.group(f, item)
			case "events":
				l.event(f, item)
			case "syscalls":
				l.syscall(f, item)
			case "ids":
				l.id(f, item)
			}
		}
	}
}
