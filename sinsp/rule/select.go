// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"slices"
	"strings"
)

// Step enables or disables some rules.
type Step struct {
	Enable bool
	Name   string // of the rules, in which * stands for any text
	Tag    string // that the rules have
}

// Select takes the steps one after the other, then disables the rules that are less
// severe than least. It returns the steps that are about no rule.
func (s *Set) Select(steps []Step, least Priority) (idle []Step) {
	for _, step := range steps {
		found := false
		for _, r := range s.Rules {
			if step.about(r) {
				r.Enabled, found = step.Enable, true
			}
		}
		if !found {
			idle = append(idle, step)
		}
	}
	for _, r := range s.Rules {
		if r.Priority > least {
			r.Enabled = false
		}
	}
	return idle
}

func (s Step) about(r *Rule) bool {
	return s.Tag != "" && slices.Contains(r.Tags, s.Tag) || s.Name != "" && wild(s.Name, r.Name)
}

// wild reports whether name is the pattern, in which * stands for any text.
func wild(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
