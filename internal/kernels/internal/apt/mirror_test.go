// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMirrorIsTheMachinesOwn(t *testing.T) {
	debian := map[string]string{"ID": "debian", "VERSION_CODENAME": "bookworm"}
	targets := "file:/other/vendor stable-x\nfile:/sec/ bookworm-security\nfile:/main/ bookworm\nfile:/main/ bookworm-updates\nfile:/late/ bookworm\nfile:/v/ nodistro\nbroken\n"
	m, err := mirrorFromTargets(targets, debian)
	require.NoError(t, err)
	require.Equal(t, Mirror{Main: "file:/main", Security: "file:/sec"}, m)
	require.Equal(t, "file:/sec", m.base("bullseye-security"))
	require.Equal(t, "file:/main", m.base("trixie-backports"))

	m, err = mirrorFromTargets("file:/a/debian bookworm\n", debian)
	require.NoError(t, err)
	require.Equal(t, "file:/a/debian-security", m.Security, "beside the main archive when apt has none")

	for _, others := range []string{
		"file:/brave stable Brave Software\nfile:/docker bookworm Docker\nfile:/d/ bookworm Debian\nfile:/ds bookworm-security Debian\n",
		"file:/vendor stable $(ORIGIN)\nfile:/d/ bookworm Debian\nfile:/ds bookworm-security Debian\n",
		"file:/d bookworm $(ORIGIN)\nfile:/ds bookworm-security $(ORIGIN)\n",
	} {
		m, err = mirrorFromTargets(others, debian)
		require.NoError(t, err)
		require.Equal(t, Mirror{Main: "file:/d", Security: "file:/ds"}, m, others)
	}

	_, err = mirrorFromTargets(targets, map[string]string{"ID": "ubuntu"})
	require.ErrorContains(t, err, "apt on ubuntu is not set up for the Debian archive")
	_, err = mirrorFromTargets("file:/v/ nodistro\n", debian)
	require.ErrorContains(t, err, "not set up for the Debian archive's bookworm")
	_, err = mirrorFromTargets("", nil)
	require.ErrorContains(t, err, "unknown system")
}

func TestMirrorFlag(t *testing.T) {
	if _, err := ArchiveKeyring(); err != nil {
		t.Skip(err)
	}
	m, err := ParseMirror("file:/m/debian/")
	require.NoError(t, err)
	require.Equal(t, []string{"file:/m/debian", "file:/m/debian-security"}, []string{m.Main, m.Security})
	m, err = ParseMirror("file:/a,file:/b/")
	require.NoError(t, err)
	require.Equal(t, []string{"file:/a", "file:/b"}, []string{m.Main, m.Security})
	for _, bad := range []string{"", "nourl", "file:", "file:/a b", "file:/a\nTypes: deb", "file:/a,"} {
		_, err := ParseMirror(bad)
		require.ErrorContains(t, err, "want URI", bad)
	}
}
