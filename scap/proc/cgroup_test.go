// SPDX-License-Identifier: Apache-2.0

//go:build linux

package proc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func newTestCgroups(t *testing.T, files map[string]string) *cgroups {
	root := mustMachine(t)
	for name, text := range files {
		mustWrite(t, root, name, text)
	}
	s, err := newScanner(t.Context(), Options{Root: root})
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s.cgroups
}

func TestAControllerActsWhereItIsEnabled(t *testing.T) {
	c := newTestCgroups(t, map[string]string{
		"proc/cgroups":                         "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuacct\t0\t9\t1\n",
		"sys/fs/cgroup/cgroup.controllers":     "cpuset cpu io memory pids\n",
		"sys/fs/cgroup/a/cgroup.controllers":   "cpu memory pids\n",
		"sys/fs/cgroup/a/b/cgroup.controllers": "memory\n",
	})
	require.Equal(t, "cpuset=/\x00cpu=/a\x00cpuacct=/\x00io=/\x00memory=/a/b\x00pids=/a\x00", c.list([]byte("0::/a/b\n")))
	require.Equal(t, "cpuset=/\x00cpu=/\x00cpuacct=/\x00io=/\x00memory=/\x00pids=/\x00", c.list([]byte("0::/\n")))
	require.Equal(t, "cpuset=/../x\x00cpu=/../x\x00cpuacct=/\x00io=/../x\x00memory=/../x\x00pids=/../x\x00", c.list([]byte("0::/../x\n")),
		"the cgroup is not below the mount")
	require.Equal(t, "cpuset=/\x00cpu=/a\x00cpuacct=/\x00io=/\x00memory=/a\x00pids=/a\x00", c.list([]byte("0::/a/gone (deleted)\n")))
}

func TestBothVersionsOfCgroups(t *testing.T) {
	c := newTestCgroups(t, map[string]string{
		"proc/cgroups": "cpuacct\t2\t9\t1\n",
		"sys/fs/cgroup/unified/cgroup.controllers":   "memory\n",
		"sys/fs/cgroup/unified/m/cgroup.controllers": "memory\n",
	})
	require.Equal(t, "cpuset=/s\x00cpu=/a\x00cpuacct=/a\x00io=/d\x00memory=/m\x00devices=/x\x00",
		c.list([]byte("7:blkio:/d\n6:devices:/x\n4:cpu,cpuacct:/a\n3:cpuset:/s\n1:name=systemd:/q\n0::/m/n\n")))
}
