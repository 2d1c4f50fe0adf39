// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"crypto/rand"
	"time"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// RunInfo describes a run as a whole.
type RunInfo struct {
	ID          string       `json:"id"`
	Tool        string       `json:"tool"`   // version of the program
	Schema      string       `json:"schema"` // version of the event schema
	Started     time.Time    `json:"started"`
	Seconds     float64      `json:"seconds"`
	Accelerator string       `json:"accelerator,omitempty"`
	AccelReason string       `json:"accelerator_reason,omitempty"`
	Shard       string       `json:"shard,omitempty"`   // i/n, if the run is one of several shards
	Partial     string       `json:"partial,omitempty"` // why results are missing
	Kernels     []KernelInfo `json:"kernels"`

	Subject *subject.Subject `json:"subject,omitempty"` // somebody else's driver that was judged
}

// KernelInfo describes a kernel that was used. Package and Version are empty for a kernel
// from a file and for the running kernel.
type KernelInfo struct {
	Name    string  `json:"name"`
	Arch    string  `json:"arch"`
	Release string  `json:"release,omitempty"` // uname -r
	Package string  `json:"package,omitempty"`
	Version string  `json:"version,omitempty"`
	Starts  []Start `json:"starts"`
}

// Start is how a guest started.
type Start struct {
	How     string  `json:"how"` // e.g. "cold boot in 1.9s"
	Seconds float64 `json:"seconds"`

	release string
}

// Release returns the release of a kernel of the report, "" if no guest of it has started.
func (r *Report) Release(kernel string) string {
	for _, run := range r.RunInfos() {
		for _, k := range run.Kernels {
			if k.Name == kernel && k.Release != "" {
				return k.Release
			}
		}
	}
	return ""
}

// newRunID returns a random ID.
func newRunID() string { return rand.Text() }

// started records how a guest started.
func (r *Report) started(k Kernel, h *guest.Hello, how string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts[k.Name] = append(r.starts[k.Name], Start{how, took.Seconds(), h.Release})
}

// RunInfos returns the runs that the report describes.
func (r *Report) RunInfos() []RunInfo {
	if r.Runs != nil || r.id == "" {
		return r.Runs
	}
	ended := r.ended
	if ended.IsZero() {
		ended = time.Now()
	}
	run := RunInfo{
		ID: r.id, Tool: r.opts.Tool, Schema: event.SchemaVersion,
		Started: r.begun.UTC().Truncate(time.Millisecond), Seconds: ended.Sub(r.begun).Seconds(),
		Accelerator: string(r.Accel.Name), AccelReason: r.Accel.Reason, Partial: r.Partial, Kernels: []KernelInfo{},
	}
	if r.opts.Shard.Partial() {
		run.Shard = r.opts.Shard.String()
	}
	for i := range r.opts.Kernels {
		k := &r.opts.Kernels[i]
		run.Subject = cmp.Or(run.Subject, k.Subject)
		info := KernelInfo{Name: k.Name, Arch: k.Arch, Release: k.Release, Package: k.Package.Name, Version: k.Package.Version,
			Starts: orEmpty(r.starts[k.Name])}
		for _, s := range info.Starts {
			info.Release = s.release
		}
		run.Kernels = append(run.Kernels, info)
	}
	return []RunInfo{run}
}
