// SPDX-License-Identifier: Apache-2.0

package machineexec

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatATestProgramWritesComesOut(t *testing.T) {
	c := Command{Dir: "/src/p", Args: []string{"/tmp/p.test", "-test.v=true", "-test.coverprofile=/tmp/c.out", "-test.cpuprofile=cpu", "-test.outputdir=out",
		"-test.gocoverdir=/tmp/cover", "-test.testlogfile=/tmp/log", "-test.trace=", "argument", "-trace=x"}}
	require.True(t, c.IsGoTest())
	c.AddGoTest()
	var in, out []string
	for _, f := range c.In {
		in = append(in, f.From)
		require.Equal(t, f.From, f.To)
	}
	for _, f := range c.Out {
		out = append(out, f.From)
		require.Equal(t, f.From, f.To)
		require.True(t, f.Optional, "a test that fails writes none")
	}
	slices.Sort(out)
	require.Equal(t, []string{"/src/p", "/src/p/out", "/tmp/cover"}, in)
	require.Equal(t, []string{"/src/p/out", "/src/p/out/cpu", "/tmp/c.out", "/tmp/cover", "/tmp/log"}, out)
	require.True(t, c.In[0].Skip(".git"))
	require.False(t, c.In[0].Skip("testdata"))
	require.False(t, (&Command{Args: []string{"uname", "-r"}}).IsGoTest())
}

func TestAProgramComesWithItsLibraries(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	var c Command
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!"+sh+" -e\n"), 0o755))
	require.NoError(t, c.AddProgram(script))
	var has []string
	for _, f := range c.In {
		has = append(has, f.To)
		if !f.Optional {
			require.FileExists(t, f.From)
		}
	}
	require.Contains(t, has, script)
	require.Contains(t, has, sh)
	list, err := exec.Command("ldd", sh).Output()
	if err != nil {
		t.Skipf("needs ldd and a shell with libraries: %v", err)
	}
	for _, name := range has[2:] { // the loader names what it loads, the cache apart
		if name != loaderCache {
			require.Contains(t, string(list), filepath.Base(name))
		}
	}
	require.Greater(t, len(has), 3)

	require.ErrorIs(t, c.AddProgram("/no/such"), os.ErrNotExist)
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("text"), 0o755))
	require.ErrorContains(t, c.AddProgram(text), "neither a program nor a script")
}

func TestLoaderDirectoriesAreThoseOfItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "conf"), []byte("# comment\ninclude "+dir+"/*.conf\n/last # why\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.conf"), []byte("/first\n"), 0o644))
	require.Equal(t, []string{"/first", "/last"}, configuredDirs(filepath.Join(dir, "conf")))
	require.Empty(t, configuredDirs(filepath.Join(dir, "none")))
}

func TestExitStatusesAreThoseOfAShell(t *testing.T) {
	require.Equal(t, 7, (&ExitError{Code: 7}).Status())
	require.Equal(t, 143, (&ExitError{Signal: syscall.SIGTERM}).Status())
	require.EqualError(t, &ExitError{Signal: syscall.SIGTERM}, "signal: terminated")
	require.EqualError(t, &ExitError{Code: 127, Reason: "no such file"}, "no such file")
}
