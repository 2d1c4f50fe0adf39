// SPDX-License-Identifier: Apache-2.0

package kmod

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

func TestVersionsAreReadFromNumbers(t *testing.T) {
	require.Equal(t, Version{8, 0, 4}, parseVersion(0x0000800000000004))
	require.Equal(t, Version{10, 0, 0}, parseVersion(0x0000A00000000000))
	require.Equal(t, Version{11, 0, 0}, parseVersion(0x0000B00000000000))
	require.Equal(t, "4.5.1", parseVersion(4<<44|5<<24|1).String())
}

// Without a demand, each persona of ours and each version of the same majors is good.
func TestModulesOfTheKnownMajorsServe(t *testing.T) {
	for _, p := range personas() {
		require.NoError(t, Demand{}.check(p.API, p.Schema, "scap", true), p.API)
	}
	for _, good := range []Version{{8, 0, 0}, {8, 9, 0}, {10, 0, 0}, {11, 7, 3}} {
		require.NoError(t, Demand{}.check(good, Version{4, 1, 0}, "scap", false), good)
	}
	for _, bad := range []Version{{7, 9, 9}, {9, 0, 0}, {12, 0, 0}} {
		require.EqualError(t, Demand{}.check(bad, Version{4, 1, 0}, "scap", false), "it speaks API "+bad.String()+
			" (this client supports major 8, 10 or 11); to get that, load this project's module with persona="+event.APIVersion)
	}
	for _, bad := range []Version{{3, 9, 0}, {5, 0, 0}} {
		require.EqualError(t, Demand{}.check(Version{8, 0, 4}, bad, "scap", true), "it speaks schema "+bad.String()+
			" (this client supports major 4); to get that, modprobe -r scap && modprobe scap persona="+event.APIVersion)
	}
}

// The rule is libscap's: sysdig 0.41.4, which demands API 8.0.0 and schema 4.1.0, takes the first and refuses the second ones.
func TestDemandsAreThoseOfLibscap(t *testing.T) {
	sysdig := Demand{API: Version{8, 0, 0}, Schema: Version{4, 1, 0}}
	for _, good := range []Demand{
		{Version{8, 0, 0}, Version{4, 1, 0}}, {Version{8, 0, 4}, Version{4, 1, 0}}, {Version{8, 0, 4}, Version{4, 5, 1}}, {Version{8, 1, 0}, Version{4, 2, 0}},
	} {
		require.NoError(t, sysdig.check(good.API, good.Schema, "scap", true), "%v", good)
	}
	for _, bad := range []Demand{
		{Version{7, 9, 9}, Version{4, 1, 0}}, {Version{9, 0, 0}, Version{4, 1, 0}}, {Version{10, 1, 0}, Version{4, 5, 1}},
		{Version{8, 0, 4}, Version{4, 0, 9}}, {Version{8, 0, 4}, Version{5, 0, 0}},
	} {
		require.Error(t, sysdig.check(bad.API, bad.Schema, "scap", true), "%v", bad)
	}
}

func TestRefusalsSayHowToGetWhatIsDemanded(t *testing.T) {
	v := func(major, minor, patch int) Version { return Version{major, minor, patch} }
	for _, c := range []struct {
		demand, module Demand
		want           string
	}{
		{Demand{API: v(11, 0, 0)}, Demand{v(10, 1, 0), v(4, 5, 1)},
			"it speaks API 10.1.0 (want 11.0.0 or a later 11.x); to get that, modprobe -r scap && modprobe scap persona=11.0.0"},
		{Demand{API: v(8, 0, 0)}, Demand{v(11, 0, 0), v(4, 5, 2)},
			"it speaks API 11.0.0 (want 8.0.0 or a later 8.x); to get that, modprobe -r scap && modprobe scap persona=8.0.4"},
		{Demand{Schema: v(4, 5, 2)}, Demand{v(10, 1, 0), v(4, 5, 1)},
			"it speaks schema 4.5.1 (want 4.5.2 or a later 4.x); to get that, modprobe -r scap && modprobe scap persona=11.0.0"},
		{Demand{v(11, 0, 0), v(4, 5, 0)}, Demand{v(8, 0, 4), v(4, 1, 0)},
			"it speaks API 8.0.4 (want 11.0.0 or a later 11.x); it speaks schema 4.1.0 (want 4.5.0 or a later 4.x); " +
				"to get that, modprobe -r scap && modprobe scap persona=11.0.0"},
		{Demand{v(8, 0, 0), v(4, 5, 0)}, Demand{v(8, 0, 4), v(4, 1, 0)},
			"it speaks schema 4.1.0 (want 4.5.0 or a later 4.x); " +
				"this project's module has no such persona: it has 11.0.0 with schema 4.5.2, 10.1.0 with schema 4.5.1, 8.0.4 with schema 4.1.0"},
		{Demand{API: v(9, 0, 0)}, Demand{v(9, 1, 0), v(4, 1, 0)},
			"it speaks API 9.1.0 (this client supports major 8, 10 or 11); " +
				"this project's module has no such persona: it has 11.0.0 with schema 4.5.2, 10.1.0 with schema 4.5.1, 8.0.4 with schema 4.1.0"},
	} {
		require.EqualError(t, c.demand.check(c.module.API, c.module.Schema, "scap", true), c.want)
	}
}
