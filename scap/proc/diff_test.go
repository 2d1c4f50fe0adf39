// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func someState() *State {
	return &State{
		Machine:    Machine{NumCPUs: 4, Hostname: "host"},
		Interfaces: []Interface{{Name: "lo", Addr: netip.MustParseAddr("127.0.0.1")}, {Name: "lo", Addr: netip.MustParseAddr("::1")}},
		Users:      []User{{UID: 0, Name: "root"}, {UID: 0, Name: "toor"}},
		Groups:     []Group{{GID: 0, Name: "root"}},
		Threads: []Thread{
			{TID: 1, PID: 1, Comm: "init", FDs: []FD{{Num: 0, Type: FDFile, Name: "/dev/null"}, {Num: 3, Type: FDIPv4}}},
			{TID: 7, PID: 7, Comm: "sh"},
			{TID: 8, PID: 7, Comm: "sh"},
		},
	}
}

func texts(changes []Change) (out []string) {
	for _, c := range changes {
		out = append(out, c.String())
	}
	return out
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(s *State)
		without []string
		want    []string
	}{
		"nothing":      {change: func(*State) {}},
		"another name": {change: func(s *State) { s.Threads[1].Comm = "bash" }, want: []string{`thread 7: Comm: "sh", then "bash"`}},
		"an ended thread and a new one": {
			change: func(s *State) { s.Threads[2].TID = 9 },
			want:   []string{"thread 8: only in the first state", "thread 9: only in the second state"},
		},
		"a closed file": {change: func(s *State) { s.Threads[0].FDs = s.Threads[0].FDs[:1] }, want: []string{"thread 1, fd 3: only in the first state"}},
		"another file": {
			change: func(s *State) { s.Threads[0].FDs[1].Src = netip.MustParseAddrPort("1.2.3.4:5") },
			want:   []string{"thread 1, fd 3: Src: invalid AddrPort, then 1.2.3.4:5"},
		},
		"two fields of two things": {
			change: func(s *State) { s.Machine.NumCPUs, s.Users[1].Shell = 5, "/bin/sh" },
			want:   []string{"machine: NumCPUs: 4, then 5", `user 0 (toor): Shell: "", then "/bin/sh"`},
		},
		"a field that is not compared": {
			change:  func(s *State) { s.Threads[1].VMSize, s.Threads[1].PFMinor = 5, 6 },
			without: []string{"VMSize"},
			want:    []string{"thread 7: PFMinor: 0, then 6"},
		},
		"an address":                {change: func(s *State) { s.Interfaces = s.Interfaces[:1] }, want: []string{"interface lo ::1: only in the first state"}},
		"the order of lists":        {change: func(s *State) { slices.Reverse(s.Threads); slices.Reverse(s.Users); slices.Reverse(s.Threads[2].FDs) }},
		"an empty list and no list": {change: func(s *State) { s.Threads[1].FDs = []FD{} }},
		"groups of the same number": {change: func(s *State) { s.Groups = append(s.Groups, Group{Name: "wheel"}) }, want: []string{"group 0 (wheel): only in the second state"}},
		"threads by number, not text": {
			change: func(s *State) { s.Threads[1].TID, s.Threads[2].TID = 20, 100 },
			want: []string{
				"thread 7: only in the first state", "thread 8: only in the first state", "thread 20: only in the second state",
				"thread 100: only in the second state",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := someState(), someState()
			tt.change(b)
			require.Equal(t, tt.want, texts(Diff(a, b, tt.without...)))
			require.Len(t, Diff(b, a, tt.without...), len(tt.want), "the other way round")
			if tt.without == nil {
				require.Equal(t, tt.want == nil, Equal(a, b))
			}
		})
	}
	require.True(t, Equal(nil, &State{}))
	require.Len(t, Diff(nil, someState()), 10)
}

// A field that Diff does not compare would hide changes.
func TestDiffSeesEveryField(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Thread]()) {
		if field.Name == "TID" || field.Name == "FDs" {
			continue // the thread's key, which is tested separately
		}
		a, b := someState(), someState()
		switch v := reflect.ValueOf(&b.Threads[1]).Elem().FieldByName(field.Name); {
		case v.CanInt():
			v.SetInt(99)
		case v.CanUint():
			v.SetUint(99)
		case v.Kind() == reflect.Bool:
			v.SetBool(true)
		default:
			v.SetString("another")
		}
		changes := Diff(a, b)
		require.Len(t, changes, 1, field.Name)
		require.Equal(t, field.Name, changes[0].Name)
	}
}
