// SPDX-License-Identifier: Apache-2.0

package htmlreport

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// packed is what the page's script reads: every verdict, by call and case. The same text comes many times (a
// value wanted and got, on four kernels, by two drivers), so that text is an index in Strings, and a list of
// params one in Params. Strings[0] is "" and Params[0] is empty: 0 means that there is none.
type packed struct {
	Columns []column `json:"columns"`
	Classes []string `json:"classes"`
	Strings []string `json:"strings"`
	Params  [][]int  `json:"params"`
	Calls   []call   `json:"calls"`
}

// column is a kernel and the driver, or the pair of drivers, that captured on it.
type column struct {
	Kernel string `json:"kernel"`
	Arch   string `json:"arch,omitempty"` // if the report has several
	Driver string `json:"driver"`
}

type call struct {
	Name      string      `json:"name"`
	Class     int         `json:"class"`
	Signature string      `json:"signature,omitempty"`
	Cases     []*caseData `json:"cases"`
}

type caseData struct {
	Name     string  `json:"name"`
	Place    int     `json:"place"`
	Text     int     `json:"text"` // the case as the table has it, a line each
	Suite    int     `json:"suite,omitempty"`
	Verdicts [][]int `json:"verdicts"`
}

// Elements of a verdict. Zeros at the end are left out.
const (
	atColumn = iota
	atStatus // index in statuses
	atClass
	atReason
	atParams // index in Params
	atRepro  // with cellMark in place of the cell's name
	atRet
	atMilliseconds
	atEvents // a driver's name in a line, each event in an indented line below it
	atConsole
	atConformance
	atMissed
	verdictLen
)

var statuses = []judge.Status{judge.Pass, judge.Fail, judge.Skip}

// cellMark stands for the name of the cell in its repro line. It is no byte of an argument.
const cellMark = "\x00"

// Params are five numbers each: name, wanted, got, one of these, and the table's text that lists the difference.
const (
	paramOK = iota
	paramWrong
)

// packer collects results.
type packer struct {
	out     packed
	strings map[string]int
	params  map[string]int
	columns map[column]int
	calls   map[string]*call
	order   []*call
	cases   map[string]*caseData
	arches  bool // the report has several
}

func pack(rep *vmtest.Report) *packed {
	p := &packer{
		out:     packed{Columns: []column{}, Classes: []string{}, Strings: []string{""}, Params: [][]int{{}}, Calls: []call{}},
		strings: map[string]int{"": 0}, params: map[string]int{"": 0}, columns: map[column]int{},
		calls: map[string]*call{}, cases: map[string]*caseData{},
	}
	for i := range rep.Results {
		p.arches = p.arches || rep.Results[i].Arch != rep.Results[0].Arch
	}
	p.addColumns(rep)
	for i := range rep.Results {
		p.add(&rep.Results[i])
	}
	unknown := slices.Index(p.out.Classes, noClass)
	slices.SortStableFunc(p.order, func(a, b *call) int { // those that the table has come first
		switch {
		case a.Class == b.Class || a.Class != unknown && b.Class != unknown:
			return 0
		case a.Class == unknown:
			return 1
		}
		return -1
	})
	for _, c := range p.order {
		p.out.Calls = append(p.out.Calls, *c)
	}
	return &p.out
}

// addColumns orders the columns by kernel, architecture and driver.
func (p *packer) addColumns(rep *vmtest.Report) {
	place := func(x *vmtest.Result) [2]int {
		return [2]int{slices.Index(rep.Kernels, x.Kernel), slices.Index(rep.Drivers, x.Drivers)}
	}
	first := map[column]*vmtest.Result{}
	for i := range rep.Results {
		x := &rep.Results[i]
		if c := p.column(x); first[c] == nil {
			first[c] = x
			p.out.Columns = append(p.out.Columns, c)
		}
	}
	slices.SortStableFunc(p.out.Columns, func(a, b column) int {
		x, y := place(first[a]), place(first[b])
		return cmp.Or(x[0]-y[0], strings.Compare(a.Arch, b.Arch), x[1]-y[1])
	})
	for i, c := range p.out.Columns {
		p.columns[c] = i
	}
}

func (p *packer) column(x *vmtest.Result) column {
	c := column{Kernel: x.Kernel, Driver: x.Drivers.String()}
	if p.arches {
		c.Arch = x.Arch
	}
	return c
}

// text returns the index of a text.
func (p *packer) text(s string) int {
	i, ok := p.strings[s]
	if !ok {
		i = len(p.out.Strings)
		p.strings[s] = i
		p.out.Strings = append(p.out.Strings, s)
	}
	return i
}

func (p *packer) add(x *vmtest.Result) {
	id := x.Syscall + "/" + x.Case
	c := p.cases[id]
	if c == nil {
		c = &caseData{Name: x.Case, Place: p.text(x.Place), Text: p.text(caseText(id)), Suite: p.text(x.Suite)}
		p.cases[id] = c
		of := p.callOf(x)
		of.Cases = append(of.Cases, c)
	}
	v := make([]int, verdictLen)
	v[atColumn] = p.columns[p.column(x)]
	v[atStatus] = slices.Index(statuses, x.Status)
	v[atClass] = p.text(x.Class)
	v[atReason] = p.text(x.Reason)
	v[atParams] = p.paramList(x.Params)
	v[atRepro] = p.text(strings.Replace(x.Repro, x.Cell(), cellMark, 1))
	if x.Ret != nil {
		v[atRet] = p.text(fmt.Sprint(*x.Ret))
	}
	v[atMilliseconds] = int(math.Round(x.Seconds * 1000))
	v[atEvents] = p.text(eventsText(x.Events))
	v[atConsole] = p.text(x.Console)
	v[atMissed] = p.text(x.Missed)
	v[atConformance] = p.text(string(x.Conformance))
	end := verdictLen
	for v[end-1] == 0 && end > 1 {
		end--
	}
	c.Verdicts = append(c.Verdicts, v[:end])
}

// callOf returns the call of a result. Its class is the name of its file in the table.
func (p *packer) callOf(x *vmtest.Result) *call {
	if c := p.calls[x.Syscall]; c != nil {
		return c
	}
	c := &call{Name: x.Syscall}
	class := className(x)
	if c.Class = slices.Index(p.out.Classes, class); c.Class < 0 {
		c.Class = len(p.out.Classes)
		p.out.Classes = append(p.out.Classes, class)
	}
	if sc := guest.FindSyscall(x.Syscall); sc != nil {
		var params []string
		for _, q := range sc.Params {
			params = append(params, strings.TrimSpace(q.Type+" "+q.Name))
		}
		c.Signature = strings.ReplaceAll(sc.Name+"("+strings.Join(params, ", ")+")", "* ", "*")
	}
	p.calls[x.Syscall] = c
	p.order = append(p.order, c)
	return c
}

// noClass is the class of calls that the table does not have, such as one that it had when the report was written.
const noClass = "not in the table"

// className returns the class of a result's call: the table has a file for each class.
func className(x *vmtest.Result) string {
	place := x.Place
	if sc := guest.FindSyscall(x.Syscall); place == "" && sc != nil {
		place = sc.Place(nil)
	}
	file, _, _ := strings.Cut(path.Base(place), ".yaml")
	if place == "" {
		return noClass
	}
	return file
}

func (p *packer) paramList(list []judge.Param) int {
	numbers := make([]int, 0, 5*len(list))
	for _, q := range list {
		ok := paramOK
		if !q.OK {
			ok = paramWrong
		}
		numbers = append(numbers, p.text(q.Name), p.text(q.Want), p.text(q.Got), ok, p.text(q.Differs))
	}
	key := ""
	if len(list) > 0 {
		key = fmt.Sprint(numbers)
	}
	i, ok := p.params[key]
	if !ok {
		i = len(p.out.Params)
		p.params[key] = i
		p.out.Params = append(p.out.Params, numbers)
	}
	return i
}

func eventsText(all []vmtest.DriverEvents) string {
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintf(&b, "%s\n", e.Driver)
		for _, line := range e.Text {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
	}
	return b.String()
}

// caseText returns a case as the table has it today, or "" if it has none of that name.
func caseText(id string) string {
	sc, c := guest.Find(id)
	if sc == nil {
		return ""
	}
	var b strings.Builder
	section := func(name string, list []guest.Binding) {
		for _, x := range list {
			fmt.Fprintf(&b, "%s\t%s: %s\n", name, x.Name, x.Expr)
		}
	}
	section("given", c.Given)
	fmt.Fprintf(&b, "call\t%s\n", c.Call)
	section("after", c.After)
	section("want", c.Want)
	section("child", c.Child)
	if c.NoEvent != "" {
		fmt.Fprintf(&b, "no event\t%s\n", c.NoEvent)
	}
	return b.String()
}

// encode returns the data as text for the page: JSON in gzip in base64.
func (d *packed) encode() (string, error) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if err := json.NewEncoder(zip).Encode(d); err != nil {
		return "", err
	}
	if err := zip.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}
