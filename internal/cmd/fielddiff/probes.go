// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// excluded are fields that are not compared in filters: sysdig aborts, looks up names,
// counts how often it was asked (util.cnt), compares with the event that passed before
// (evt.deltatime), or applies the filter before the event changes the state, so that it
// sees the values before.
var excluded = regexp.MustCompile(`^util\.cnt$|^evt\.deltatime|^evt\.buflen|^fd\.[cslr]ip\.name$|^evt\.buffer$|^evt\.hostname$|^(proc|thread)\.vm(size|rss|swap)|^thread\.pf`)

// plain matches constants that need no quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:+-]{1,60}$`)

// filterTexts returns filters that were not tried with captures before: each operator on
// each field, with values that the capture has, and the language.
func (c *comparison) filterTexts() ([]string, error) {
	const tries = 3 // captures with which the language is tried
	var texts []string
	for _, text := range language {
		if c.first(text, tries) {
			texts = append(texts, text)
		}
	}
	var refs []*field.Ref
	for _, name := range slices.Sorted(maps.Keys(field.All())) {
		f := field.All()[name]
		if !inReference(name) || excluded.MatchString(name) || len(f.Words) > 0 {
			continue
		}
		names := []string{name}
		for _, arg := range arguments[name] {
			names = append(names, name+arg)
		}
		for _, text := range names {
			if ref, n, err := field.Parse(text); err == nil && n == len(text) {
				refs = append(refs, &ref)
			}
		}
	}
	values := make([][]string, len(refs)) // up to two of each
	v := make([]field.Value, len(refs))
	err := c.each(func(ev *sinsp.Event) {
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
			if text := string(one.AppendText(nil, ref.Type, event.FormatNA)); plain.MatchString(text) && !slices.Contains(values[i], text) {
				values[i] = append(values[i], text)
			}
		}
	})
	for i, ref := range refs {
		if ref.Many != field.Ends { // of which sysdig says that they exist for every descriptor
			if exists := ref.Text + " exists"; c.first(exists, 1) {
				texts = append(texts, exists)
			}
		}
		if len(values[i]) == 0 || !c.first(ref.Text, 1) {
			continue
		}
		for j, value := range values[i] {
			texts = append(texts, operators(ref, value, j == 0)...)
		}
	}
	return texts, err
}

// operators returns filters with each operator that a type has.
func operators(ref *field.Ref, value string, all bool) (texts []string) {
	add := func(format string, args ...any) { texts = append(texts, ref.Text+" "+fmt.Sprintf(format, args...)) }
	if ref.Many == field.List {
		add("in (%s)", value)
		add("intersects (%s, zzz)", value)
		return texts
	}
	switch ref.Type {
	case field.Net:
		add("= %s/24", strings.TrimSuffix(value, "\n"))
		add("!= 10.0.0.0/8")
		return texts
	case field.Host, field.Opaque, field.Double, field.Bytes:
		return nil
	}
	add("= %s", value)
	if !all {
		return texts
	}
	add("!= %s", value)
	switch {
	case ref.Name == "evt.type" || ref.Name == "syscall.type":
		// sysdig takes the names of events only, for every operator.
		add("in (%s, close)", value)
	case ref.Type == field.String:
		half := value[:(len(value)+1)/2]
		add("contains %s", half)
		add("icontains %s", strings.ToUpper(half))
		add("startswith %s", half)
		add("endswith %s", value[len(value)/2:])
		add("in (%s, zzz)", value)
		add("glob *%s*", half)
		add("pmatch (%s, /etc)", value)
	case ref.Type.Numeric():
		add("> %s", value)
		add("<= %s", value)
	}
	return texts
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
