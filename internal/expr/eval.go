// SPDX-License-Identifier: Apache-2.0

package expr

import (
	"errors"
	"fmt"
	"strconv"
)

// Env defines the meaning of names.
//
// A value is an integer (any Go integer type or bool going in; int64 coming
// out, two's complement above 1<<63), a string, a []byte, a []any, a
// *StructValue, a Tuple, a Comparison, Empty, Any, or an object of the
// environment: anything else, perhaps with Fielder, Indexer, Plainer or
// Addresser.
type Env interface {
	Lookup(name string) (any, error) // $name
	Const(name string) (int64, bool) // O_CREAT, an argument, ret
	Call(name string, args []any) (any, error)
}

// Fielder is an object with fields: $st.dev.
type Fielder interface {
	Field(name string) (any, error)
}

// Indexer is an object with numbered elements: $pipe[0].
type Indexer interface {
	Index(i int) (any, error)
}

// Plainer is an object that stands for a plain value where one is needed: an
// open file for its descriptor, a directory for its path.
type Plainer interface {
	Plain() any
}

// Addresser is an object in memory. As a number it is its address, even if it is also a
// Plainer.
type Addresser interface {
	Address() (addr int64, ok bool)
}

// Empty is the zero-length value, Any the wanted value that is not compared.
type (
	Empty struct{}
	Any   struct{}
)

// Tuple is what a -> b means.
type Tuple struct{ From, To any }

// StructValue has the fields of {name: value} in order.
type StructValue struct {
	Names  []string
	Values []any
}

// Field returns a field by name.
func (s *StructValue) Field(name string) (any, error) {
	for i, n := range s.Names {
		if n == name {
			return s.Values[i], nil
		}
	}
	return nil, fmt.Errorf("no field %s", name)
}

// Comparison is a bound on a wanted value; Op is < <= > >= != == or between.
type Comparison struct {
	Op    string
	Bound any
	High  any // between only, inclusive
}

// Holds compares an integer with the bounds, as unsigned when asked.
func (c Comparison) Holds(v int64, unsigned bool) (bool, error) {
	bound, err := ToInt(c.Bound)
	if err != nil {
		return false, err
	}
	cmp := func(b int64) int {
		x, y := uint64(v), uint64(b)
		if !unsigned { // moves the sign bit so that signed order becomes unsigned order
			x ^= 1 << 63
			y ^= 1 << 63
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	switch c.Op {
	case "<":
		return cmp(bound) < 0, nil
	case "<=":
		return cmp(bound) <= 0, nil
	case ">":
		return cmp(bound) > 0, nil
	case ">=":
		return cmp(bound) >= 0, nil
	case "==":
		return cmp(bound) == 0, nil
	case "!=":
		return cmp(bound) != 0, nil
	case "between":
		high, err := ToInt(c.High)
		if err != nil {
			return false, err
		}
		return cmp(bound) >= 0 && cmp(high) <= 0, nil
	}
	return false, fmt.Errorf("unknown comparison %q", c.Op)
}

// Eval computes n. It knows the names NULL, empty and any and the functions
// between(a, b) and bytes(part, ...); env has all others. An error is an *Error at the
// node that failed, wrapping the cause.
func Eval(n *Node, env Env) (any, error) {
	v, err := eval(n, env)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// evalError is an Error with a cause.
type evalError struct {
	at    *Error
	cause error
}

func (e *evalError) Error() string   { return e.at.Error() }
func (e *evalError) Unwrap() []error { return []error{e.at, e.cause} }

// fail adds n's position to err unless err has a position.
func fail(n *Node, err error) error {
	var placed *Error
	if errors.As(err, &placed) {
		return err
	}
	return &evalError{&Error{Pos: n.Pos, Msg: err.Error()}, err}
}

func eval(n *Node, env Env) (any, error) {
	if n == nil {
		return nil, errors.New("expression is missing")
	}
	v, err := evalNode(n, env)
	if err != nil {
		return nil, fail(n, err)
	}
	if i, ok := toInt(v); ok {
		return i, nil
	}
	return v, nil
}

func evalInt(n *Node, env Env) (int64, error) {
	v, err := eval(n, env)
	if err != nil {
		return 0, err
	}
	i, err := ToInt(v)
	if err != nil {
		return 0, fail(n, err)
	}
	return i, nil
}

func evalAll(nodes []*Node, env Env) ([]any, error) {
	vals := make([]any, len(nodes))
	for i, n := range nodes {
		v, err := eval(n, env)
		if err != nil {
			return nil, err
		}
		vals[i] = v
	}
	return vals, nil
}

func evalNode(n *Node, env Env) (any, error) {
	switch n.Kind {
	case Int:
		return n.Num, nil
	case Str:
		return evalText(n, env)
	case Name:
		switch n.Text {
		case "empty":
			return Empty{}, nil
		case "any":
			return Any{}, nil
		case "NULL":
			return int64(0), nil
		}
		if v, ok := env.Const(n.Text); ok {
			return v, nil
		}
		return nil, fmt.Errorf("unknown name %s", n.Text)
	case Var:
		v, err := env.Lookup(n.Text)
		if err != nil {
			return nil, err
		}
		for _, a := range n.Args {
			if v, err = access(v, a, env); err != nil {
				return nil, fail(a, err)
			}
		}
		return v, nil
	case Call:
		args, err := evalAll(n.Args, env)
		if err != nil {
			return nil, err
		}
		switch n.Text {
		case "between":
			if len(args) != 2 {
				return nil, fmt.Errorf("between has 2 arguments, not %d", len(args))
			}
			return Comparison{Op: "between", Bound: args[0], High: args[1]}, nil
		case "bytes":
			return concat(args)
		}
		return env.Call(n.Text, args)
	case Compare:
		v, err := eval(n.Args[0], env)
		return Comparison{Op: n.Text, Bound: v}, err
	case Arrow:
		vals, err := evalAll(n.Args, env)
		if err != nil {
			return nil, err
		}
		return Tuple{vals[0], vals[1]}, nil
	case List:
		return evalAll(n.Args, env)
	case Struct:
		vals, err := evalAll(n.Args, env)
		return &StructValue{n.Names, vals}, err
	case Or:
		var all int64
		for _, a := range n.Args {
			v, err := evalInt(a, env)
			if err != nil {
				return nil, err
			}
			all |= v
		}
		return all, nil
	case Not, Neg:
		v, err := evalInt(n.Args[0], env)
		if n.Kind == Not {
			return ^v, err
		}
		return -v, err
	case Add, Sub, Mul, Shl:
		a, err := evalInt(n.Args[0], env)
		if err != nil {
			return nil, err
		}
		b, err := evalInt(n.Args[1], env)
		if err != nil {
			return nil, err
		}
		switch n.Kind {
		case Add:
			return a + b, nil
		case Sub:
			return a - b, nil
		case Mul:
			return a * b, nil
		}
		if b < 0 || b > 63 {
			return nil, fmt.Errorf("shift by %d (0 to 63)", b)
		}
		return a << b, nil
	}
	return nil, fmt.Errorf("a %s has no value", n.Kind)
}

func evalText(n *Node, env Env) (any, error) {
	parts, _, msg := interpolate(n.Text)
	if msg != "" {
		return nil, errors.New(msg)
	}
	var out []byte
	for _, p := range parts {
		if p.ref == nil {
			out = append(out, p.text...)
			continue
		}
		v, err := env.Lookup(p.ref.Name)
		for _, f := range p.ref.Fields {
			if err != nil {
				break
			}
			v, err = field(v, f)
		}
		if err != nil {
			return nil, err
		}
		text, err := ToText(v)
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", p.ref.Name, err)
		}
		out = append(out, text...)
	}
	return string(out), nil
}

func field(v any, name string) (any, error) {
	f, ok := v.(Fielder)
	if !ok {
		return nil, fmt.Errorf("%s has no field %s", describe(v), name)
	}
	return f.Field(name)
}

func access(v any, a *Node, env Env) (any, error) {
	switch a.Kind {
	case Field:
		return field(v, a.Text)
	case Index:
		i, err := evalInt(a.Args[0], env)
		if err != nil {
			return nil, err
		}
		if x, ok := v.(Indexer); ok {
			return x.Index(int(i))
		}
		switch v := plain(v).(type) {
		case []any:
			if i >= 0 && i < int64(len(v)) {
				return v[i], nil
			}
			return nil, fmt.Errorf("element %d of %d", i, len(v))
		case []byte:
			if i >= 0 && i < int64(len(v)) {
				return int64(v[i]), nil
			}
			return nil, fmt.Errorf("byte %d of %d", i, len(v))
		}
		return nil, fmt.Errorf("%s has no elements", describe(v))
	case Slice:
		data, err := ToBytes(v)
		if err != nil {
			return nil, err
		}
		from, to := int64(0), int64(len(data))
		if a.Args[0] != nil {
			if from, err = evalInt(a.Args[0], env); err != nil {
				return nil, err
			}
		}
		if a.Args[1] != nil {
			if to, err = evalInt(a.Args[1], env); err != nil {
				return nil, err
			}
		}
		if from < 0 || to > int64(len(data)) || from > to {
			return nil, fmt.Errorf("bytes %d to %d of %d", from, to, len(data))
		}
		return data[from:to:to], nil
	}
	return nil, fmt.Errorf("a %s is not an accessor", a.Kind)
}

func concat(args []any) ([]byte, error) {
	out := []byte{}
	for _, a := range args {
		if i, ok := toInt(a); ok {
			if i < 0 || i > 255 {
				return nil, fmt.Errorf("%d is not a byte", i)
			}
			out = append(out, byte(i))
			continue
		}
		b, err := ToBytes(a)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int16:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint64:
		return int64(v), true
	case uint:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint8:
		return int64(v), true
	case uintptr:
		return int64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func plain(v any) any {
	for range 4 { // an object may stand for an object, not for itself
		p, ok := v.(Plainer)
		if !ok {
			break
		}
		v = p.Plain()
	}
	return v
}

func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return "text " + strconv.Quote(v)
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case []any:
		return "a list"
	case *StructValue:
		return "a struct"
	case Tuple:
		return "a tuple"
	case Comparison:
		return "a comparison"
	case Empty:
		return "empty"
	case Any:
		return "any"
	}
	if i, ok := toInt(v); ok {
		return fmt.Sprintf("number %d", i)
	}
	return fmt.Sprintf("%T", v)
}

// ToInt returns the integer v is or stands for.
func ToInt(v any) (int64, error) {
	if a, ok := v.(Addresser); ok {
		if addr, ok := a.Address(); ok {
			return addr, nil
		}
	}
	if i, ok := toInt(plain(v)); ok {
		return i, nil
	}
	return 0, fmt.Errorf("%s is not a number", describe(v))
}

// ToText returns the text v is or stands for; numbers are written in decimal.
func ToText(v any) (string, error) {
	p := plain(v)
	switch p := p.(type) {
	case string:
		return p, nil
	case []byte:
		return string(p), nil
	}
	if i, ok := toInt(p); ok {
		return strconv.FormatInt(i, 10), nil
	}
	return "", fmt.Errorf("%s is not text", describe(v))
}

// ToBytes returns the bytes v is or stands for. A string has no NUL appended.
func ToBytes(v any) ([]byte, error) {
	switch p := plain(v).(type) {
	case string:
		return []byte(p), nil
	case []byte:
		return p, nil
	}
	return nil, fmt.Errorf("%s is not bytes", describe(v))
}
