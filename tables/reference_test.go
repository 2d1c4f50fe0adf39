// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// facts is the folder with facts about the reference, beside a checkout of this project.
const facts = "../../shared/facts/"

func mustReadFacts(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(facts + name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the facts of the reference are not beside this checkout: %s", facts)
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

// The lock has all events of the reference, and no others below 0x8000.
func TestTheLockHasTheReferencesEvents(t *testing.T) {
	var ref struct {
		Events []struct {
			Code      uint16
			Name, Dir string
			Category  string
			Source    string
			Flags     []string
			Params    []struct {
				Name, Type, Fmt string
				Flagset         string
				DirfdParam      *int   `json:"dirfd_param"`
				Dyn             string `json:"dynamic"`
			}
		}
		DynamicTables map[string][]struct{ Type, Fmt string } `json:"dynamic_tables"`
	}
	mustReadFacts(t, "events.json", &ref)
	table := mustLoad(t, ".")
	require.Len(t, ref.Events, referenceLast+1)
	for _, want := range ref.Events {
		got := table.Lock.events[want.Code]
		require.NotNil(t, got, want.Code)
		require.Equal(t, want.Name, got.Name, got.Symbol)
		require.Equal(t, want.Dir, got.Dir, got.Symbol)
		require.Equal(t, strings.ToLower(want.Category), got.Class, got.Symbol)
		require.Equal(t, strings.ToLower(want.Source), got.Source, got.Symbol)
		var flags []string
		for _, f := range want.Flags {
			f = strings.ToLower(strings.TrimPrefix(f, "EF_"))
			flags = append(flags, strings.ReplaceAll(f, "skipparsereset", "skip_parse_reset"))
		}
		require.ElementsMatch(t, flags, got.Flags, got.Symbol)
		require.Len(t, got.Params, len(want.Params), got.Symbol)
		for i, w := range want.Params {
			p := got.Params[i]
			at := got.Symbol + "." + w.Name
			require.Equal(t, w.Name, p.Name, at)
			require.Equal(t, strings.ToLower(w.Type), p.Type, at)
			require.Equal(t, strings.ToLower(w.Fmt), p.Show, at)
			require.Equal(t, w.Flagset != "", p.Names != "", at)
			if w.DirfdParam != nil {
				require.Equal(t, got.Params[*w.DirfdParam].Name, p.Base, at)
			}
		}
	}
	for code := range table.Lock.events {
		require.True(t, code <= referenceLast || code >= oursFrom, code)
	}
	for name, want := range ref.DynamicTables {
		d := table.Types.Dyn(strings.TrimSuffix(name, "_dynamic_param"))
		require.NotNil(t, d, name)
		require.Len(t, d.Variants, len(want), name)
		for i, v := range want {
			require.Equal(t, strings.ToLower(v.Type), d.Variants[i].Type.Name, name)
			require.Equal(t, strings.ToLower(v.Fmt), d.Variants[i].Show, name)
		}
	}
}

// The lock has the numbers of the reference's flag values: the set of each param of the
// reference has the reference's values.
func TestTheLockHasTheReferencesValues(t *testing.T) {
	var ref struct {
		Events []struct {
			Code   uint16
			Params []struct{ Name, Flagset string }
		}
	}
	var sets struct {
		Sets []struct {
			Set    string
			Values []struct {
				Name  string
				Value uint64
			}
		}
	}
	mustReadFacts(t, "events.json", &ref)
	mustReadFacts(t, "flags.json", &sets)
	values := map[string]map[string]uint64{}
	for _, s := range sets.Sets {
		values[s.Set] = map[string]uint64{}
		for _, v := range s.Values {
			values[s.Set][v.Name] = v.Value
		}
	}
	table := mustLoad(t, ".")
	lock := table.Lock
	checked := map[string]bool{}
	for _, ev := range ref.Events {
		for i, p := range ev.Params {
			ours := lock.events[ev.Code].Params[i].Names
			size := table.Types.Type(lock.events[ev.Code].Params[i].Type).Size
			if p.Flagset == "" || checked[p.Flagset+" "+ours] {
				continue
			}
			checked[p.Flagset+" "+ours] = true
			require.NotEmpty(t, values[p.Flagset], p.Flagset)
			got := map[string]uint64{}
			for _, v := range lock.values[ours] {
				got[v.name] = v.value
				_, theirs := values[p.Flagset][v.name]
				require.Equal(t, !theirs, v.own, "%s: %s (%s)", ours, v.name, p.Flagset)
			}
			for name, value := range values[p.Flagset] {
				require.Contains(t, got, name, "%s (%s)", ours, p.Flagset)
				// An event has the low bits of a value that is wider than the param: SHUT_UNKNOWN.
				require.Equal(t, value&(1<<(8*size)-1), got[name], "%s: %s", ours, name)
			}
		}
	}
	require.Greater(t, len(checked), 40)
}
