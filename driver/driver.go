// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/clock"
	"github.com/scaplab/scaplab/internal/env"
)

// Limits of events and defaults of settings.
const (
	EventMax       = abi.EventMax // bytes of an event
	SnaplenDefault = abi.SnaplenDefault
	SnaplenMax     = abi.SnaplenMax
	StatsdPort     = abi.StatsdPort // default of Settings.StatsdPort

	// RingSize is the size of a ring unless Options say otherwise.
	RingSize = abi.RingBytes
)

// Options of Load. The zero value selects nothing.
type Options struct {
	Select      Selection
	Settings    Settings
	RingSize    int // bytes, a power of two and a multiple of the page; 0: RingSize, of rings in place SegmentSize
	CPUsPerRing int // CPUs that share a ring; 0: all share one; only without InPlace

	// InPlace makes a ring of our own for each CPU, in which programs build events
	// in place, if this kernel and RingSize allow it: see Driver.InPlace.
	InPlace bool

	// RawTracepoints attaches the programs as raw tracepoints, as on kernels
	// whose BTF does not describe tracepoints.
	RawTracepoints bool
	// PerfTracepoints attaches the dispatchers through perf, as on kernels whose
	// tracepoints call programs with preemption on. Needs tracefs.
	PerfTracepoints bool

	objects string // directory of the objects; "": those of this program
}

// Selection is what to capture.
type Selection struct {
	All         bool     // every syscall
	Syscalls    []string // by name
	Tracepoints []string // see Tracepoints
	Enter       bool     // also enter events, of the selected syscalls that have one
}

// Tracepoints returns the names a Selection may use besides syscalls.
func Tracepoints() []string {
	names := []string{"sched_process_exit", "sched_switch", "signal_deliver"}
	if runtime.GOARCH == "amd64" {
		names = append(names, "page_fault_user", "page_fault_kernel")
	}
	return names
}

// Settings may change while programs run.
type Settings struct {
	Snaplen        int    // bytes of payload; 0: SnaplenDefault
	SamplingRatio  uint32 // in dropping mode 1/ratio of each second is kept
	Dropping       bool   // dropping mode
	DropFailed     bool   // no exit events of failed syscalls
	DynamicSnaplen bool   // longer payloads on some ports
	FullPorts      [2]uint16
	StatsdPort     uint16 // 0: StatsdPort
	WakeBytes      uint32 // wake readers of a ring once per so many bytes of a CPU; 0: never
}

// Driver is the eBPF programs and maps that Load loaded.
type Driver struct {
	opts     Options
	spec     *ebpf.CollectionSpec // the core, and of other objects the programs
	objects  map[string]bool      // the objects whose programs spec has
	coll     *ebpf.Collection     // the maps
	programs map[string]*ebpf.Program
	refused  map[string]*Refusal
	rings    []Ring
	cpus     int
	hasRing  []bool       // by CPU
	mapped   *ebpf.Memory // array of bpf.CPU
	links    map[string]link.Link
	fired    map[string]bool // programs that have been attached
	inPlace  bool
	offset   atomic.Uint64 // what the clock of events is ahead of the time since boot
	perf     bool          // perf calls the dispatchers, see call_regs in bpf/arch.h
	selected Selection
	wanted   map[string]string // program -> tracepoint
	attached bool
	settings sync.Mutex // held while the settings are written
}

// Ring is one ring and the CPUs that write to it.
type Ring struct {
	Map  *ebpf.Map // BPF_MAP_TYPE_RINGBUF; of a driver that is InPlace an array, to be mapped
	Size int
	CPUs []int
}

// The layout of a ring that is written in place; struct segment of bpf/maps.h explains it.
const (
	SegmentSize = 4 << 20
	segmentRoom = 2*EventMax + 4*4096

	// SegmentEnd is the last place in a segment where an event may start.
	SegmentEnd = SegmentSize - segmentRoom
)

// Positions is where the positions of a CPU's ring are that is written in place.
type Positions struct {
	Map        *ebpf.Map // to be mapped
	Size       int       // bytes of the map
	Head, Tail int       // offsets of two uint64: up to where the driver has written, and the reader has read
}

// Counters count events since Load: Seen is the sum of all the others once no
// program is running.
type Counters struct {
	Seen          uint64
	Delivered     uint64
	DropBuffer    uint64 // the ring was full
	DropTooLarge  uint64 // the event was longer than EventMax
	DropScratch   uint64 // it interrupted an event that was being built
	DropNoProgram uint64 // the kernel refused its program
	Missed        uint64 // runs that the kernel skipped (recursion); may include hits that would not have made an event
	DropNoRing    uint64 // its CPU has no ring
	DropMessages  uint64 // a message of sendmmsg or recvmmsg beyond those that get an event
}

// Refusal is a program that this kernel refused to load or to attach.
type Refusal struct {
	Program string
	Err     error // *ebpf.VerifierError, or an earlier failure; %+v prints the verifier's log
}

func (r *Refusal) Error() string { return fmt.Sprintf("program %s: %s", r.Program, short(r.Err)) }

func (r *Refusal) Unwrap() error { return r.Err }

// Format prints the whole verifier log with %+v.
func (r *Refusal) Format(s fmt.State, verb rune) {
	var ve *ebpf.VerifierError
	if verb == 'v' && s.Flag('+') && errors.As(r.Err, &ve) {
		fmt.Fprintf(s, "program %s: %+v", r.Program, ve)
		return
	}
	fmt.Fprint(s, r.Error())
}

// short returns the reason without the log: the verifier's last line. Since 7.3 a
// report of several paragraphs follows that line.
func short(err error) string {
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) {
		return err.Error()
	}
	log := ve.Log
	if i := slices.IndexFunc(log, func(line string) bool { return strings.Contains(line, "Verification failed: ") }); i > 0 {
		log = log[:i]
	}
	for _, line := range slices.Backward(log) {
		line = strings.TrimSpace(line)
		if line != "" && !slices.ContainsFunc(afterwords, func(p string) bool { return strings.HasPrefix(line, p) }) {
			return fmt.Sprintf("%v: %s", ve.Cause, line)
		}
	}
	return ve.Cause.Error()
}

// afterwords are the prefixes of the lines that the verifier writes after its reason.
var afterwords = []string{"processed ", "verification time ", "stack depth ", "mark_precise: "}

// Load makes the maps and loads the programs that opts.Select needs. Nothing fires
// before Attach. Refused lists the programs that the kernel refuses; Load fails
// only if a dispatcher is refused.
func Load(opts Options) (*Driver, error) {
	if err := env.MayLoadPrograms(); err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory, which kernels before 5.11 count maps in (CAP_SYS_RESOURCE may): %w", err)
	}
	spec, err := bpf.LoadFrom(opts.objects, bpf.Core)
	if err != nil {
		return nil, fmt.Errorf("read eBPF object: %w", err)
	}
	inPlace := opts.InPlace && (opts.RingSize == 0 || opts.RingSize >= SegmentSize) && canWriteInPlace(opts.RawTracepoints)
	if opts.RingSize == 0 && inPlace {
		opts.RingSize = SegmentSize
	}
	if opts.RingSize == 0 {
		opts.RingSize = RingSize
	}
	if opts.RingSize&(opts.RingSize-1) != 0 || opts.RingSize%os.Getpagesize() != 0 {
		return nil, fmt.Errorf("ring size %d is not a power of two and a multiple of the page size", opts.RingSize)
	}
	d := &Driver{
		opts:     opts,
		spec:     spec,
		objects:  map[string]bool{bpf.Core: true},
		programs: make(map[string]*ebpf.Program),
		refused:  make(map[string]*Refusal),
		links:    make(map[string]link.Link),
		fired:    make(map[string]bool),
		inPlace:  inPlace,
		perf:     opts.PerfTracepoints || !opts.RawTracepoints && preemptible() && canPerf(),
	}
	if err := d.load(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Driver) load() error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count CPUs: %w", err)
	}
	d.cpus, d.hasRing = cpus, make([]bool, cpus)
	for _, name := range []string{"cpus", "scratch", "rings", "own_rings"} {
		m := d.spec.Maps[name]
		if m == nil {
			return fmt.Errorf("eBPF object has no map %s", name)
		}
		m.MaxEntries = uint32(cpus)
	}
	if d.inPlace {
		d.spec.Maps["own_rings"].InnerMap.MaxEntries = uint32(d.opts.RingSize / SegmentSize)
		d.spec.Maps["scratch"].MaxEntries = 1 // not used
	} else {
		d.spec.Maps["rings"].InnerMap.MaxEntries = uint32(d.opts.RingSize)
		small(d.spec.Maps["own_rings"].InnerMap)
	}
	if err := d.constants(); err != nil {
		return err
	}
	d.coll, err = ebpf.NewCollection(&ebpf.CollectionSpec{
		Maps: d.spec.Maps, Variables: d.spec.Variables, Types: d.spec.Types, ByteOrder: d.spec.ByteOrder,
	})
	if err != nil {
		return fmt.Errorf("make maps: %w", err)
	}
	online, err := onlineCPUs()
	if err != nil {
		return fmt.Errorf("list CPUs: %w", err)
	}
	if err := d.makeRings(online); err != nil {
		return err
	}
	d.mapped, err = d.coll.Maps["cpus"].Memory()
	if err != nil {
		return fmt.Errorf("map counters: %w", err)
	}
	if err := d.Set(d.opts.Settings); err != nil {
		return err
	}
	return d.Select(d.opts.Select)
}

// constants sets the variables that the verifier takes as constants.
func (d *Driver) constants() error {
	set := func(name string, value any) error {
		v := d.spec.Variables[name]
		if v == nil {
			return fmt.Errorf("eBPF object has no variable %s", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
		return nil
	}
	var codes [Syscalls]uint16
	for i := range ids {
		if nr := ids[i].NR.on(runtime.GOARCH); nr >= 0 && int(nr) < Syscalls {
			codes[nr] = ids[i].Code
		}
	}
	return errors.Join(
		set("btf_tp", !d.opts.RawTracepoints),
		set("perf_tp", d.perf),
		set("may_preempt", preemptible()),
		set("guard", !d.opts.RawTracepoints && preemptible() && canGuard()),
		set("page_shift", uint32(pageShift())),
		set("counted_cpus", countedCPUs(d.cpus)),
		set("in_place", d.inPlace),
		set("ring_size", uint64(d.opts.RingSize)),
		set("syscall_code", codes),
	)
}

// Constants returns the variables of the objects that Load sets by the kernel's types, as it does with the default options: the
// verifier takes them as constants, so that code for other kernels is not looked at.
func Constants(kernel *btf.Spec) map[string]any {
	preempt := tracepointsPreempt(kernel)
	return map[string]any{
		"btf_tp": true, "perf_tp": preempt && helpsPerf(kernel), "may_preempt": preempt, "guard": preempt && hasGuard(kernel),
		"counted_cpus": countedCPUs(1), // how many there are does not matter
	}
}

// countedCPUs returns the number of CPUs whose counts of pages programs add up: all of the
// possible ones, or none if they are more than MOST_COUNTED_CPUS of bpf/kernel.h.
func countedCPUs(possible int) uint32 {
	const most = 64
	if possible > most {
		return 0
	}
	return uint32(possible)
}

// preemptible reports whether this kernel's tracepoints may call programs with preemption on, as they do since 7.0
// (kernel commit a46023d5616e) and in kernels of distributions that have taken over the change.
var preemptible = sync.OnceValue(func() bool {
	spec, err := btf.LoadKernelSpec()
	return err != nil || tracepointsPreempt(spec)
})

// tracepointsPreempt reports whether a kernel with these types may call the programs of tracepoints with preemption on:
// it has SRCU-fast, which came in 6.15, and a domain of it for tracepoints, of which a variable for each CPU is part.
// Kernels up to 6.12 had a domain of that name for something else. Without a description of such variables, it may.
func tracepointsPreempt(spec *btf.Spec) bool {
	var data *btf.Struct
	if err := spec.TypeByName("srcu_data", &data); err != nil {
		return true
	}
	if !slices.ContainsFunc(data.Members, func(m btf.Member) bool { return m.Name == "srcu_ctrs" }) {
		return false
	}
	var perCPU *btf.Datasec
	if err := spec.TypeByName(".data..percpu", &perCPU); err != nil {
		return true
	}
	return slices.ContainsFunc(perCPU.Vars, func(v btf.VarSecinfo) bool {
		variable, ok := v.Type.(*btf.Var)
		return ok && variable.Name == "tracepoint_srcu_srcu_data"
	})
}

// canWriteInPlace reports whether a CPU runs one program at a time, as rings that are written in place need it: they
// exclude page faults only. It also needs stores that other CPUs see in order.
func canWriteInPlace(raw bool) bool {
	return runtime.GOARCH == "amd64" && !realTime() && (!preemptible() || !raw && canGuard())
}

// realTime reports whether this is a PREEMPT_RT kernel, whose programs are preemptible: its mutexes wrap another lock.
func realTime() bool {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return true
	}
	var mutex *btf.Struct
	err = spec.TypeByName("mutex", &mutex)
	return err != nil || !slices.ContainsFunc(mutex.Members, func(m btf.Member) bool { return m.Name == "owner" })
}

// small makes the map take little memory; only its type counts then.
func small(m *ebpf.MapSpec) {
	m.Value, m.ValueSize = nil, 8
}

// canPerf reports whether perf can call the dispatchers, which find the registers of a call by a helper of 5.15.
func canPerf() bool {
	spec, err := btf.LoadKernelSpec()
	return err == nil && haveTracefs() && helpsPerf(spec)
}

func helpsPerf(spec *btf.Spec) bool {
	var helpers *btf.Enum
	return spec.TypeByName("bpf_func_id", &helpers) == nil &&
		slices.ContainsFunc(helpers.Values, func(v btf.EnumValue) bool { return v.Name == "BPF_FUNC_task_pt_regs" })
}

// haveTracefs reports whether tracefs has the ids by which perf attaches to the dispatchers' tracepoints.
func haveTracefs() bool {
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		if _, err := os.Stat(dir + "/events/raw_syscalls/sys_exit/id"); err == nil {
			return true
		}
	}
	return false
}

// canGuard reports whether programs may disable preemption. The kernel allows it
// since 6.15 in programs with global functions; it costs some 30 ns an event.
func canGuard() bool {
	spec, err := btf.LoadKernelSpec()
	return err == nil && hasGuard(spec)
}

func hasGuard(spec *btf.Spec) bool {
	var f *btf.Func
	return spec.TypeByName("bpf_preempt_disable", &f) == nil
}

// makeRings makes rings for the CPUs that do not have one.
func (d *Driver) makeRings(cpus []int) error {
	cpus = slices.DeleteFunc(slices.Clone(cpus), func(cpu int) bool { return cpu >= d.cpus || d.hasRing[cpu] })
	per := d.opts.CPUsPerRing
	switch {
	case d.inPlace:
		per = 1
	case per <= 0:
		per = max(len(cpus), 1)
	}
	for group := range slices.Chunk(cpus, per) {
		if err := d.makeRing(group); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) makeRing(cpus []int) error {
	spec := &ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(d.opts.RingSize)}
	rings := d.coll.Maps["rings"]
	if d.inPlace {
		spec, rings = d.spec.Maps["own_rings"].InnerMap.Copy(), d.coll.Maps["own_rings"]
	}
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("make ring of %d bytes: %w", d.opts.RingSize, err)
	}
	d.rings = append(d.rings, Ring{Map: m, Size: d.opts.RingSize, CPUs: cpus})
	for _, cpu := range cpus {
		if err := rings.Put(uint32(cpu), m); err != nil {
			return fmt.Errorf("give CPU %d a ring: %w", cpu, err)
		}
		d.hasRing[cpu] = true
	}
	return nil
}

// onlineCPUs lists the CPUs that run now. Possible ones can be many more: hyperthreads that are turned off, and places
// where a CPU may be plugged in.
func onlineCPUs() ([]int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	return parseCPUs(strings.TrimSpace(string(b)))
}

// parseCPUs reads the kernel's notation of a set of CPUs: 0-3,8.
func parseCPUs(text string) (cpus []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("set of CPUs %q: %w", text, err)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// Grow makes rings for CPUs that came after Load, once events were lost for want of them. It reports whether it made any.
func (d *Driver) Grow() (bool, error) {
	before := len(d.rings)
	for cpu, has := range d.hasRing {
		if !has && d.CPUCounters(cpu).DropNoRing > 0 {
			if err := d.makeRing([]int{cpu}); err != nil {
				return len(d.rings) > before, err
			}
		}
	}
	return len(d.rings) > before, nil
}

// ensure loads the named programs that are neither loaded nor refused yet. It loads
// them together, so that the kernel's BTF is decoded once; if the kernel refuses
// one, it loads each half by itself, down to the refused programs.
func (d *Driver) ensure(names []string) {
	var missing []string
	for _, name := range names {
		if d.programs[name] != nil || d.refused[name] != nil {
			continue
		}
		if err := d.find(name); err != nil {
			d.refused[name] = &Refusal{name, err}
			continue
		}
		missing = append(missing, name)
	}
	if len(missing) == 0 {
		return
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	coll, err := d.collection(missing, 0)
	if err != nil {
		if len(missing) == 1 {
			d.refused[missing[0]] = &Refusal{missing[0], err}
			return
		}
		d.ensure(missing[:len(missing)/2])
		d.ensure(missing[len(missing)/2:])
		return
	}
	maps.Copy(d.programs, coll.Programs)
	coll.Programs = nil
	coll.Close()
}

// collection loads programs that are in d.spec, with the maps that are there.
func (d *Driver) collection(names []string, log ebpf.LogLevel) (*ebpf.Collection, error) {
	specs := make(map[string]*ebpf.ProgramSpec, len(names))
	for _, name := range names {
		specs[name] = d.spec.Programs[name].Copy()
		switch {
		case d.opts.RawTracepoints:
			specs[name].Type, specs[name].AttachType = ebpf.RawTracepoint, ebpf.AttachNone
		case d.perf && (specs[name].AttachTo == dispatcherExit || specs[name].AttachTo == dispatcherEnter):
			specs[name].Type, specs[name].AttachType, specs[name].AttachTo = ebpf.TracePoint, ebpf.AttachNone, ""
		}
	}
	return ebpf.NewCollectionWithOptions(&ebpf.CollectionSpec{
		Maps: d.spec.Maps, Programs: specs, Types: d.spec.Types, ByteOrder: d.spec.ByteOrder,
	}, ebpf.CollectionOptions{MapReplacements: d.coll.Maps, Programs: ebpf.ProgramOptions{LogLevel: log}})
}

// find puts the program's spec into d.spec. An object defines its maps as the core
// does, so its programs use the core's maps.
func (d *Driver) find(program string) error {
	if object := objectOf(program); !d.objects[object] {
		spec, err := d.readObject(object)
		if err != nil {
			return err
		}
		maps.Copy(d.spec.Programs, spec.Programs)
		d.objects[object] = true
	}
	if d.spec.Programs[program] == nil {
		return fmt.Errorf("not in the eBPF objects of this architecture: %w", ebpf.ErrNotSupported)
	}
	return nil
}

// Refused lists the refused programs by name. In place of a refused exit program
// the generic one runs; events of other refused programs are missing.
func (d *Driver) Refused() []*Refusal {
	var out []*Refusal
	for _, name := range slices.Sorted(maps.Keys(d.refused)) {
		out = append(out, d.refused[name])
	}
	return out
}

// Rings lists the rings. They live until Close. Grow adds to them.
func (d *Driver) Rings() []Ring { return d.rings }

// InPlace reports whether the rings are written in place. If not, they are BPF ring buffers.
func (d *Driver) InPlace() bool { return d.inPlace }

// Positions returns where the positions of a CPU's ring are that is written in place.
func (d *Driver) Positions(cpu int) Positions { return positions(d.coll.Maps["cpus"], d.cpus, cpu) }

// Waker is the ring buffer that gets a record when the readers of rings that are written in place shall wake up.
func (d *Driver) Waker() *ebpf.Map { return d.coll.Maps["waker"] }

// BootOffset returns the time of boot, in ns since the epoch, from which events have their times. Other goroutines may
// use d at the same time.
func (d *Driver) BootOffset() uint64 { return d.offset.Load() }

// Set changes the settings.
func (d *Driver) Set(s Settings) error {
	if s.Snaplen == 0 {
		s.Snaplen = SnaplenDefault
	}
	if s.Snaplen < 0 || s.Snaplen > SnaplenMax {
		return fmt.Errorf("snaplen %d is not within 0 and %d", s.Snaplen, SnaplenMax)
	}
	if s.StatsdPort == 0 {
		s.StatsdPort = StatsdPort
	}
	offset, err := clock.BootOffset()
	if err != nil {
		return fmt.Errorf("read clocks: %w", err)
	}
	d.settings.Lock()
	defer d.settings.Unlock()
	d.opts.Settings = s
	return d.writeSettings(offset)
}

// SetBootOffset changes the time of boot, in ns since the epoch, from which events have their times. Other goroutines may
// use d at the same time.
func (d *Driver) SetBootOffset(offset uint64) error {
	d.settings.Lock()
	defer d.settings.Unlock()
	return d.writeSettings(offset)
}

func (d *Driver) writeSettings(offset uint64) error {
	if err := d.coll.Variables["settings"].Set(config(d.opts.Settings, offset)); err != nil {
		return fmt.Errorf("set settings: %w", err)
	}
	d.offset.Store(offset)
	return nil
}

// Settings returns the settings of the last Set.
func (d *Driver) Settings() Settings { return d.opts.Settings }

// Counters returns the sum over all CPUs.
func (d *Driver) Counters() Counters {
	sum := Counters{Missed: d.missed()}
	sum.Seen = sum.Missed
	for i := range d.cpus {
		sum.add(d.CPUCounters(i))
	}
	return sum
}

// missed returns how often the kernel skipped a program because it was already
// active on the CPU: another task was preempted inside it (see quiet in
// bpf/program.h). The kernel counts these since 5.12, also for perf.
func (d *Driver) missed() uint64 {
	var sum uint64
	for name := range d.fired {
		if stats, err := d.programs[name].Stats(); err == nil {
			sum += stats.RecursionMisses
		}
	}
	return sum
}

// CPUCounters returns the counters of one CPU, from 0 to the number of possible CPUs.
func (d *Driver) CPUCounters(cpu int) Counters {
	return countersAt(d.mapped, cpu)
}

// CPUs returns the number of possible CPUs.
func (d *Driver) CPUs() int { return d.cpus }

func (c *Counters) add(o Counters) {
	c.Seen += o.Seen
	c.Delivered += o.Delivered
	c.DropBuffer += o.DropBuffer
	c.DropTooLarge += o.DropTooLarge
	c.DropScratch += o.DropScratch
	c.DropNoProgram += o.DropNoProgram
	c.DropNoRing += o.DropNoRing
	c.DropMessages += o.DropMessages
}

// Dropped returns the sum of all losses.
func (c *Counters) Dropped() uint64 {
	return c.DropBuffer + c.DropTooLarge + c.DropScratch + c.DropNoProgram + c.DropNoRing + c.DropMessages + c.Missed
}

// Close detaches and unloads everything.
func (d *Driver) Close() error {
	err := d.Detach()
	for _, p := range d.programs {
		err = errors.Join(err, p.Close())
	}
	for _, r := range d.rings {
		err = errors.Join(err, r.Map.Close())
	}
	if d.coll != nil {
		d.coll.Close()
	}
	d.programs, d.fired, d.rings, d.coll, d.mapped = nil, nil, nil, nil, nil
	return err
}
