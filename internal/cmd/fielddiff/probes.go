// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// excluded are fields that are not compared in filters: sysdig aborts, looks up names,
// counts how often it was asked (util.cnt), compares with the event that passed before
// (evt.deltatime), or applies the filter before the event changes the state, so that it
// sees the values before.
var excluded = regexp.MustCompile(`^util\.cnt$|^evt\.deltatime|^evt\.buflen|^fd\.[cslr]ip\.name$|^evt\.hostname$|^(proc|thread)\.vm(size|rss|swap)|^thread\.pf`)

// plain matches constants that need no quotes, simple those that need no escapes, word a
// part of a buffer.
var (
	plain  = regexp.MustCompile(`^[A-Za-z0-9_./:+-]{1,60}$`)
	word   = regexp.MustCompile(`[A-Za-z0-9]{2,20}`)
	simple = regexp.MustCompile(`^[A-Za-z0-9_./:+,=@ -]{1,60}$`)
)

// probe is a filter that is tried.
type probe struct {
	text, class string
	pair        pair // what it tries; the zero value: the language
}

// pair is an operator with a kind of fields.
type pair struct{ op, kind string }

func pairOf(op string, typ field.Type, many field.Many) pair {
	kind := typ.String()
	if many == field.List {
		kind = "lists of " + kind
	}
	return pair{op, kind}
}

// pairs has each operator with each kind of fields that sysdig without plugins has.
func pairs() map[pair]bool {
	all := map[pair]bool{}
	for name, f := range field.All() {
		if !inReference(name) || f.Flags&field.Within != 0 || f.Type == field.Dynamic {
			continue
		}
		for _, op := range filter.OperatorsOf(f.Type, f.Many) {
			all[pairOf(op, f.Type, f.Many)] = true
		}
	}
	return all
}

// probes returns filters that were not tried with captures before: each operator on
// each field, with values that the capture has, and the language.
func (c *comparison) probes() (list []probe, err error) {
	const tries = 3 // captures with which the language is tried
	for _, text := range language {
		if c.first(text, tries) {
			list = append(list, probe{text: text, class: "language"})
		}
	}
	var refs []*field.Ref
	for _, name := range slices.Sorted(maps.Keys(field.All())) {
		if !inReference(name) || excluded.MatchString(name) {
			continue
		}
		for _, arg := range append([]string{""}, arguments[name]...) {
			if ref, n, err := field.Parse(name + arg); err == nil && n == len(name+arg) {
				refs = append(refs, &ref)
			}
		}
	}
	values := make([][]string, len(refs)) // up to two of each
	v := make([]field.Value, len(refs))
	err = c.each(func(ev *sinsp.Event) {
		for i, ref := range refs {
			if len(values[i]) == 2 || !ref.Get(ev, &v[i]) {
				continue
			}
			one := &v[i]
			if ref.Many != field.One {
				if len(one.List) == 0 {
					continue
				}
				one = &one.List[0]
			}
			one.Format = event.FormatNA // constants are decimal
			text := string(one.AppendText(nil, ref.Type, event.FormatNA))
			if (simple.MatchString(text) || ref.Type == field.Bytes && word.MatchString(text)) && !slices.Contains(values[i], text) {
				values[i] = append(values[i], text)
			}
		}
	})
	for i, ref := range refs {
		tried := false
		add := func(op, constant string) {
			pair := pairOf(op, ref.Type, ref.Many)
			if c.few && !c.first("the pair "+pair.op+" "+pair.kind, 1) && (tried || op == "exists") {
				return
			}
			tried = tried || op != "exists"
			text := strings.TrimSuffix(ref.Text+" "+op+" "+constant, " ")
			list = append(list, probe{text, classOf(ref.Name), pair})
		}
		if ref.Many != field.Ends && c.first(ref.Text+" exists", 1) { // of ends sysdig says that they exist for every descriptor
			add("exists", "")
		}
		if len(values[i]) == 0 || !c.first(ref.Text, 1) {
			continue
		}
		for _, op := range filter.OperatorsOf(ref.Type, ref.Many) {
			if constant := constant(ref, op, values[i][0]); constant != "" {
				add(op, constant)
			}
		}
		for _, value := range values[i][1:] {
			if constant := constant(ref, "=", value); constant != "" && ref.Many != field.List {
				add("=", constant)
			}
		}
	}
	return list, err
}

// constant returns what an operator compares a field with; empty if it is not tried.
func constant(ref *field.Ref, op, value string) string {
	switch {
	case op == "exists":
		return ""
	case op == "bcontains":
		return hex.EncodeToString([]byte(value[len(value)/2:][:1]))
	case op == "bstartswith":
		return hex.EncodeToString([]byte(value[:min(len(value), 4)]))
	case !simple.MatchString(value):
		value = word.FindString(value)
	case ref.Type == field.Double:
		value, _, _ = strings.Cut(value, ".") // sysdig takes no others
	case ref.Name == "evt.type" || ref.Name == "syscall.type":
		// sysdig takes the names of events only, for every operator.
		switch op {
		case "in":
			return "(" + value + ", close)"
		case "=", "!=":
			return value
		}
		return ""
	case ref.Type == field.Net:
		value += "/24"
	}
	half := value[:(len(value)+1)/2]
	switch op {
	case "contains", "startswith":
		value = half
	case "icontains":
		value = strings.ToUpper(half)
	case "endswith":
		value = value[len(value)/2:]
	case "glob":
		value = "*" + half + "*"
	case "iglob":
		value = "*" + strings.ToUpper(half) + "*"
	case "regex":
		value = ".*" + special.ReplaceAllString(half, ".") + ".*"
	case "in", "intersects", "pmatch":
		other := map[field.Type]string{field.String: ", zzz"}[ref.Type]
		if op == "pmatch" {
			other = ", /etc"
		}
		return "(" + quote(value) + other + ")"
	}
	return quote(value)
}

// special matches what regular expressions and filters may take for more than a letter.
var special = regexp.MustCompile(`[^A-Za-z0-9]`)

func quote(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return `"` + value + `"`
}

// language are filters that try the grammar.
var language = []string{
	"proc.name=cat", "proc.name = cat and evt.type = open", "proc.name = cat or evt.type = open", "not proc.name = cat",
	"not (proc.name = cat and evt.type = open)", "not(proc.name=cat)", "((proc.name=cat))", "not not proc.name = cat",
	"proc.name = cat and not evt.type = open or fd.num = 3", "proc.name = cat and (not evt.type = open or fd.num = 3)",
	"evt.type in (open, read, close)", "evt.type in(open,read)", "not evt.type in (open, read)", "evt.type != open",
	"proc.name = \"cat\"", "proc.name = 'cat'", "proc.name in (\"cat\", 'bash')", "proc.name = \"\"", "fd.name = \"\"",
	"fd.name contains passwd", "fd.name startswith /lib", "fd.name endswith .so.6", "fd.name glob /lib/*", "fd.name glob *.so.?",
	"fd.name regex /lib/.*", "fd.name regex .*libc.*", "fd.name regex libc", "fd.name iglob /LIB/*", "fd.name icontains LIBC",
	"fd.name pmatch (/lib, /etc)", "fd.name pmatch (lib)", "fd.name pmatch (/)", "fd.name pmatch (/lib/x86_64-linux-gnu)",
	"fd.num >= 3", "fd.num > 3", "fd.num < 3", "fd.num <= 3", "fd.num in (3, 4)", "fd.num intersects (3)", "fd.num != 3",
	"evt.rawres < 0", "evt.rawres >= 0", "evt.failed = true", "evt.failed != true", "evt.failed = false", "evt.failed in (true)",
	"tolower(proc.name) = cat", "toupper(proc.name) = CAT", "len(proc.name) = 3", "basename(fd.name) = libc.so.6",
	"toupper(tolower(proc.name)) = CAT", "proc.name = val(proc.name)", "proc.name = val(proc.pname)", "proc.name = tolower(proc.name)",
	"evt.arg.flags contains O_RDONLY", "evt.arg.fd contains libc", "evt.arg.res = ENOENT", "evt.rawarg.res = 0", "evt.rawarg.size > 100",
	"proc.aname = bash", "proc.aname != bash", "proc.aname[1] = bash", "proc.aname in (bash, sshd)", "proc.apid = 1", "proc.aname contains ash",
	"fd.sip = 127.0.0.1", "fd.ip = 127.0.0.1", "fd.port = 80", "fd.port > 80", "fd.sport = 80", "fd.net = 127.0.0.0/8", "fd.snet = 127.0.0.0/8",
	"fd.l4proto = tcp", "fd.types in (file)", "fd.types intersects (file)", "user.name = root or user.uid = 0", "evt.is_open_read = true",
	"evt.is_io_read = true and fd.typechar = f", "evt.category = file", "evt.category in (net, ipc, memory)", "evt.dir = <", "evt.dir = '<'",
	"proc.args contains -", "proc.cmdline startswith cat", "proc.env[HOME] exists", "evt.buffer contains ELF", "evt.buffer bcontains 454c46",
	"evt.buffer bstartswith 7f45", "evt.buffer startswith hello", "evt.num > 150 and evt.num <= 160", "evt.num in (140, 141)",
	"thread.tid > 0", "proc.pid = 1", "proc.ppid exists", "fs.path.name exists", "evt.count = 1", "evt.cpu = 0", "evt.cpu != 0",
}
