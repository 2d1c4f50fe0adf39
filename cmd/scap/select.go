// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

const filterHelp = `FILTER is an expression of fields, such as 'proc.name = cat and fd.name startswith /etc':
scap fields lists the fields, docs/filters.md describes the language. Or it is any number
of event names and pids, and selects events that have one of the names and come from one
of the processes.`

// compileFilter compiles the arguments of a command; nil if there are none.
func compileFilter(args []string) (*filter.Filter, error) {
	text := strings.Join(args, " ")
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }); !slices.ContainsFunc(words, notAName) {
		var err error
		if text, err = filterOf(words); err != nil {
			return nil, cli.Usage(err)
		}
	}
	f, err := filter.Compile(text)
	if err != nil {
		return nil, cli.Usage(err)
	}
	return f, nil
}

// notAName reports whether a word is neither the name of an event nor a pid.
func notAName(word string) bool {
	return strings.ContainsFunc(word, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// filterOf returns the filter for event names and pids.
func filterOf(words []string) (string, error) {
	var names, pids []string
	for _, word := range words {
		if _, err := strconv.ParseUint(word, 10, 32); err == nil {
			pids = append(pids, word)
			continue
		}
		if known := field.All()["evt.type"].Constants(); !slices.Contains(known, word) {
			return "", fmt.Errorf("unknown event %q%s; scap events lists them all", word, hint.DidYouMean(word, known))
		}
		names = append(names, word)
	}
	var parts []string
	if len(names) > 0 {
		part := "evt.type in (" + strings.Join(names, ", ") + ")"
		if slices.Contains(names, generic) {
			part = "(" + part + " or evt.type.is." + generic + " = 1)" // the type is the name of the call
		}
		parts = append(parts, part)
	}
	if len(pids) > 0 {
		list := " in (" + strings.Join(pids, ", ") + ")"
		parts = append(parts, "(proc.pid"+list+" or thread.tid"+list+")")
	}
	return strings.Join(parts, " and "), nil
}

// generic is the name of events that stand for calls without an event of their own.
const generic = "syscall"

// completeEvents completes the names of events.
func completeEvents(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return field.EventNames(), cobra.ShellCompDirectiveNoFileComp
}
