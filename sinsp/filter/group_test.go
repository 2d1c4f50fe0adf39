// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// macros is a scope of macros and lists.
type macros struct {
	g     *Group
	texts map[string]string
	lists map[string][]string
}

func (m *macros) scope() Scope {
	return Scope{
		List: func(word string) ([]string, bool) {
			items, ok := m.lists[word]
			return items, ok
		},
		Macro: func(name string) (*Filter, error) {
			text, ok := m.texts[name]
			if !ok {
				return nil, errors.New("unknown macro " + name)
			}
			return m.g.Compile(Parse(text), m.scope())
		},
	}
}

func TestAGroupResolvesMacrosAndLists(t *testing.T) {
	m := &macros{g: NewGroup(), texts: map[string]string{
		"reads":  "evt.type in (open, openat) and fd.num >= 0",
		"secret": "fd.name startswith /etc and not never",
		"never":  "evt.num = 0",
		"broken": "proc.nmae = cat",
	}, lists: map[string][]string{"names": {"dog", "cat"}, "empty": {}, "one": {"cat"}, "cat": {"dog"}}}
	for text, want := range map[string]bool{
		"reads and secret":                       true,
		"reads and not secret":                   false,
		"reads and proc.name in (names)":         true,
		"reads and proc.name in (dog, names)":    true,
		"reads and proc.name in names":           true,
		"reads and proc.name in (empty)":         false,
		"reads and not proc.name in (empty)":     true,
		"reads and proc.name = one":              true,
		"reads and proc.name = cat":              false, // a list of that name
		`reads and proc.name = "cat"`:            true,
		"reads and proc.name = anyof (names)":    true,
		"reads and proc.name startswith one":     true,
		"never or (secret and (reads or never))": true,
	} {
		f, err := m.g.Compile(Parse(text), m.scope())
		require.NoError(t, err, text)
		require.Equal(t, want, f.Match(openat(t)), text)
		require.False(t, f.Match(write(t)) && want, text)
	}
	for text, want := range map[string]string{
		"nosuch and reads":      "filter:1:1: unknown macro nosuch",
		"reads and broken":      "unknown field proc.nmae",
		"proc.name = names":     "filter:1:13: list names has 2 items, = takes one value (write in (names), or = anyof (names))",
		"fd.num in (7, names)":  `filter:1:15: fd.num: "dog" is not a number`,
		"reads or proc.name = ": "expected a value after =, found the end",
	} {
		_, err := m.g.Compile(Parse(text), m.scope())
		require.ErrorContains(t, err, want, text)
	}
}

func TestASetFindsItsFiltersInOrder(t *testing.T) {
	g := NewGroup()
	var list []*Filter
	for _, text := range []string{
		"evt.type = write", "evt.type = openat and proc.name = cat", "proc.name = dog", "evt.type = openat",
		"proc.name = cat and fd.num = 3", "evt.type = openat and proc.name = cat and fd.num = 4",
	} {
		f, err := g.Compile(Parse(text), Scope{})
		require.NoError(t, err)
		list = append(list, f)
	}
	list = append(list, g.Except(list[3], list[0], list[2]), g.Except(list[3], list[4]))
	s := g.Set(list)
	for range 2 {
		ev := openat(t)
		var got []int
		for i := s.Match(ev, 0); i >= 0; i = s.Match(ev, i+1) {
			got = append(got, i)
		}
		require.Equal(t, []int{1, 3, 4, 6}, got)
		require.Equal(t, 0, s.Match(write(t), 0))
		require.Equal(t, -1, s.Match(write(t), 1))
	}
	codes := s.Codes()
	require.True(t, codes.Has(event.TypeCloseExit), "proc.name = dog may hold for it")
}

func TestWhatFiltersShareIsEvaluatedOnce(t *testing.T) {
	asked := 0
	counting := &field.Field{Name: "proc.counted", Type: field.Int, Extract: func(_ *sinsp.Event, _ *field.Arg, v *field.Value) bool {
		asked++
		return v.SetInt(7)
	}}
	g := NewGroup()
	src := g.c.shared(&source{key: "proc.counted", typ: field.Int, ref: &field.Ref{Field: counting, Type: field.Int, Text: "proc.counted"}})
	leaf := func(n uint64) *node {
		l := &leaf{id: uint32(n), left: src, op: opEqual, test: numberEqual(n)}
		nd, _ := g.c.nodes.get(kindCheck, l, nil)
		nd.can = event.Universe()
		return nd
	}
	var list []*Filter
	for n := range uint64(5) {
		list = append(list, &Filter{group: g, root: g.c.chain(kindAnd, []*node{leaf(7), leaf(10 + n)})})
	}
	require.Equal(t, -1, g.Set(list).Match(openat(t), 0))
	require.Equal(t, 1, asked)
}

func TestDeepMacrosTakeNoExponentialTime(t *testing.T) {
	g := NewGroup()
	f, err := g.Compile(Parse("proc.name = dog or fd.num = 3"), Scope{})
	require.NoError(t, err)
	for range 100 {
		last := f
		f, err = g.Compile(Parse("m and (m or fd.num = 4) and not (not m)"), Scope{Macro: func(string) (*Filter, error) { return last, nil }})
		require.NoError(t, err)
	}
	require.True(t, f.Match(openat(t)))
	require.False(t, f.Match(write(t)))
	require.True(t, f.MayCall(openat(t).Event))
}

func TestLazyHostsAreAskedForInTheBackground(t *testing.T) {
	asked := make(chan struct{}, 10)
	old := resolve
	resolve = func(name string) ([]netip.Addr, error) {
		asked <- struct{}{}
		return []netip.Addr{netip.MustParseAddr("10.0.0.2")}, nil
	}
	defer func() { resolve = old }()
	f, err := NewGroup().Compile(Parse("fd.sip.name in (web.example, 10.9.9.9)"), Scope{LazyHosts: true})
	require.NoError(t, err)
	require.Empty(t, asked, "nobody is asked before an event")
	require.Eventually(t, func() bool { return f.Match(received(t, 4)) }, time.Minute, time.Millisecond)
	require.Len(t, asked, 1)
}
