// SPDX-License-Identifier: Apache-2.0

package sinsp

import "net/netip"

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
	CPUSet     int64
	Memory     int64
	SwapLimit  int64
	CreatedAt  int64 // seconds since the Unix epoch
	Env        []string
	Labels     map[string]string
	Mounts     []Mount
	Ports      []PortMapping
	Health     []HealthProbe

	// User is the user that the image names.
	User string

	PodSandbox       bool
	PodSandboxID     string
	PodSandboxCNI    string // as JSON
	PodSandboxLabels map[string]string

	HostPID, HostNetwork, HostIPC bool
}

// Mount is a directory of a container that is mounted from outside.
type Mount struct {
	Source      string
	Dest        string
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

// HealthProbe is a command that checks a container: of Type "HealthCheck", "Liveness"
// or "Readiness".
type HealthProbe struct {
	Type string
	Exe  string
	Args []string
}

// containers has the containers by id.
type containers struct {
	byID map[string]*Container
}

func (c *containers) find(id string) *Container { return c.byID[id] }
