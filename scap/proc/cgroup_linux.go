// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// eventControllers are the controllers whose cgroups events tell, in their order.
var eventControllers = []string{"cpuset", "cpu", "cpuacct", "io", "memory"}

// cgroups tells which cgroup of a process counts for each controller. The version 2 hierarchy has one cgroup per process,
// but a controller that is not enabled that far down acts on one of its ancestors (cgroup-v2, "Enabling and Disabling").
type cgroups struct {
	mount   string   // of the version 2 hierarchy
	unified []string // its controllers; nil: not known
	cpuacct bool     // the kernel has cpuacct, which version 2 leaves in the root

	mu    sync.Mutex
	lists map[string]string          // by the text of /proc/PID/cgroup
	known map[string]map[string]bool // controllers that act on a cgroup, by its path
}

// controllersFile is the file of a cgroup with the controllers that act on it.
const controllersFile = "cgroup.controllers"

// maxCgroups is how many cgroups are remembered. Users can make as many as they like.
const maxCgroups = 1 << 14

func (s *scanner) newCgroups() *cgroups {
	c := &cgroups{lists: map[string]string{}, known: map[string]map[string]bool{}}
	for _, dir := range []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"} { // alone, or beside version 1
		mount := filepath.Join(s.root, dir)
		if text, err := os.ReadFile(filepath.Join(mount, controllersFile)); err == nil {
			c.mount, c.unified = mount, strings.Fields(string(text))
		}
	}
	for l := range bytes.Lines(s.rootFile("proc/cgroups")) {
		f := strings.Fields(string(l))
		if len(f) > 1 && f[0] == "cpuacct" && f[1] == "0" { // in no version 1 hierarchy
			c.cpuacct = true
		}
	}
	return c
}

// list returns /proc/PID/cgroup in the form of events: controller=path items, each with a NUL. First come those that events
// have, then the others.
func (c *cgroups) list(text []byte) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if list, ok := c.lists[string(text)]; ok {
		return list
	}
	paths, names := c.parse(text)
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var out strings.Builder
	for _, name := range names {
		out.WriteString(name + "=" + paths[name] + "\x00")
	}
	if len(c.lists) < maxCgroups {
		c.lists[string(text)] = out.String()
	}
	return out.String()
}

func rank(controller string) int {
	if i := slices.Index(eventControllers, controller); i >= 0 {
		return i
	}
	return len(eventControllers)
}

// parse returns the path of each controller, and the controllers in the order of the text.
func (c *cgroups) parse(text []byte) (paths map[string]string, names []string) {
	paths = map[string]string{}
	add := func(name, path string) {
		if name == "blkio" {
			name = "io" // the name in version 2 and in events
		}
		if _, ok := paths[name]; !ok { // a controller is in one hierarchy only
			paths[name] = path
			names = append(names, name)
		}
	}
	leaf, found := "", false
	for l := range bytes.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(string(l), "\n"), ":", 3)
		switch {
		case len(f) != 3 || strings.HasPrefix(f[1], "name="): // a hierarchy without controllers
		case f[1] == "":
			leaf, found = f[2], true
		default:
			for name := range strings.SplitSeq(f[1], ",") {
				add(name, f[2])
			}
		}
	}
	if !found {
		return paths, names
	}
	unified := c.unified
	if c.mount == "" {
		unified = []string{"cpuset", "cpu", "io", "memory"}
	}
	for _, name := range unified {
		add(name, c.effective(name, leaf))
	}
	if c.cpuacct {
		add("cpuacct", "/")
	}
	return paths, names
}

// effective returns the cgroup that the controller acts on: leaf or the nearest ancestor that has the controller.
func (c *cgroups) effective(controller, leaf string) string {
	if c.mount == "" || strings.Contains(leaf, "/..") { // above this process's cgroup namespace
		return leaf
	}
	for at := leaf; at != "/" && at != "."; at = path.Dir(at) {
		if c.controllers(at)[controller] {
			return at
		}
	}
	return "/"
}

func (c *cgroups) controllers(cgroup string) map[string]bool {
	if has, ok := c.known[cgroup]; ok {
		return has
	}
	has := map[string]bool{}
	text, _ := os.ReadFile(filepath.Join(c.mount, cgroup, controllersFile)) // of a cgroup that is gone there is none
	for _, name := range strings.Fields(string(text)) {
		has[name] = true
	}
	if len(c.known) < maxCgroups {
		c.known[cgroup] = has
	}
	return has
}
