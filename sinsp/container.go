// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Container is what the container events of a capture, or a [Runtime], tell of a
// container. What they do not tell is empty.
type Container struct {
	ID     string // as [Thread.ContainerID]
	FullID string
	Type   string // docker, podman, cri-o, containerd, lxc, ...
	Name   string

	Image       string // as it was asked for: name:tag
	ImageID     string
	ImageRepo   string
	ImageTag    string
	ImageDigest string

	IP         netip.Addr
	Privileged bool
	CPUShares  int64
	CPUQuota   int64
	CPUPeriod  int64
	CPUSet     int64 // number of CPUs
	Memory     int64 // limit in bytes
	SwapLimit  int64
	CreatedAt  int64 // seconds since the Unix epoch
	Env        []string
	Labels     map[string]string
	Mounts     []Mount
	Ports      []PortMapping
	Health     []HealthProbe
	User       string // that the image names

	PodSandbox       bool
	PodSandboxID     string
	PodSandboxCNI    string // as JSON
	PodSandboxLabels map[string]string

	HostPID, HostNetwork, HostIPC bool

	size int // bytes of text it is counted for
}

// Mount is a directory of a container that is mounted from outside.
type Mount struct {
	Source      string
	Dest        string `json:"Destination"`
	Mode        string
	RW          bool
	Propagation string
}

// PortMapping is a port of a container that the host forwards.
type PortMapping struct {
	HostIP        netip.Addr
	HostPort      uint16
	ContainerPort uint16
}

// HealthProbe is a command that checks a container: of Type "HealthCheck",
// "LivenessProbe" or "ReadinessProbe".
type HealthProbe struct {
	Type string
	Exe  string
	Args []string
}

// containers has the containers by id.
type containers struct {
	byID map[string]*Container
}

const (
	maxContainers    = 1 << 14
	maxContainerJSON = 1 << 20 // bytes
)

func (c *containers) reset() { c.byID = map[string]*Container{} }

// container returns the container of that id, from the runtime if no event has
// described it; nil: not known.
func (s *state) container(id string) *Container {
	if c := s.containers.byID[id]; c != nil || s.opts.Runtime == nil {
		return c
	}
	c := s.opts.Runtime.Container(id)
	if c != nil && len(s.containers.byID) < maxContainers {
		s.containers.byID[id] = c
	}
	return c
}

// containerTypes are the numbers that container events have.
var containerTypes = map[int]string{
	0: "docker", 1: "lxc", 2: "libvirt-lxc", 3: "mesos", 4: "rkt", 5: "custom", 6: "cri", 7: "containerd", 8: "cri-o", 9: "bpm",
	10: "static", 11: "podman",
}

// containerJSON is a container event's text.
type containerJSON struct {
	Container struct {
		ID             string            `json:"id"`
		FullID         string            `json:"full_id"`
		Type           int               `json:"type"`
		Name           string            `json:"name"`
		Image          string            `json:"image"`
		ImageID        string            `json:"imageid"`
		ImageRepo      string            `json:"imagerepo"`
		ImageTag       string            `json:"imagetag"`
		ImageDigest    string            `json:"imagedigest"`
		IP             string            `json:"ip"`
		Privileged     bool              `json:"privileged"`
		CPUShares      int64             `json:"cpu_shares"`
		CPUQuota       int64             `json:"cpu_quota"`
		CPUPeriod      int64             `json:"cpu_period"`
		CPUSet         int64             `json:"cpuset_cpu_count"`
		Memory         int64             `json:"memory_limit"`
		SwapLimit      int64             `json:"swap_limit"`
		CreatedAt      int64             `json:"created_time"`
		Env            []string          `json:"env"`
		Labels         map[string]string `json:"labels"`
		Mounts         []Mount           `json:"Mounts"`
		Ports          []portJSON        `json:"port_mappings"`
		User           string            `json:"User"`
		PodSandbox     bool              `json:"is_pod_sandbox"`
		PodSandboxID   string            `json:"pod_sandbox_id"`
		CNI            string            `json:"cni_json"`
		PodLabels      map[string]string `json:"pod_sandbox_labels"`
		HostPID        bool              `json:"host_pid"`
		HostNetwork    bool              `json:"host_network"`
		HostIPC        bool              `json:"host_ipc"`
		HealthCheck    *probeJSON        `json:"Healthcheck"`
		LivenessProbe  *probeJSON        `json:"LivenessProbe"`
		ReadinessProbe *probeJSON        `json:"ReadinessProbe"`
	} `json:"container"`
}

type portJSON struct {
	HostIP        json.RawMessage `json:"HostIp"` // a number or text
	HostPort      uint16          `json:"HostPort"`
	ContainerPort uint16          `json:"ContainerPort"`
}

type probeJSON struct {
	Exe  string   `json:"exe"`
	Args []string `json:"args"`
}

// addContainer takes in a container event's text. Fields of another type than expected
// stay empty.
func (s *state) addContainer(text []byte) {
	if len(text) > maxContainerJSON {
		s.stats.DroppedText++
		return
	}
	var all containerJSON
	if err := json.Unmarshal(text, &all); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); !errors.As(err, &wrong) {
			s.stats.Corrupt++
			return
		}
	}
	j := &all.Container
	if j.ID == "" {
		return
	}
	old := s.containers.byID[j.ID]
	if old == nil && len(s.containers.byID) >= maxContainers {
		s.stats.DroppedText++
		return
	}
	if old != nil {
		s.stats.Text -= old.size
		delete(s.containers.byID, j.ID)
	}
	if s.stats.Text+len(text) > s.limits.Text {
		s.stats.DroppedText++
		return
	}
	s.stats.Text += len(text)
	c := &Container{
		ID: j.ID, FullID: j.FullID, Type: containerTypes[j.Type], Name: j.Name,
		Image: j.Image, ImageID: j.ImageID, ImageRepo: j.ImageRepo, ImageTag: j.ImageTag, ImageDigest: j.ImageDigest,
		Privileged: j.Privileged, CPUShares: j.CPUShares, CPUQuota: j.CPUQuota, CPUPeriod: j.CPUPeriod, CPUSet: j.CPUSet,
		Memory: j.Memory, SwapLimit: j.SwapLimit, CreatedAt: j.CreatedAt, Env: j.Env, Labels: j.Labels, Mounts: j.Mounts, User: j.User,
		PodSandbox: j.PodSandbox, PodSandboxID: j.PodSandboxID, PodSandboxCNI: j.CNI, PodSandboxLabels: j.PodLabels,
		HostPID: j.HostPID, HostNetwork: j.HostNetwork, HostIPC: j.HostIPC,
		size: len(text),
	}
	c.IP, _ = netip.ParseAddr(j.IP)
	for _, p := range j.Ports {
		c.Ports = append(c.Ports, PortMapping{hostIP(p.HostIP), p.HostPort, p.ContainerPort})
	}
	for _, p := range []struct {
		typ   string
		probe *probeJSON
	}{{"HealthCheck", j.HealthCheck}, {"LivenessProbe", j.LivenessProbe}, {"ReadinessProbe", j.ReadinessProbe}} {
		if p.probe != nil {
			c.Health = append(c.Health, HealthProbe{p.typ, p.probe.Exe, p.probe.Args})
		}
	}
	s.containers.byID[c.ID] = c
}

// hostIP reads an address that is a number in host byte order, or text.
func hostIP(raw json.RawMessage) netip.Addr {
	if n, err := strconv.ParseUint(string(raw), 10, 32); err == nil {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	a, _ := netip.ParseAddr(strings.Trim(string(raw), `"`))
	return a
}

// setCgroups stores the cgroups of t and the container that they name.
func (s *state) setCgroups(t *Thread, list []byte) {
	if string(list) == t.Cgroups {
		return
	}
	s.setText(&t.Cgroups, list)
	s.containerOf(t)
}

func (s *state) containerOf(t *Thread) {
	t.ContainerID = ""
	for item := range Items(t.Cgroups) {
		if _, path, ok := strings.Cut(item, "="); ok {
			if id := containerID(path); id != "" {
				t.ContainerID = s.texts.of(append(s.path[:0], id...))
				return
			}
		}
	}
}

// idLength is the number of digits of a container's id that are shown.
const idLength = 12

// containerID returns the id of the innermost container that a cgroup's path names; "":
// none.
func containerID(path string) string {
	for path != "" {
		at := strings.LastIndexByte(path, '/')
		if id := idOf(path[:max(at, 0)], path[at+1:]); id != "" {
			return id
		}
		path = path[:max(at, 0)]
	}
	return ""
}

// affixes are what runtimes write around the 64 digits of an id.
var affixes = []struct{ prefix, suffix string }{
	{"", ""},
	{"docker-", ".scope"},
	{"crio-", ".scope"},
	{"crio-", ""},
	{"cri-containerd-", ".scope"},
	{"libpod-", ".scope"},
	{"libpod-", ""},
}

// idOf returns the id of the container that the cgroup name below parent is.
func idOf(parent, name string) string {
	if i := strings.LastIndex(name, ":cri-containerd:"); i >= 0 {
		name = name[i+len(":cri-containerd:"):]
	}
	for _, a := range affixes {
		id, ok := strings.CutPrefix(name, a.prefix)
		if !ok {
			continue
		}
		if id, ok = strings.CutSuffix(id, a.suffix); ok && len(id) == 64 && hex(id) {
			return id[:idLength]
		}
	}
	switch {
	case strings.HasSuffix(parent, "/default") && name != "" && hex(name): // containerd's own client
		return name
	case strings.HasSuffix(parent, "/lxc"), strings.HasSuffix(parent, "/lxc.payload"), strings.HasSuffix(parent, "/libvirt/lxc"):
		return strings.TrimSuffix(name, ".libvirt-lxc")
	}
	if id, ok := strings.CutPrefix(name, "lxc.payload."); ok {
		return id
	}
	if _, id, ok := strings.Cut(name, `-lxc\x2d`); ok {
		return strings.TrimSuffix(id, ".scope")
	}
	if id, ok := strings.CutPrefix(name, "bpm-"); ok {
		return strings.TrimSuffix(id, ".scope")
	}
	return ""
}

func hex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
