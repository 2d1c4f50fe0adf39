// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/tables"
)

const (
	sinspPath = "github.com/scaplab/scaplab/sinsp"
	procPath  = "github.com/scaplab/scaplab/scap/proc"
)

// reducerGo are the Go types of reducer arguments; capitalized ones are of package
// event. Values of a flag set are uint32.
var reducerGo = map[string]string{
	"fd": "FD", "pid": "PID", "uid": "UID", "gid": "GID", "u8": "uint8", "u32": "uint32", "u64": "uint64", "s64": "int64",
	"path": "[]byte", "text": "[]byte", "bytes": "[]byte", "tuple": "SockTuple", "addr": "SockAddr", "dyn": "Dyn", "fd_type": "FDType",
}

func reducerType(typ string) string {
	if t, ok := reducerGo[typ]; ok {
		return t
	}
	return "uint32"
}

// goTypeCode returns the code for a type named by goType or reducerType.
func goTypeCode(name string) *jen.Statement {
	switch {
	case name == "FDType":
		return jen.Qual(procPath, name)
	case name[0] >= 'A' && name[0] <= 'Z':
		return jen.Qual(eventPath, name)
	}
	return jen.Op(name)
}

// typed returns the events that have a Go struct: those that a driver makes and those
// that change state.
func (m *model) typed() []*event {
	var out []*event
	for _, e := range m.events {
		if e.From != "" || e.State != nil && e.State.None == "" {
			out = append(out, e)
		}
	}
	return out
}

// reducers makes sinsp/reduce_gen.go: the interface with a method for each reducer,
// and for each type of event the function that calls a method with its values.
func (m *model) reducers(files map[string][]byte) error {
	var manual, stateful []*event
	for _, e := range m.typed() {
		switch {
		case e.State == nil || e.State.None != "":
		case e.State.Manual:
			manual = append(manual, e)
			stateful = append(stateful, e)
		default:
			stateful = append(stateful, e)
		}
	}
	f := goFile(sinspPath, "sinsp")
	f.ImportName(eventPath, "event")
	f.ImportName(procPath, "proc")
	f.Comment("Reducers has a method for each change of state that events cause. It gets the")
	f.Comment("event and the values of its params; bytes are views of the event.")
	f.Type().Id("Reducers").InterfaceFunc(func(g *jen.Group) {
		for _, r := range m.table.Reducers {
			g.Comment(fmt.Sprintf("%s: %s.", goName(r.Name), r.Doc))
			g.Id(goName(r.Name)).Add(reducerParams(r, true))
		}
		for _, e := range manual {
			g.Comment(fmt.Sprintf("%s handles the event %s.", goName(e.Name), e.Symbol))
			g.Id(goName(e.Name)).Add(manualParams(e, true))
		}
	})
	f.Line()
	f.Comment("Ignore implements [Reducers] and does nothing: embed it to handle some.")
	f.Type().Id("Ignore").Struct()
	f.Line()
	f.Var().Id("_").Id("Reducers").Op("=").Id("Ignore").Values()
	for _, r := range m.table.Reducers {
		f.Func().Params(jen.Id("Ignore")).Id(goName(r.Name)).Add(reducerParams(r, false)).Block()
	}
	for _, e := range manual {
		f.Func().Params(jen.Id("Ignore")).Id(goName(e.Name)).Add(manualParams(e, false)).Block()
	}
	f.Line()
	f.Comment("reductions has how the events of each type change the state.")
	f.Var().Id("reductions").Op("=").Map(jen.Qual(eventPath, "Type")).Id("reduction").Values(jen.DictFunc(func(d jen.Dict) {
		for _, e := range stateful {
			name := goName(e.Symbol)
			d[jen.Qual(eventPath, "Type"+name)] = jen.Values(jen.Id("reduce"+name), jen.Lit(methodOf(e)), argParams(e))
		}
	}))
	for _, e := range stateful {
		f.Line()
		f.Add(m.reduceFunc(e))
	}
	var err error
	files["sinsp/reduce_gen.go"], err = render(f)
	return err
}

// methodOf returns the name of the method that an event is passed to.
func methodOf(e *event) string {
	if e.State.Manual {
		return goName(e.Name)
	}
	return goName(e.State.Reducer.Name)
}

// argParams returns which params of an event are the arguments of its method, -1 for
// constants; nil for a method that gets the whole event.
func argParams(e *event) jen.Code {
	if e.State.Manual {
		return jen.Nil()
	}
	return jen.Index().Int8().ValuesFunc(func(g *jen.Group) {
		for _, a := range e.State.Args {
			g.Lit(max(a.Param, -1))
		}
	})
}

// reducerParams returns the parameters of a reducer's method.
func reducerParams(r *tables.Reducer, names bool) jen.Code {
	list := []jen.Code{jen.Id("ev").Op("*").Qual(eventPath, "Event")}
	if !names {
		list = []jen.Code{jen.Op("*").Qual(eventPath, "Event")}
	}
	for _, a := range r.Args {
		typ := goTypeCode(reducerType(a.Type))
		if names {
			typ = jen.Id(argName(a.Name)).Add(typ)
		}
		list = append(list, typ)
	}
	return jen.Params(list...)
}

func manualParams(e *event, names bool) jen.Code {
	ev, d := jen.Op("*").Qual(eventPath, "Event"), jen.Qual(eventPath, goName(e.Symbol))
	if !names {
		return jen.Params(ev, d)
	}
	return jen.Params(jen.Id("ev").Add(ev), jen.Id("d").Add(d))
}

// argName returns the Go name of a reducer argument.
func argName(name string) string {
	switch name {
	case "type":
		return "typ"
	case "ev":
		return "event"
	}
	first, rest, _ := strings.Cut(name, "_")
	return first + goName(rest)
}

// reduceFunc returns the function that reads what the method of a type of event needs, and
// calls it. Methods of a manual state get the whole event.
func (m *model) reduceFunc(e *event) jen.Code {
	name := goName(e.Symbol)
	fails := e.Dir == "exit" && e.Source == "syscall" && !(e.State.Reducer != nil && e.State.Reducer.Any) && len(e.Params) > 0 && m.table.Types.Type(e.Params[0].Type).Signed()
	return jen.Func().Id("reduce"+name).Params(jen.Id("r").Id("Reducers"), jen.Id("ev").Op("*").Qual(eventPath, "Event")).Error().BlockFunc(func(g *jen.Group) {
		if e.State.Manual {
			g.Var().Id("d").Qual(eventPath, name)
			bad := jen.Err().Op("!=").Nil()
			if fails {
				bad.Op("||").Id("d").Dot(fieldName(e.Params[0].Name)).Op("<").Lit(0)
			}
			g.If(jen.Err().Op(":=").Id("d").Dot("Decode").Call(jen.Id("ev")), bad).Block(jen.Return(jen.Err()))
			g.Id("r").Dot(goName(e.Name)).Call(jen.Id("ev"), jen.Id("d"))
			g.Return(jen.Nil())
			return
		}
		g.Id("p").Op(":=").Id("params").Values(jen.Dict{jen.Id("ev"): jen.Id("ev")})
		first := m.readParam(e, 0)
		if fails {
			g.Id("result").Op(":=").Add(first)
			g.If(jen.Id("result").Op("<").Lit(0).Op("||").Id("p").Dot("bad")).Block(jen.Return(jen.Id("p").Dot("err").Call()))
			first = jen.Id("result")
		}
		args := []jen.Code{jen.Id("ev")}
		for i, a := range e.State.Args {
			want := reducerType(e.State.Reducer.Args[i].Type)
			if a.Param < 0 {
				args = append(args, constArg(want, a.Value))
				continue
			}
			value := first
			if a.Param > 0 {
				value = m.readParam(e, a.Param)
			}
			if w, _ := m.wire(e.Params[a.Param].Type); w.goT != want {
				value = goTypeCode(want).Call(value)
			}
			id := argName(e.State.Reducer.Args[i].Name)
			g.Id(id).Op(":=").Add(value)
			args = append(args, jen.Id(id))
		}
		g.If(jen.Id("p").Dot("bad")).Block(jen.Return(jen.Qual(eventPath, "ErrCorrupt")))
		g.Id("r").Dot(goName(e.State.Reducer.Name)).Call(args...)
		g.Return(jen.Nil())
	})
}

// readParam returns the call of params that reads the i-th param of an event.
func (m *model) readParam(e *event, i int) *jen.Statement {
	p := e.Params[i]
	w, _ := m.wire(p.Type)
	method := "bytes"
	switch {
	case m.isString(p.Type):
		method = "str"
	case w.c != "":
		method = w.goT
	}
	return jen.Id("p").Dot(method).Call(jen.Lit(i))
}

// constArg returns a constant as an argument of a Go type.
func constArg(typ string, v int64) jen.Code {
	switch typ {
	case "[]byte", "SockTuple", "SockAddr", "Dyn":
		return jen.Nil()
	case "FDType":
		return jen.Qual(procPath, typ).Call(jen.Lit(int(v)))
	}
	return jen.Lit(int(v))
}
