// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"bytes"
	"errors"
	"io/fs"
	"path"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
)

// SeenFile is the file of a table with what was seen of the reference's module.
const SeenFile = "seen.yaml"

// Seen is what was seen of a module of the reference: how all cases ended with it. `scaplab matrix
// --seen` writes it; the documentation is made of it.
type Seen struct {
	Module  string           `yaml:"module"` // name and version
	API     string           `yaml:"api"`
	Schema  string           `yaml:"schema"`
	Origin  string           `yaml:"origin"` // package and version
	Kernels []SeenKernel     `yaml:"kernels"`
	Differs []SeenDifference `yaml:"differs"` // what the table lists
	Defects []SeenDefect     `yaml:"defects"` // what it does not
}

// SeenKernel is the score on a kernel. The lists have the numbers of equal ones, of those that
// differ as the table lists, and of others.
type SeenKernel struct {
	Kernel  string `yaml:"kernel"`
	Release string `yaml:"release"`
	Build   string `yaml:"build,omitempty"` // why the module does not compile
	Cases   [3]int `yaml:"cases,flow"`
	Events  [3]int `yaml:"events,flow"`
	Params  [3]int `yaml:"params,flow"`
	Generic int    `yaml:"generic"` // cases of calls that the module has no event for, which are in none of the lists
	Skipped int    `yaml:"skipped"`
	Broken  int    `yaml:"broken"` // not carried through
}

// SeenDifference is a param of an event, or a whole event, in which the module differs.
type SeenDifference struct {
	Event   string   `yaml:"event"` // symbol
	Param   string   `yaml:"param,omitempty"`
	String  bool     `yaml:"string,omitempty"` // it is a string that the module does not send
	Kernels []string `yaml:"kernels,flow"`
	Cases   int      `yaml:"cases"`
	Example string   `yaml:"example"` // a case
}

// SeenDefect is what the module does wrong, and no `differs` of the table says.
type SeenDefect struct {
	Event   string   `yaml:"event"`
	Param   string   `yaml:"param,omitempty"`
	Kernels []string `yaml:"kernels,flow"`
	Example string   `yaml:"example"`
	Class   string   `yaml:"class"` // of the failure
	Reason  string   `yaml:"reason"`
}

const seenHeader = "# How the cases end with the reference's module. Written by scaplab matrix --seen. DO NOT EDIT.\n"

// Text returns the file's text.
func (s *Seen) Text() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(seenHeader)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// seen reads the file of what was seen. A table may have none.
func (l *loader) seen() {
	text, err := fs.ReadFile(l.fsys, SeenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		err = d.Decode(&l.table.Seen)
	}
	if err != nil {
		l.errs.Add(expr.Pos{File: path.Join(l.dir, SeenFile), Line: 1, Col: 1}, "", "%v (scaplab matrix --seen writes it)", err)
	}
}
