// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// evalWant parses and evaluates a wanted value.
func evalWant(src string, env *wantEnv) (any, error) {
	n, err := expr.Parse(src, expr.Pos{File: "want", Line: 1, Col: 1})
	if err != nil {
		return nil, err
	}
	return expr.Eval(n, env)
}

// wantEnv resolves names in wanted values: variables are the facts that the guest
// reported, constants are flags of the param's set, or native values.
type wantEnv struct {
	facts object.Facts
	set   *event.NameSet
}

func (e *wantEnv) Lookup(name string) (any, error) {
	v := factValue{e.facts, name}
	if !v.exists() {
		return nil, fmt.Errorf("the guest reported no $%s", name)
	}
	return v, nil
}

func (e *wantEnv) Const(name string) (int64, bool) {
	if e.set != nil {
		if v, ok := e.set.Value(name); ok {
			return int64(v), true
		}
	}
	if v, ok := guest.Consts[name]; ok {
		return int64(v), true
	}
	n := event.Errno(name)
	return n, n != 0
}

func (e *wantEnv) Call(name string, _ []any) (any, error) {
	return nil, fmt.Errorf("unknown function %s in a wanted value", name)
}

// factValue is a variable that the guest reported, or a field of one.
type factValue struct {
	facts object.Facts
	name  string
}

func (v factValue) exists() bool {
	if _, ok := v.facts[v.name]; ok {
		return true
	}
	for name := range v.facts {
		if strings.HasPrefix(name, v.name+".") {
			return true
		}
	}
	return false
}

func (v factValue) String() string { return "$" + v.name }

// Plain implements expr.Plainer.
func (v factValue) Plain() any {
	f, ok := v.facts[v.name]
	switch {
	case !ok:
		return nil
	case f.IsInt:
		return int64(f.Int)
	}
	return f.Bytes
}

// Address implements expr.Addresser, for variables that are memory.
func (v factValue) Address() (int64, bool) {
	if f, ok := v.facts[v.name]; ok && f.IsInt {
		return 0, false
	}
	f, ok := v.facts[v.name+".addr"]
	return int64(f.Int), ok && f.IsInt
}

// Field implements expr.Fielder.
func (v factValue) Field(name string) (any, error) {
	f := factValue{v.facts, v.name + "." + name}
	if !f.exists() {
		return nil, fmt.Errorf("the guest reported no $%s", f.name)
	}
	return f, nil
}

// Index implements expr.Indexer.
func (v factValue) Index(i int) (any, error) {
	f := factValue{v.facts, fmt.Sprintf("%s.%d", v.name, i)}
	if f.exists() {
		return f, nil
	}
	if b, ok := v.Plain().([]byte); ok && i >= 0 && i < len(b) {
		return int64(b[i]), nil
	}
	return nil, fmt.Errorf("the guest reported no $%s[%d]", v.name, i)
}
