// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp/rule"
)

func newRulesExplainCmd() *cobra.Command {
	var o rulesOptions
	var asJSON, live bool
	cmd := &cobra.Command{
		Use:   "explain FILE...",
		Short: "Say which system calls each rule needs",
		Long: `Print for each rule which events it can hold for: system calls, tracepoints, and events
that tell of the machine, such as of containers. With --read, also say which of them the
capture has: a rule that needs others cannot match there. With --live, load the driver and
say which of them this kernel does not give.`,
		Example: "  scap rules explain falco_rules.yaml\n  scap rules explain -r trace.scap falco_rules.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := o.load(args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			var has *event.Set
			where := "the capture"
			switch {
			case o.read != "" && live:
				return cli.Usage(errors.New("--read and --live: one of them"))
			case o.read != "":
				has, err = typesIn(o.read)
			case live:
				where = "the driver on this kernel"
				has, err = typesHere(engine, cmd.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			return explainRules(cmd.OutOrStdout(), engine, has, where, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.read, "read", "r", "", "say what the capture has")
	f.BoolVar(&live, "live", false, "load the eBPF programs, as root, and say what this kernel does not give")
	f.BoolVarP(&asJSON, "json", "j", false, "one JSON object per rule")
	o.addSelection(f)
	return cmd
}

// typesIn returns the types of the events of a capture.
func typesIn(path string) (*event.Set, error) {
	r, err := savefile.Open(path, savefile.Options{})
	if err != nil {
		return nil, opened(err)
	}
	defer r.Close()
	var has event.Set
	err = readAll(r, func(evs []event.Event) error {
		for i := range evs {
			has.Add(evs[i].Type())
		}
		return nil
	})
	return &has, err
}

// typesHere returns the types of the events that this kernel gives for the rules.
func typesHere(engine *rule.Engine, talk io.Writer) (*event.Set, error) {
	src, err := (&sourceFlags{driver: drivers[0]}).open(selectionFor(engine, false, true), talk)
	if err != nil {
		return nil, cli.Lacking(err)
	}
	defer src.Close()
	has := event.Universe()
	if refuses, ok := src.(interface{ Refused() []*ebpf.Refusal }); ok {
		for _, r := range refuses.Refused() {
			for _, e := range driver.Events() {
				if e.Program == r.Program {
					has.Remove(event.Type(e.Code))
				}
			}
		}
	}
	return &has, nil
}

// needs is what a rule can hold for.
type needs struct {
	Rule     string   `json:"rule"`
	Priority string   `json:"priority"`
	Calls    []string `json:"calls"`            // system calls and tracepoints that the drivers capture
	Meta     []string `json:"meta,omitempty"`   // events that no driver makes
	Absent   []string `json:"absent,omitempty"` // of them, what the capture does not have
	Why      string   `json:"cannot_match,omitempty"`
}

func needsOf(r *rule.Rule, has *event.Set, where string) needs {
	n := needs{Rule: r.Name, Priority: r.Priority.String(), Calls: []string{}}
	codes := r.Condition.Codes()
	driven := event.Set{}
	present := false
	add := func(list *[]string, name string, here bool) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
		if here {
			present = true
		} else if !slices.Contains(n.Absent, name) {
			n.Absent = append(n.Absent, name)
		}
	}
	for _, e := range driver.Events() {
		t := event.Type(e.Code)
		driven.Add(t)
		if t.Enter() && e.From == "sys_enter" || t == event.TypeGenericExit || !codes.Has(t) {
			continue
		}
		here := has == nil || has.Has(t)
		for _, call := range e.Calls {
			add(&n.Calls, call.Name, here)
		}
		if len(e.Calls) == 0 {
			add(&n.Calls, e.From, here)
		}
	}
	if wantsGeneric(r.Condition) {
		add(&n.Calls, "calls without an event of their own", has == nil || has.Has(event.TypeGenericExit))
	}
	for in := range event.All() {
		// Async events may have any name, and only plugins make some.
		if in.Code == event.TypeAsynceventEnter && (has == nil || !has.Has(in.Code)) {
			continue
		}
		if codes.Has(in.Code) && !driven.Has(in.Code) && in.Source == event.SourceMetaevent && in.Flags&event.Unused == 0 {
			add(&n.Meta, in.Name, has == nil || has.Has(in.Code))
		}
	}
	slices.Sort(n.Calls)
	slices.Sort(n.Absent)
	switch {
	case len(n.Calls)+len(n.Meta) == 0:
		n.Why = "no event can satisfy the condition"
	case !present:
		n.Why = where + " has none of these events"
	}
	return n
}

func explainRules(w io.Writer, engine *rule.Engine, has *event.Set, where string, asJSON bool) error {
	out := bufio.NewWriter(w)
	impossible := 0
	for _, r := range engine.Rules {
		n := needsOf(r, has, where)
		if n.Why != "" {
			impossible++
		}
		if asJSON {
			text, err := json.Marshal(n)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s\n", escape.SafeJSON(text))
			continue
		}
		fmt.Fprintf(out, "%s (%s)\n", escape.Lines(n.Rule), n.Priority)
		fmt.Fprintf(out, "    needs %s\n", some(append(slices.Clone(n.Calls), n.Meta...)))
		if n.Absent != nil && n.Why == "" {
			fmt.Fprintf(out, "    %s has no %s\n", where, some(n.Absent))
		}
		if n.Why != "" {
			fmt.Fprintf(out, "    cannot match: %s\n", n.Why)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if impossible > 0 {
		return cli.Found(fmt.Errorf("%d of %d rules cannot match", impossible, len(engine.Rules)))
	}
	if len(engine.Rules) == 0 {
		return cli.Found(errors.New("no rule is enabled"))
	}
	return nil
}

// some lists names, or how many they are.
func some(names []string) string {
	const most = 20
	switch {
	case len(names) == 0:
		return "nothing that is captured"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
