// SPDX-License-Identifier: Apache-2.0

package field

import (
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/scaplab/scaplab/sinsp"
)

var containerClass = &Class{
	Name: "container",
	Desc: "the container that the thread is in; all but the id needs a container event in the capture",
	Fields: []Field{
		{Name: "container.id", Type: String,
			Desc:    "first 12 digits of the id, host outside of containers",
			Extract: self(containerIDOf)},
		{Name: "container.full_id", Type: String,
			Desc:    "id",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.FullID) })},
		{Name: "container.name", Type: String,
			Desc:    "name, host outside of containers",
			Extract: hostOr(func(c *sinsp.Container, v *Value) bool { return v.present(c.Name) })},
		{Name: "container.image", Type: String,
			Desc:    "image as it was asked for: nginx:1.27",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.Image) })},
		{Name: "container.image.id", Type: String,
			Desc:    "id of the image",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.ImageID) })},
		{Name: "container.type", Type: String,
			Desc:    "what runs it: docker, podman, cri-o, containerd, lxc, ...; host outside of containers",
			Extract: hostOr(func(c *sinsp.Container, v *Value) bool { return v.present(c.Type) })},
		{Name: "container.privileged", Type: Bool,
			Desc:    "whether it is privileged",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.SetBool(c.Privileged) })},
		{Name: "container.mounts", Type: String,
			Desc:    "all mounts as SOURCE:DEST:MODE:RDWR:PROPAGATION, separated by blanks",
			Extract: inside(mounts)},
		{Name: "container.mount", Type: String, Arg: ArgIndex | ArgKey,
			Desc:    "a mount as in container.mounts, by its number or source, which may have wildcards",
			Extract: mount(mountSource, appendMount)},
		{Name: "container.mount.source", Type: String, Arg: ArgIndex | ArgKey,
			Desc:    "source of a mount, by its number or destination",
			Extract: mount(mountDest, func(dst []byte, m *sinsp.Mount) []byte { return append(dst, m.Source...) })},
		{Name: "container.mount.dest", Type: String, Arg: ArgIndex | ArgKey,
			Desc:    "destination of a mount, by its number or source",
			Extract: mount(mountSource, func(dst []byte, m *sinsp.Mount) []byte { return append(dst, m.Dest...) })},
		{Name: "container.mount.mode", Type: String, Arg: ArgIndex | ArgKey,
			Desc:    "mode of a mount, by its number or destination",
			Extract: mount(mountDest, func(dst []byte, m *sinsp.Mount) []byte { return append(dst, m.Mode...) })},
		{Name: "container.mount.rdwr", Type: String, Arg: ArgIndex | ArgKey,
			Desc:    "true if a mount may be written to, by its number or destination",
			Extract: mount(mountDest, func(dst []byte, m *sinsp.Mount) []byte { return strconv.AppendBool(dst, m.RW) })},
		{Name: "container.mount.propagation", Type: String, Arg: ArgIndex | ArgKey,
			Desc:    "propagation of a mount, by its number or destination",
			Extract: mount(mountDest, func(dst []byte, m *sinsp.Mount) []byte { return append(dst, m.Propagation...) })},
		{Name: "container.image.repository", Type: String,
			Desc:    "image without its tag: docker.io/library/nginx",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.ImageRepo) })},
		{Name: "container.image.tag", Type: String,
			Desc:    "tag of the image: 1.27",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.ImageTag) })},
		{Name: "container.image.digest", Type: String,
			Desc:    "digest of the image: sha256:...",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.ImageDigest) })},
		{Name: "container.healthcheck", Type: String, Flags: Deprecated,
			Desc:    "command that checks the container's health",
			Extract: probe("HealthCheck")},
		{Name: "container.liveness_probe", Type: String, Flags: Deprecated,
			Desc:    "command that checks whether the container lives",
			Extract: probe("LivenessProbe")},
		{Name: "container.readiness_probe", Type: String, Flags: Deprecated,
			Desc:    "command that checks whether the container is ready",
			Extract: probe("ReadinessProbe")},
		{Name: "container.start_ts", Type: AbsTime,
			Desc:    "when it was made, in ns since the Unix epoch",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return known(startOf(c), v) })},
		{Name: "container.duration", Type: RelTime,
			Desc:    "ns since it was made",
			Extract: extractContainerDuration},
		{Name: "container.ip", Type: String,
			Desc:    "address",
			Extract: inside(containerIP)},
		{Name: "container.cni.json", Type: String,
			Desc:    "what the network plugin told, as JSON",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.PodSandboxCNI) })},
		{Name: "container.host_pid", Type: Bool,
			Desc:    "whether it shares the host's pid namespace",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.SetBool(c.HostPID) })},
		{Name: "container.host_network", Type: Bool,
			Desc:    "whether it shares the host's network namespace",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.SetBool(c.HostNetwork) })},
		{Name: "container.host_ipc", Type: Bool,
			Desc:    "whether it shares the host's ipc namespace",
			Extract: inside(func(c *sinsp.Container, v *Value) bool { return v.SetBool(c.HostIPC) })},
		{Name: "container.label", Type: String, Arg: ArgKey,
			Desc:    "a label",
			Extract: label(func(c *sinsp.Container) map[string]string { return c.Labels })},
		{Name: "container.labels", Type: String,
			Desc:    "all labels as KEY:VALUE, separated by commas",
			Extract: labels(func(c *sinsp.Container) map[string]string { return c.Labels })},
	},
}

// host is the id, the name and the type of what is in no container.
const host = "host"

// ofContainer sets v to something about a container; false: it is missing.
type ofContainer func(c *sinsp.Container, v *Value) bool

func containerOf(ev *sinsp.Event) *sinsp.Container {
	if ev.Thread == nil {
		return nil
	}
	return ev.Thread.Container()
}

// inside makes an extract about the thread's container.
func inside(set ofContainer) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		c := containerOf(ev)
		return c != nil && set(c, v)
	}
}

// hostOr makes an extract about the thread's container, or the word host.
func hostOr(set ofContainer) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		if ev.Thread != nil && ev.Thread.ContainerID == "" {
			return v.SetString(host)
		}
		c := containerOf(ev)
		return c != nil && set(c, v)
	}
}

func containerIDOf(t *sinsp.Thread, v *Value) bool {
	if t.ContainerID == "" {
		return v.SetString(host)
	}
	return v.SetString(t.ContainerID)
}

// Mounts.

func appendMount(dst []byte, m *sinsp.Mount) []byte {
	for _, s := range [...]string{m.Source, m.Dest, m.Mode} {
		dst = append(append(dst, s...), ':')
	}
	dst = append(strconv.AppendBool(dst, m.RW), ':')
	return append(dst, m.Propagation...)
}

func mounts(c *sinsp.Container, v *Value) bool {
	b := v.Scratch()
	for i := range c.Mounts {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendMount(b, &c.Mounts[i])
	}
	return v.SetScratch(b) && len(c.Mounts) > 0
}

func mountSource(m *sinsp.Mount) string { return m.Source }
func mountDest(m *sinsp.Mount) string   { return m.Dest }

// mount makes an extract about the mount that an argument means: by its number, or by a
// path, in which * and ? stand for anything but slashes.
func mount(key func(*sinsp.Mount) string, add func([]byte, *sinsp.Mount) []byte) extract {
	return func(ev *sinsp.Event, arg *Arg, v *Value) bool {
		c := containerOf(ev)
		if c == nil {
			return false
		}
		for i := range c.Mounts {
			m := &c.Mounts[i]
			if arg.Form == ArgIndex {
				if uint64(i) != arg.Index {
					continue
				}
			} else if ok, err := path.Match(arg.Text, key(m)); !ok && (err == nil || key(m) != arg.Text) {
				continue
			}
			return v.SetScratch(add(v.Scratch(), m))
		}
		return false
	}
}

// Times.

func startOf(c *sinsp.Container) uint64 {
	if c.CreatedAt <= 0 || c.CreatedAt > 1<<33 {
		return 0
	}
	return uint64(c.CreatedAt) * second
}

func extractContainerDuration(ev *sinsp.Event, _ *Arg, v *Value) bool {
	c := containerOf(ev)
	return c != nil && between(startOf(c), ev.Timestamp(), v)
}

func containerIP(c *sinsp.Container, v *Value) bool {
	return c.IP.IsValid() && v.SetScratch(c.IP.AppendTo(v.Scratch()))
}

// Commands.

// probe makes an extract of the command of a health check.
func probe(kind string) extract {
	return inside(func(c *sinsp.Container, v *Value) bool {
		for i := range c.Health {
			if p := &c.Health[i]; p.Type == kind {
				b := append(v.Scratch(), p.Exe...)
				for _, arg := range p.Args {
					b = append(append(b, ' '), arg...)
				}
				return v.SetScratch(b)
			}
		}
		return false
	})
}

// Labels.

// label makes an extract of the label that an argument names.
func label(of func(*sinsp.Container) map[string]string) extract {
	return func(ev *sinsp.Event, arg *Arg, v *Value) bool {
		c := containerOf(ev)
		if c == nil {
			return false
		}
		value, ok := of(c)[arg.Text]
		return ok && v.SetString(value)
	}
}

// labels makes an extract of all labels, in the order of their names.
func labels(of func(*sinsp.Container) map[string]string) extract {
	return inside(func(c *sinsp.Container, v *Value) bool {
		b := v.Scratch()
		for _, name := range slices.Sorted(maps.Keys(of(c))) {
			if len(b) > 0 {
				b = append(b, ", "...)
			}
			b = append(append(append(b, name...), ':'), of(c)[name]...)
		}
		return v.SetScratch(b) && len(b) > 0
	})
}
