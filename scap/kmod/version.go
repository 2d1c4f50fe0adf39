// SPDX-License-Identifier: Apache-2.0

package kmod

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/scap/event"
)

// Version is a version of the module's API or schema.
type Version struct{ Major, Minor, Patch int }

func parseVersion(v uint64) Version {
	return Version{int(v >> 44 & 0x7ffff), int(v >> 24 & 0xfffff), int(v & 0xffffff)}
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// serves reports whether a module of version v serves a client that demands want. The rule is that of libscap: the major
// is the same, and the rest not lower.
func (v Version) serves(want Version) bool {
	return v.Major == want.Major && cmp.Or(cmp.Compare(v.Minor, want.Minor), cmp.Compare(v.Patch, want.Patch)) >= 0
}

// Demand is what a client demands of the module: these versions, or later ones of the same major. A zero Version demands
// nothing. libs 0.20 to 0.23 demands API 8.0.0, libs 0.24 and 0.25 demands 10.0.0, libs 0.26 demands 11.0.0.
type Demand struct{ API, Schema Version }

// personas are the versions that this project's module can speak.
func personas() (list []Demand) {
	for _, p := range event.Personas() {
		list = append(list, Demand{Version(kver.MustParse(p.API)), Version(kver.MustParse(p.Schema))})
	}
	return list
}

// Majors that this package supports. Versions differ in their major where this package could not read what the module
// sends, and none of those that our own module speaks differs in what this package uses.
func majors(of func(Demand) Version) (list []int) {
	for _, p := range personas() {
		list = append(list, of(p).Major)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func apiOf(d Demand) Version    { return d.API }
func schemaOf(d Demand) Version { return d.Schema }

// unmet says in what a module of these versions does not serve the demand.
func (d Demand) unmet(api, schema Version) (problems []string) {
	check := func(what string, is, want Version, majors []int) {
		switch {
		case want != Version{} && !is.serves(want):
			problems = append(problems, fmt.Sprintf("it speaks %s %v (want %v or a later %d.x)", what, is, want, want.Major))
		case !slices.Contains(majors, is.Major):
			problems = append(problems, fmt.Sprintf("it speaks %s %v (this client supports major %s)", what, is, anyOf(majors)))
		}
	}
	check("API", api, d.API, majors(apiOf))
	check("schema", schema, d.Schema, majors(schemaOf))
	return problems
}

// check returns an error unless a module of these versions serves the demand. The error says how to get what is
// demanded. name is the module's; hasPersonas says whether it has the parameter persona.
func (d Demand) check(api, schema Version, name string, hasPersonas bool) error {
	problems := d.unmet(api, schema)
	if len(problems) == 0 {
		return nil
	}
	var all []string
	good := -1
	for i, p := range personas() {
		all = append(all, fmt.Sprintf("%v with schema %v", p.API, p.Schema))
		if good < 0 && len(d.unmet(p.API, p.Schema)) == 0 {
			good = i
		}
	}
	switch {
	case good < 0:
		problems = append(problems, "this project's module has no such persona: it has "+strings.Join(all, ", "))
	case hasPersonas:
		problems = append(problems, fmt.Sprintf("to get that, modprobe -r %[1]s && modprobe %[1]s persona=%[2]v", name, personas()[good].API))
	default:
		problems = append(problems, fmt.Sprintf("to get that, load this project's module with persona=%v", personas()[good].API))
	}
	return errors.New(strings.Join(problems, "; "))
}

func anyOf(majors []int) string {
	text := ""
	for i, m := range majors {
		switch {
		case i > 0 && i == len(majors)-1:
			text += " or "
		case i > 0:
			text += ", "
		}
		text += strconv.Itoa(m)
	}
	return text
}
