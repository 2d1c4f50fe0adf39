// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Page returns docs/filters.md, which describes the language.
func Page() []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	_, err := Compile(mistaken)
	fmt.Fprintf(&b, "    $ scap read -r trace.scap '%s'\n    %s\n", mistaken, strings.ReplaceAll(err.Error(), "\n", "\n    "))

	b.WriteString("\n## Examples\n\n| filter | events that it selects |\n|---|---|\n")
	for _, e := range examples {
		fmt.Fprintf(&b, "| %s | %s |\n", code(e.text), e.desc)
	}

	fmt.Fprintf(&b, "\n## Grammar\n\n```\n%s\n```\n%s", strings.TrimSpace(grammar), pageGrammar)

	b.WriteString("\n## Operators\n\n| operator | for fields of type | holds if the value |\n|---|---|---|\n")
	for i := range operators {
		o := &operators[i]
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(o.text), typesOf(o), o.desc)
	}
	b.WriteString(pageOperators)

	b.WriteString("\n## Constants\n\n| type of the field | constant |\n|---|---|\n")
	for _, c := range constantForms {
		fmt.Fprintf(&b, "| %s | %s |\n", c.types, c.desc)
	}
	b.WriteString(pageConstants)

	b.WriteString("\n## Transformers\n\n| transformer | value |\n|---|---|\n")
	for i := range transformers {
		t := &transformers[i]
		fmt.Fprintf(&b, "| %s | %s |\n", code(t.name+"("+t.args+")"), t.desc)
	}
	b.WriteString(pageTransformers)

	b.WriteString(pageDifferences)
	for _, d := range differences {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", d.subject, d.reference, d.here)
	}
	return b.Bytes()
}

func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

// typesOf names the types of an operator.
func typesOf(o *operator) string {
	switch {
	case len(o.types) == len(all):
		return "all"
	case len(o.types) == len(comparable):
		return "all but opaque"
	case slices.Equal(o.types, numbers):
		return "numbers, ports, times"
	}
	names := make([]string, len(o.types))
	for i, t := range o.types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// mistaken shows what errors look like.
const mistaken = "proc.nmae = cat and fd.num = x"

// examples are compiled by a test.
var examples = []struct{ text, desc string }{
	{"evt.type = openat", "`openat`, of all processes"},
	{"proc.name = cat and fd.name startswith /etc", "`cat` does something with a file in /etc"},
	{"evt.type in (open, openat, openat2) and evt.failed = true", "a file could not be opened"},
	{`proc.name != cat and not proc.name in ("my tool", vi)`, "of other processes than these; those without a name are left out by `!=`"},
	{"fd.name pmatch (/etc, /home/*/.ssh)", "on /etc, on the .ssh of a home, or on something below them"},
	{"fd.name glob *.conf or fd.name regex \".*/\\\\.[a-z]+\"", "on names with these patterns"},
	{"fd.sport = https and fd.snet = 10.0.0.0/8", "on a connection to port 443 of a server in the network"},
	{"fd.ip in (10.0.0.1, ::1)", "on a connection from or to one of the addresses"},
	{"proc.aname = sshd", "of a process with sshd among its ancestors"},
	{"proc.aname[2] = sshd and proc.env[HOME] = /root", "of a grandchild of sshd with this variable in its environment"},
	{"evt.arg.flags contains O_TMPFILE", "with this flag"},
	{"evt.rawarg.res < 0 and evt.rawarg.mode = 0x1ff", "by the number of a param"},
	{`evt.buffer contains "\x7fELF"`, "a program is read or written"},
	{"evt.latency > 10ms", "of a call that took longer"},
	{"proc.pname = val(proc.name)", "of a process with the name of its parent"},
	{"basename(proc.exepath) != val(proc.name)", "of a process that runs a file of another name"},
	{"proc.cmdline contains anyof (passwd, shadow)", "of a process with one of the words in its command line"},
}

const grammar = `
filter      = term { "or" term }
term        = factor { "and" factor }
factor      = { "not" } ( "(" filter ")" | check )
check       = value "exists"
            | value operator ( constant | other )
            | value operator ( "anyof" | "allof" | "oneof" ) list
            | value ( "in" | "intersects" | "pmatch" ) ( list | other )
value       = field | transformer
other       = "val(" field ")" | transformer
transformer = name "(" argument { "," argument } ")" [ "[" option "]" ]
argument    = field | transformer | quoted | number | "(" [ argument { "," argument } ] ")"
field       = name "." name { "." name } [ "[" key "]" ]
list        = "(" [ constant { "," constant } ] ")"
constant    = quoted | characters other than blanks and ( ) " ' = ,
quoted      = '"' { character | escape } '"' | "'" { character | escape } "'"
escape      = \b | \f | \n | \r | \t | \\ | \/ | \xHH | a backslash and the quote
`

var constantForms = []struct{ types, desc string }{
	{"string, bytes", "a text; for `bcontains` and `bstartswith` bytes in hexadecimal, such as `7f454c46`"},
	{"int, uint", "a number, decimal or hexadecimal (`0x2a`)"},
	{"double", "a number, such as `1.5`"},
	{"bool", "`true` or `false`"},
	{"port", "a number, or the name of a service, such as `https`"},
	{"reltime, abstime", "ns, or a number with a unit: `ns`, `us`, `ms`, `s`, `m`, `h`"},
	{"ip address", "an IPv4 or IPv6 address"},
	{"ip network", "a network, such as `10.0.0.0/8` or `fe80::/10`"},
	{"host", "a name, which is resolved when the filter is compiled"},
}

// differences from the reference (libs 0.23.2 as sysdig has it, and the manual).
var differences = []struct{ subject, reference, here string }{
	{"numbers in hexadecimal, `double` with decimals, times with units", "errors, although the grammar has them (times: no units)", "are read"},
	{"numbers out of range (65536 for a port), negative ones for unsigned fields", "wrap around without a word", "errors"},
	{"`anyof`, `allof`, `oneof`, `concat`, `join`, `getopt`, `\\xHH`", "errors; newer releases of its library have them", "as in those releases"},
	{"strings longer than 255 bytes", "errors", "are compared"},
	{"`in`, `intersects` on `fd.ip`, `proc.apid` and numbers of `evt.rawarg`", "never hold", "hold if an element is equal"},
	{"`fd.net in (a, b)`", "looks at the first network", "looks at all"},
	{"`intersects` on `fd.net`, and on `fd.port` and `fd.proto`", "never holds; an error", "holds if one of the ends is an element"},
	{"other operators than `=`, `!=`, `in` on `fd.ip` and `fd.net`", "an error at run time", "an error of the filter"},
	{"`evt.type glob open*` and other patterns", "an error: the constant is not an event", "patterns are free; `=`, `!=`, `in` need an event that exists"},
	{"`evt.rawarg` of a user or group id", "only `exists`", "a number"},
	{"a wrong regular expression", "is logged, and never matches", "an error of the filter"},
	{"`evt.buflen` in a filter on a file", "ends sysdig", "is missing where there is no buffer"},
	{"numbers of different widths on both sides of a comparison", "an error", "are compared; a time and a time span are not"},
	{"`evt.deltatime`", "since the event before for which this use of the field was evaluated", "since the event before"},
	{"a filter with several mistakes", "the first is reported", "all are reported, with the place and what would be right"},
	{"`fd.sip.name = host`", "is resolved by a thread, and at first never holds", "is resolved when the filter is compiled"},
	{"a pattern that ends in a backslash, or with an unknown class such as `[[:foo:]]`", "never matches", "an error of the filter"},
	{"`<` and the like on texts", "accept a number, and compare it as text", "an error of the filter"},
	{"an IPv4 address as IPv6 one, such as `::ffff:10.0.0.1`", "an error", "the IPv4 address"},
	{"`%len(proc.name)` in a format", "`<NA>`", "the number"},
	{"`%proc.namex`, `%evt.type.is.openx` in a format", "a field and text, or an error that depends on the name", "an error: text may follow a field only if it is not a letter"},
	{"`%%` in a format", "an error", "a percent sign"},
	{"a width in a format", "counts bytes, and cuts characters", "counts characters"},
	{"`%proc.aname` in a format", "the name of the process", "the names of all ancestors, as a list"},
	{"names with control characters, invisible characters, wrong UTF-8", "depends on the form of output and the version", "one rule everywhere: dots in text, escapes in JSON"},
	{"buffers with `-x`, `-X`, `-b`", "are encoded twice", "are encoded once"},
	{"JSON: lists, transformers, `evt.args`", "texts, left out, a text", "arrays, with their text as key, an object"},
	{"JSON: numbers beyond 2^53, such as times", "numbers", "strings: readers with doubles would round them"},
	{"`evt.time`", "local time with the offset of today", "local time with the offset of that day"},
	{"`-t a`", "the fraction has no zeros in front", "nine digits"},
}

const pageHead = `<!-- Written by "go test -run TestThePageIsFresh ./sinsp/filter -update" from the declarations in sinsp/filter. -->
# Filters and formats

A filter selects events by their fields, which [fields.md](fields.md) lists. The language is that of sysdig and falco.

    scap read -r trace.scap 'proc.name = cat and fd.name startswith /etc'

What is wrong with a filter is reported at once, all of it, each with its place:

`

const pageGrammar = `
` + "`not` binds closer than `and`, `and` closer than `or`" + `. Words are written in small letters, with a blank or a parenthesis on both sides. Parentheses,
` + "`not`" + ` and transformers may be nested 1000 levels deep.

A value is missing if it cannot be told: an event without a file has no ` + "`fd.name`" + `. Every comparison with a missing value is false, also ` + "`!=`" + `.
` + "`not`" + ` only inverts, so ` + "`not fd.name = x`" + ` holds for events without a file, ` + "`fd.name != x`" + ` does not.
`

const pageOperators = `
Behind an operator from ` + "`=` to `regex` (not `<` and the like) `anyof (a, b)`" + ` asks that it holds for at least one element of the list, ` + "`allof`" + ` for all,
` + "`oneof`" + ` for exactly one. For an empty list they do not hold.

A field with a list of values has ` + "`in`, `intersects` and `exists`" + `. A field that looks at all ancestors (` + "`proc.aname`" + `) holds if one of them does; one that
looks at both ends of a connection (` + "`fd.ip`" + `) too, but ` + "`!=`" + ` asks that both are different.

With ` + "`val(field)`" + ` or a transformer on the right side two fields are compared with each other. Both must be of one type (int, uint and port count as one).
Networks, hosts, ` + "`pmatch` and `regex`" + ` need constants.
`

const pageConstants = `
Texts are compared as bytes, conditions see the bytes that the event has. In quotes ` + "`\\xHH`" + ` is one byte; without quotes a backslash is a
backslash. So a regular expression in quotes has two of them.
`

const pageTransformers = `
They may be nested. A list is transformed element by element, except by ` + "`len` and `join`" + `. If one of the arguments is missing the value is missing.

## Formats

A format is text with ` + "`%field`" + ` in it. ` + "`%20field`" + ` fills or cuts the value to 20 characters, ` + "`%%`" + ` is a percent sign, a transformer may stand for a
field. An event that lacks one of the fields is not printed, unless the format begins with ` + "`*`" + `: then ` + "`<NA>`" + ` stands for the value.

    scap read -r trace.scap -p '%evt.time %20proc.name %fd.name' evt.type = openat
    scap read -r trace.scap -p '*%proc.name %toupper(proc.pname)' --json

In JSON each field is a key, text is left out, a missing value is null. Numbers and truth values are those of JSON (numbers beyond 2^53 are
strings, since readers with doubles round them), times of day are ns since the Unix epoch.

Names are chosen by others. A dot stands for each byte that is not a visible character: control characters, bytes that are not UTF-8, characters
that turn the direction of text or show nothing. JSON has escapes for them, such as ` + "`\\u202e`" + `, and U+FFFD for a byte that is no UTF-8. ` + "`--raw`" + ` writes
the bytes.
`

const pageDifferences = `
## Differences from the reference

| subject | sysdig 0.41.4, falco | scap |
|---|---|---|
`
