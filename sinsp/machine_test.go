// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

func TestUsersAndGroups(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	require.Equal(t, "root", w.in.User("", 0).Name)
	require.Nil(t, w.in.User("", 5))
	w.send(event.TypeUseraddedEnter, -1, 5, 6, "five", "/home/five", "/bin/sh", "")
	require.Equal(t, sinsp.User{UID: 5, GID: 6, Name: "five", Home: "/home/five", Shell: "/bin/sh"}, *w.in.User("", 5))
	w.send(event.TypeUseraddedEnter, -1, 5, 6, "again", "/home/five", "/bin/sh", "")
	require.Equal(t, "again", w.in.User("", 5).Name)
	w.send(event.TypeUseraddedEnter, -1, 5, 6, "inner", "/", "/bin/sh", "abc")
	require.Equal(t, "inner", w.in.User("abc", 5).Name)
	w.send(event.TypeUserdeletedEnter, -1, 5, 6, "again", "", "", "")
	require.Nil(t, w.in.User("", 5))
	require.NotNil(t, w.in.User("abc", 5))
	w.send(event.TypeGroupaddedEnter, -1, 7, "seven", "abc")
	require.Equal(t, "seven", w.in.Group("abc", 7).Name)
	w.send(event.TypeGroupdeletedEnter, -1, 7, "seven", "abc")
	require.Nil(t, w.in.Group("abc", 7))
	require.NoError(t, sinsp.Check(w.in))
}

const containerText = `{"container":{"id":"0123456789ab","full_id":"0123456789abcdef","type":7,"name":"web","image":"nginx:1","imageid":"sha","imagerepo":"nginx",
"imagetag":"1","imagedigest":"sha256:1","ip":"172.17.0.2","privileged":true,"cpu_shares":1,"cpu_quota":2,"cpu_period":3,"cpuset_cpu_count":4,
"memory_limit":5,"swap_limit":6,"created_time":7,"env":["A=b"],"labels":{"k":"v"},"is_pod_sandbox":true,"pod_sandbox_id":"p","cni_json":"{}",
"pod_sandbox_labels":{"x":"y"},"host_pid":true,"host_network":true,"host_ipc":true,"User":"u",
"Mounts":[{"Source":"/a","Destination":"/b","Mode":"rw","RW":true,"Propagation":"private"}],
"port_mappings":[{"HostIp":2130706433,"HostPort":80,"ContainerPort":8080}],"Healthcheck":{"exe":"/check","args":["-a"]},
"LivenessProbe":{"exe":"/live"},"ReadinessProbe":{"exe":"/ready"}}}`

func TestContainersAreDescribed(t *testing.T) {
	want := sinsp.Container{
		ID: "0123456789ab", FullID: "0123456789abcdef", Type: "containerd", Name: "web", Image: "nginx:1", ImageID: "sha", ImageRepo: "nginx",
		ImageTag: "1", ImageDigest: "sha256:1", IP: netip.MustParseAddr("172.17.0.2"), Privileged: true, CPUShares: 1, CPUQuota: 2, CPUPeriod: 3,
		CPUSet: 4, Memory: 5, SwapLimit: 6, CreatedAt: 7, Env: []string{"A=b"}, Labels: map[string]string{"k": "v"}, User: "u",
		Mounts:     []sinsp.Mount{{Source: "/a", Dest: "/b", Mode: "rw", RW: true, Propagation: "private"}},
		Ports:      []sinsp.PortMapping{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 80, ContainerPort: 8080}},
		Health:     []sinsp.HealthProbe{{Type: "HealthCheck", Exe: "/check", Args: []string{"-a"}}, {Type: "LivenessProbe", Exe: "/live"}, {Type: "ReadinessProbe", Exe: "/ready"}},
		PodSandbox: true, PodSandboxID: "p", PodSandboxCNI: "{}", PodSandboxLabels: map[string]string{"x": "y"},
		HostPID: true, HostNetwork: true, HostIPC: true,
	}
	for name, send := range map[string]func(w *world){
		"by a container event": func(w *world) { w.send(event.TypeContainerJSONEnter, -1, containerText) },
		"by a plugin's event":  func(w *world) { w.send(event.TypeAsynceventEnter, -1, 1, "container", []byte(containerText+"\x00")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			send(w)
			c := w.in.Container("0123456789ab")
			require.NotNil(t, c)
			require.EqualExportedValues(t, want, *c)
			require.NoError(t, sinsp.Check(w.in))
		})
	}
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeContainerJSONEnter, -1, `{"container":{"id":"x","name":7,"image":"nginx"}}`)
	require.Equal(t, "nginx", w.in.Container("x").Image, "a field of a wrong type does not take the others with it")
	w.send(event.TypeContainerJSONEnter, -1, `{"container":`)
	require.EqualValues(t, 1, w.in.Stats().Corrupt)
}

type someRuntime map[string]*sinsp.Container

func (r someRuntime) Container(id string) *sinsp.Container { return r[id] }

func TestARuntimeDescribesOtherContainers(t *testing.T) {
	id := strings.Repeat("ab", 32)
	state := someState()
	state.Threads[1].Cgroups = "cpu=/docker/" + id + "\x00"
	w := mustWorld(t, sinsp.Options{State: state, Runtime: someRuntime{id[:12]: {Name: "asked"}}})
	th := w.thread(100)
	require.Equal(t, id[:12], th.ContainerID)
	require.Equal(t, "asked", th.Container().Name)
	require.Nil(t, w.thread(200).Container())
	w.fork(100, 300)
	require.Equal(t, "", w.thread(300).ContainerID, "the event told other cgroups")
}

func TestContainersByCgroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	inner := strings.Repeat("fedcba9876543210", 4)
	for path, want := range map[string]string{
		"/":                                     "",
		"/user.slice":                           "",
		"/docker/" + id:                         id[:12],
		"/docker/" + id[:63]:                    "",
		"/docker/" + id + "g":                   "",
		"/system.slice/docker-" + id + ".scope": id[:12],
		"/kubepods/besteffort/pod1/" + id:       id[:12],
		"/kubepods.slice/crio-" + id + ".scope": id[:12],
		"/kubepods.slice/crio-" + id:            id[:12],
		"/kubepods.slice/cri-containerd-" + id + ".scope":  id[:12],
		"/kubepods-pod1.slice:cri-containerd:" + id:        id[:12],
		"/machine.slice/libpod-" + id + ".scope":           id[:12],
		"/machine.slice/libpod-" + id + ".scope/container": id[:12],
		"/docker/" + id + "/kubepods/" + inner:             inner[:12],
		"/docker/" + id + "/init.scope":                    id[:12],
		"/default/deadbeef":                                "deadbeef",
		"/default/notHex":                                  "",
		"/lxc/name":                                        "name",
		"/lxc.payload/name":                                "name",
		"/lxc.payload.name":                                "name",
		"/libvirt/lxc/vm.libvirt-lxc":                      "vm",
		`/machine.slice/machine-lxc\x2d7.scope`:            "7",
	} {
		state := &proc.State{Threads: []proc.Thread{{TID: 1, PID: 1, Cgroups: "cpu=/\x00memory=" + path + "\x00"}}}
		w := mustWorld(t, sinsp.Options{State: state})
		require.Equal(t, want, w.thread(1).ContainerID, path)
	}
}

// Two captures in one file: each has a state of its own.
func TestEachSectionHasItsState(t *testing.T) {
	var file bytes.Buffer
	for i := range 2 {
		state := someState()
		state.Threads[1].Comm = fmt.Sprint("shell", i)
		state.Threads[1].TID, state.Threads[1].PID = event.PID(500+i), event.PID(500+i)
		w, err := savefile.NewWriter(&file, savefile.WriterOptions{State: state})
		require.NoError(t, err)
		var ev event.Event
		require.NoError(t, ev.Reset(build(t, event.TypeGetpidExit, uint64(1000+i), event.PID(500+i), 1), 0))
		require.NoError(t, w.Write(&ev))
		require.NoError(t, w.Close())
	}
	r, err := savefile.NewReader(&file, savefile.Options{})
	require.NoError(t, err)
	in := sinsp.New(r, sinsp.Options{})
	for i := range 2 {
		ev, err := in.Next()
		require.NoError(t, err)
		require.EqualValues(t, i+1, ev.Num)
		require.Equal(t, fmt.Sprint("shell", i), ev.Thread.Comm)
		require.Nil(t, in.Thread(event.PID(501-i)))
	}
}

// A snapshot of a state that a scan told is that scan.
func TestASnapshotIsWhatAScanTold(t *testing.T) {
	state := someState()
	in := sinsp.New(scaptest.New(), sinsp.Options{State: state})
	state.Users = slices.Delete(state.Users, 1, 2) // the second name of an id
	require.Empty(t, proc.Diff(state, in.Snapshot(), "PidnsInitStart"))
}

func TestItemsAndLists(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	th := w.thread(100)
	v, ok := th.Getenv("A")
	require.True(t, ok)
	require.Equal(t, "b", v)
	_, ok = th.Getenv("HOM")
	require.False(t, ok)
	v, ok = th.Cgroup("memory")
	require.True(t, ok)
	require.Equal(t, "/m", v)
	var items []string
	for item := range sinsp.Items("a\x00\x00b") {
		items = append(items, item)
	}
	require.Equal(t, []string{"a", "", "b"}, items)
}

func TestLongPathsAreNotBelieved(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeOpenExit, 100, 9, "/"+strings.Repeat("x/", 600), 1, 0, 5, 6)
	require.Equal(t, "/DIR_TOO_LONG/FILENAME_TOO_LONG", w.name(100, 9))
}
