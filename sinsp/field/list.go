// SPDX-License-Identifier: Apache-2.0

package field

import (
	"bytes"
	"fmt"
	"strings"
)

// Description describes a field to users.
type Description struct {
	Name   string   `json:"name"`
	Class  string   `json:"class"`
	Type   string   `json:"type"`
	Syntax string   `json:"syntax"`          // how filters and formats write it
	Many   string   `json:"many,omitempty"`  // what several values mean in a filter
	Notes  []string `json:"notes,omitempty"` // restrictions
	Desc   string   `json:"desc"`
}

var manyNames = [...]string{One: "", List: "list", Any: "any", Ends: "ends"}

var flagNotes = []struct {
	flag Flags
	note string
}{
	{FilterOnly, "filters only"}, {NoCompare, "no val()"}, {NoTransform, "no transformers"}, {Hidden, "rarely used"}, {Deprecated, "deprecated"},
}

// Describe returns what lists of fields say about f, of class c.
func (c *Class) Describe(f *Field) Description {
	d := Description{Name: f.Name, Class: c.Name, Type: f.Type.String(), Syntax: f.Syntax(), Many: manyNames[f.Many], Desc: f.Desc}
	for _, n := range flagNotes {
		if f.Flags&n.flag != 0 {
			d.Notes = append(d.Notes, n.note)
		}
	}
	return d
}

// Page returns docs/fields.md, which describes all fields.
func Page() []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	for _, c := range Classes() {
		fmt.Fprintf(&b, "\n## %s\n\nAbout %s.\n\n| field | type | value |\n|---|---|---|\n", c.Name, c.Desc)
		for i := range c.Fields {
			d := c.Describe(&c.Fields[i])
			typ := d.Type
			if d.Many != "" {
				typ += ", " + d.Many
			}
			fmt.Fprintf(&b, "| %s | %s | %s", cell(strings.ReplaceAll(d.Syntax, " or ", "`, `"), "`"), typ, cell(d.Desc, ""))
			if len(d.Notes) > 0 {
				fmt.Fprintf(&b, " (%s)", strings.Join(d.Notes, ", "))
			}
			b.WriteString(" |\n")
		}
	}
	b.WriteString(pageTail)
	return b.Bytes()
}

func cell(text, quote string) string {
	if quote == "" {
		text = strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(text)
	}
	return quote + text + quote
}

const pageHead = `<!-- Written by "go test -run TestThePageIsFresh ./sinsp/field -update" from the fields' declarations. -->
# Fields

What filters and formats can ask of an event. ` + "`scap fields`" + ` prints the same list, ` + "`scap fields --json`" + ` for programs.

A field that an event has no value of is missing: every comparison with it is false, formats print ` + "`<NA>`" + ` or leave out the line.

Types: a *string* is compared byte by byte, *bytes* too; an *int* has a sign, a *uint* has none; a *port* may be written as the name of a
service; a *reltime* and an *abstime* are in ns; an *ip network* holds for the addresses in it; a *host* is a name that the
filter resolves; an *opaque* value exists or not; *dynamic* is the type of the param.

A field with several values is a *list* (` + "`in`" + ` asks for all elements, ` + "`intersects`" + ` for one), or holds if *any* value does, or looks at both
*ends* of a connection (` + "`!=`" + ` asks that both differ).
`

const pageTail = `
## Differences from the reference

| field | here | in the reference |
|---|---|---|
| evt.deltatime | since the event before in the source | since the event for which the same field was asked before |
| evt.latency, evt.wait_latency | measured if the source has enter events | always 0 |
| evt.arg[N], evt.buffer | as long as they are | a filter sees at most 80 bytes of a buffer as text |
| evt.res | the name of the error, of all calls | its number, of clone |
| evt.rawarg | missing for a param without a value | 0 in formats |
| evt.args | unsigned numbers have no sign | they have one |
| evt.type | syscall(NUMBER), the number on the captured machine, for a generic event without a code | the name of the native number on the reader's machine |
| evt.outputtime | option d is the latency, fractions have 9 digits | option d is 0, option a does not pad fractions |
| proc.ppid | process id of the parent | its thread id |
| proc.env[123] | the variable 123 | the whole environment |
| proc.aname and others without [N], in formats | all ancestors | missing |
| proc.exe_ino.ctime_duration_* | missing if the times are in the other order | a number that wrapped |
| proc.exeline | ends with the last argument | has a blank after it if there are no arguments |
| proc.is_sid_leader and others | false if the ids are not known | true |
| fd.connected | false until a connection that takes time is made | true |
| fd.is_server | false for a new IPv6 socket | true |
| fd.num | of pipe the end that reads | the end that writes |
| fd.directory, fd.filename | missing for a file that is not known | / |
| fd.types | in the order of the descriptors | in no order |
| fd.cip.name and others, in formats | missing: nobody is asked about the addresses of a capture | the name, if the host that reads the capture has found one |
| fdlist.cports | ports of clients | of servers, too, for descriptors that have no client |
| fs.path.* | all calls that take paths; paths below the descriptor of a directory are absolute | a fixed list of calls, opens also if they fail; such paths are joined with the working directory |
| container.*, k8s.* | built in; from the container events of a capture | a plugin |
`
