// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"github.com/scaplab/scaplab/driver/bpf"
)

// Verified says how much work a program is for the verifier of the running kernel. What the kernel does not report is 0.
type Verified struct {
	Program      string
	Instructions int           // of the program, with the functions that it calls
	Processed    int           // that the verifier looked at, on all paths
	States       int           // that it kept in total
	PeakStates   int           // that it kept at once
	Stack        int           // bytes, of all functions of the program together
	Took         time.Duration // time of the verifier
	Err          error         // the kernel refused it; other numbers may be missing
}

// Verify loads every program of the objects into the running kernel and returns what the verifier says of each, by name. It
// attaches nothing. dir has objects that were compiled in another way; "" takes those of this program.
func Verify(dir string) ([]Verified, error) {
	d, err := Load(Options{InPlace: true, objects: dir})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	for _, object := range bpf.Names() {
		spec, err := d.readObject(object)
		if err != nil {
			return nil, err
		}
		for name := range spec.Programs {
			d.spec.Programs[name] = spec.Programs[name]
			names = append(names, name)
		}
		d.objects[object] = true
	}
	var all []Verified
	for chunk := range slices.Chunk(names, 50) { // together, so that the kernel's types are read once for all of them
		all = append(all, d.verify(chunk)...)
	}
	slices.SortFunc(all, func(a, b Verified) int { return strings.Compare(a.Program, b.Program) })
	return all, nil
}

// verify loads programs, and each half by itself if the kernel refuses one.
func (d *Driver) verify(names []string) []Verified {
	coll, err := d.collection(names, ebpf.LogLevelStats)
	if err != nil && len(names) > 1 {
		return append(d.verify(names[:len(names)/2]), d.verify(names[len(names)/2:])...)
	}
	if err != nil {
		return []Verified{{Program: names[0], Instructions: d.length(names[0]), Err: err}}
	}
	defer coll.Close()
	var all []Verified
	for _, name := range slices.Sorted(maps.Keys(coll.Programs)) {
		v := parseStats(coll.Programs[name].VerifierLog)
		v.Program, v.Instructions = name, d.length(name)
		all = append(all, v)
	}
	return all
}

// length returns the number of a program's instructions, in units of 8 bytes as the kernel counts them.
func (d *Driver) length(name string) (n int) {
	code := d.spec.Programs[name].Instructions
	for i := range code {
		n += int(code[i].Width())
	}
	return n
}

var (
	processedRE = regexp.MustCompile(`(?m)^processed (\d+) insns .* total_states (\d+) peak_states (\d+)`)
	stackRE     = regexp.MustCompile(`(?m)^stack depth ([0-9+]+)`)
	tookRE      = regexp.MustCompile(`(?m)^verification time (\d+) usec`)
)

// parseStats reads the lines that the verifier ends its log with.
func parseStats(log string) (v Verified) {
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // the patterns have digits only
		return n
	}
	if m := processedRE.FindStringSubmatch(log); m != nil {
		v.Processed, v.States, v.PeakStates = number(m[1]), number(m[2]), number(m[3])
	}
	if m := stackRE.FindStringSubmatch(log); m != nil {
		for part := range strings.SplitSeq(m[1], "+") {
			v.Stack += number(part)
		}
	}
	if m := tookRE.FindStringSubmatch(log); m != nil {
		v.Took = time.Duration(number(m[1])) * time.Microsecond
	}
	return v
}

// readObject reads an object of the directory that Options say.
func (d *Driver) readObject(name string) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadFrom(d.opts.objects, name)
	if err != nil {
		return nil, fmt.Errorf("read eBPF object: %w", err)
	}
	return spec, nil
}
