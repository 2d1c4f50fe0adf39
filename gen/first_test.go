// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/tables"
)

// never is why no case of these calls can have more elements than events tell.
var never = map[string]string{
	"sched_getaffinity": "the kernel returns as many bits as the machine may have processors",
	"lsm_list_modules":  "a kernel has fewer security modules",
	"listmount":         "the guest has fewer mounts",
	"listns":            "the guest has fewer namespaces",
}

// Each call with a list that events cut has a case that shows what tells of the rest.
func TestListsHaveCasesBeyondTheirEnd(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	beyond := regexp.MustCompile(`is told|are told|than get an event`)
	lists := 0
	for _, s := range m.table.Syscalls {
		messages := s.Name == "sendmmsg" || s.Name == "recvmmsg" // their bodies are hand-written
		if !messages && !slices.ContainsFunc(s.Exit.Params, func(p *tables.Param) bool { return m.listed(p) > 0 }) {
			continue
		}
		lists++
		has := slices.ContainsFunc(s.Cases, func(c *tables.Case) bool { return beyond.MatchString(c.Name) })
		require.Equal(t, never[s.Name] == "", has, "%v: %s: a case named `more ... than are told`", s.Pos, s.Name)
	}
	require.Greater(t, lists, 20)
}

// A param of numbers is a part of a list, whichever helper sends it.
func TestNumbersAreListed(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	for _, e := range m.driven() {
		for _, p := range e.Params {
			require.Equal(t, p.Type == "numbers" || p.Type == "fdlist", m.listed(p) == 16 && p.Type != "bytebuf", "%v: %s: %s", p.Pos, e.Symbol, p.Name)
		}
	}
}
