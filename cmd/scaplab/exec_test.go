// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest/machine/machineexec"
)

func TestExecNamesTheFlagThatIsWrong(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{}, "requires at least 1 arg"},
		{[]string{"--copy-in", "/no/such", "--", "x"}, "--copy-in: stat /no/such: no such file"},
		{[]string{"--copy-in", ".:here", "--", "x"}, `--copy-in ".:here": want an absolute path of the machine`},
		{[]string{"--copy-out", ":x", "--", "x"}, `--copy-out ":x": want PATH or PATH:DST`},
		{[]string{"--env", "=1", "--", "x"}, `--env "=1": want K=V or K`},
		{[]string{"--workdir", "here", "--", "x"}, `--workdir "here": want an absolute path`},
		{[]string{"--program", "no-such-program", "--", "x"}, "--program no-such-program: "},
		{[]string{"--cpus", "0", "--", "x"}, "--cpus 0: want 1 or more"},
		{[]string{"--accel", "none", "--", "x"}, `accelerator "none"`},
	} {
		var out, stderr bytes.Buffer
		require.Equal(t, cli.ExitUsage, run(t.Context(), append([]string{"exec"}, row.args...), &out, &stderr), row.want)
		require.Contains(t, stderr.String(), row.want)
	}
}

func TestExecCopiesWhatItsArgumentsName(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "p.test")
	require.NoError(t, os.WriteFile(program, []byte("#!"+program+"\n"), 0o755)) // needs nothing else
	t.Setenv("SCAPLAB_EXEC_TEST", "here")
	t.Chdir(dir)
	f := execFlags{env: []string{"SCAPLAB_EXEC_TEST", "A=b", "SCAPLAB_NOT_SET"}, copyIn: []string{"p.test:/x"}, copyOut: []string{"out", "/tmp/o:there"}}
	c, err := f.command([]string{"/x", "-test.v"})
	require.NoError(t, err)
	require.Equal(t, []string{"SCAPLAB_EXEC_TEST=here", "A=b"}, c.Env)
	require.Equal(t, dir, c.Dir)
	require.Equal(t, "/x", c.Args[0], "a path of the machine")
	require.Equal(t, []machineexec.Copy{{From: filepath.Join(dir, "out"), To: filepath.Join(dir, "out")}, {From: "/tmp/o", To: "there"}}, c.Out)
	require.Len(t, c.In, 2)
	require.Equal(t, machineexec.Copy{From: "p.test", To: "/x"}, c.In[0])
	require.Equal(t, dir, c.In[1].To, "the working directory of a test program")
}
