// SPDX-License-Identifier: Apache-2.0

// Command filediff compares this project with sysdig and tshark in a Debian tree (see
// prepare): they read what we write, we read what sysdig writes, and the results must
// be the same.
//
//	internal/cmd/filediff/prepare /var/tmp/sid
//	go run ./internal/cmd/filediff /var/tmp/sid [CAPTURE...]
//
// Without captures, it compares those of scap/savefile/testdata. It always adds a
// synthetic one with several events of every type. It prints the differences; the exit
// status is 1 if there are any.
//
// It writes each capture with scap convert, and checks:
//   - scap read and sysdig show the same events, with the same number, time, CPU,
//     process name, thread id, direction and event name, and sysdig's args are the
//     params of the event. sysdig may add to an arg, in parentheses, what its state
//     knows of it, such as the path of an fd, prints unsigned numbers as signed
//     ones, and has no name for values that are newer than it;
//   - sysdig prints the same of the compressed capture;
//   - a capture that sysdig writes again, bare and compressed, has the same bytes;
//   - tshark reads it as pcapng, without a message.
package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: filediff TREE [CAPTURE...]")
		os.Exit(2)
	}
	ok, err := compare(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "filediff:", err)
		os.Exit(3)
	}
	if !ok {
		os.Exit(1)
	}
}

func compare(tree string, captures []string) (ok bool, err error) {
	if len(captures) == 0 {
		if captures, err = testdata(); err != nil {
			return false, err
		}
	}
	work, err := os.MkdirTemp("", "filediff-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	scap := filepath.Join(work, "scap")
	build := exec.Command("go", "build", "-o", scap, "github.com/scaplab/scaplab/cmd/scap")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return false, fmt.Errorf("build scap: %w", err)
	}
	made := filepath.Join(work, "made.scap")
	if err := makeCapture(made); err != nil {
		return false, err
	}
	var total figures
	for _, path := range append([]string{made}, captures...) {
		c := &comparison{tree: tree, path: path, scap: scap}
		if err := c.run(); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		fmt.Printf("%s: %s\n", filepath.Base(path), c.figures)
		total.add(c.figures)
	}
	fmt.Printf("%d captures: %s\n", len(captures)+1, total)
	return total.differ == 0, nil
}

// testdata returns the captures that package savefile has for its tests.
func testdata() (captures []string, err error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/scaplab/scaplab/scap/savefile").Output()
	if err != nil {
		return nil, fmt.Errorf("find package savefile: %w", err)
	}
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(out)), "testdata"), func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".scap") || strings.HasSuffix(path, ".scap.gz") {
			captures = append(captures, path)
		}
		return err
	})
	return captures, err
}

// figures count what is the same and what differs.
type figures struct {
	events, params, resolved, negative, unnamed int // from lines
	saved, threads, fds                         int // from captures that sysdig saved
	packets                                     int
	differ                                      int
}

func (f *figures) add(g figures) {
	f.events += g.events
	f.params += g.params
	f.resolved += g.resolved
	f.negative += g.negative
	f.unnamed += g.unnamed
	f.saved += g.saved
	f.threads += g.threads
	f.fds += g.fds
	f.packets += g.packets
	f.differ += g.differ
}

func (f figures) String() string {
	return fmt.Sprintf("%d events and %d params printed alike, of these %d with more from sysdig's state, %d as negative numbers, %d without our name; "+
		"%d events, %d threads, %d fds saved by sysdig; %d packets for tshark; %d differences",
		f.events, f.params, f.resolved, f.negative, f.unnamed, f.saved, f.threads, f.fds, f.packets, f.differ)
}

// comparison compares one capture.
type comparison struct {
	tree, path, scap string
	figures
}

func (c *comparison) differs(format string, args ...any) {
	if c.differ++; c.differ <= 50 {
		fmt.Printf("%s: %s\n", c.path, fmt.Sprintf(format, args...))
	}
}

// inside returns a command that runs a program of the tree.
func (c *comparison) inside(args ...string) *exec.Cmd {
	cmd := exec.Command("chroot", append([]string{c.tree}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root"}
	return cmd
}

func (c *comparison) run() error {
	for _, name := range []string{"in.scap", "in.scap.gz", "saved.scap", "saved.scap.gz"} {
		_ = os.Remove(c.inTree(name)) // of an earlier run
	}
	// Other readers get what scap writes without --native.
	for name, compress := range map[string]bool{"in.scap": false, "in.scap.gz": true} {
		if err := c.rewrite(c.inTree(name), compress); err != nil {
			return err
		}
	}
	if err := c.lines(false); err != nil {
		return err
	}
	if err := c.again(func() error { return c.lines(true) }); err != nil {
		return err
	}
	if err := c.compressed(); err != nil {
		return err
	}
	if err := c.resaved("saved.scap"); err != nil {
		return err
	}
	if err := c.again(func() error { return c.resaved("saved.scap.gz") }); err != nil {
		return err
	}
	return c.tshark()
}

// again runs a further comparison of events that are already counted.
func (c *comparison) again(compare func() error) error {
	before := c.figures
	err := compare()
	before.differ = c.differ
	c.figures = before
	return err
}

// inTree returns the path of a file that programs of the tree see in /tmp.
func (c *comparison) inTree(name string) string { return filepath.Join(c.tree, "tmp", name) }

// rewrite writes a capture as scap convert does for released readers.
func (c *comparison) rewrite(to string, compress bool) error {
	args := []string{"convert", c.path, to}
	if compress {
		args = append(args, "-z")
	}
	if out, err := exec.Command(c.scap, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("scap convert: %w: %s", err, out)
	}
	return nil
}

// sysdigFormat is sysdig's default format, with tabs and the full time.
const sysdigFormat = "*%evt.num\t%evt.rawtime.s.%evt.rawtime.ns\t%evt.cpu\t%proc.name\t(%thread.tid)\t%evt.dir\t%evt.type\t%evt.args"

// scapFormat is what scap read prints by default, without the args: args that refer to the
// state are not the file's matter, sinsp/interop compares them.
const scapFormat = "*%evt.num %evt.outputtime %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type"

// lines compares what sysdig and scap read print for each event, and sysdig's args with
// the params: buffers truncated, and with --verbose in full.
func (c *comparison) lines(verbose bool) error {
	args := []string{"sysdig", "-r", "/tmp/in.scap", "-p", sysdigFormat}
	if verbose {
		args = append(args, "--verbose")
	}
	theirs, talk, err := output(c.inside(args...))
	if err != nil {
		c.differs("sysdig: %v: %s", err, talk)
	}
	// No conversion: another one would add to socket and fcntl the params that Compat
	// removed.
	mine, talk, err := output(exec.Command(c.scap, "read", "--no-convert", "-t", "epoch", "-p", scapFormat, "-r", c.inTree("in.scap")))
	if err != nil {
		return fmt.Errorf("scap read: %w: %s", err, talk)
	}
	r, err := savefile.Open(c.inTree("in.scap"), savefile.Options{Raw: true})
	if err != nil {
		return err
	}
	defer r.Close()
	num := 0
	var ev *event.Event
	for len(mine)+len(theirs) > 0 {
		switch {
		case len(theirs) == 0 || len(mine) > 0 && mine[0].num < theirs[0].num:
			c.differs("only scap has %s", mine[0].text)
			mine = mine[1:]
		case len(mine) == 0 || theirs[0].num < mine[0].num:
			c.differs("only sysdig has %s", theirs[0].text)
			theirs = theirs[1:]
		default:
			for ; num < mine[0].num; num++ {
				if ev, err = r.Next(); err != nil {
					return err
				}
			}
			c.line(ev, verbose, mine[0].text, theirs[0].text)
			mine, theirs = mine[1:], theirs[1:]
		}
	}
	return nil
}

// line is the text of one event.
type line struct {
	num  int
	text string
}

// lineStart matches the start of an event's line, but not sysdig's final messages.
var lineStart = regexp.MustCompile(`^(\d+)[ \t]\d+\.\d+[ \t]\d+[ \t]`)

// output runs a program that prints events.
func output(cmd *exec.Cmd) (lines []line, talk string, err error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	for text := range strings.Lines(string(out)) {
		text = strings.TrimSuffix(text, "\n")
		if m := lineStart.FindStringSubmatch(text); m != nil {
			num, _ := strconv.Atoi(m[1]) // digits, few
			lines = append(lines, line{num, text})
		}
	}
	return lines, strings.TrimSpace(stderr.String()), err
}

func (c *comparison) line(ev *event.Event, verbose bool, mine, theirs string) {
	c.events++
	f := strings.SplitN(theirs, "\t", 8)
	if len(f) < 8 {
		c.differs("sysdig's line is cut: %s", theirs)
		return
	}
	head := func(name string) string {
		return strings.Join(slices.Concat(f[:3], []string{name}, f[4:7]), " ")
	}
	rest, ok := strings.CutPrefix(mine, head(f[3]))
	if name := ev.Info().ParamIndex("comm"); !ok && f[3] == "<NA>" && name >= 0 {
		// For a thread that it does not know, sysdig ignores the name in the
		// event.
		rest, ok = strings.CutPrefix(mine, head(string(event.CString(ev.Param(name)))))
	}
	if ev.Type() == event.TypeGenericExit && binary.LittleEndian.Uint16(ev.Param(0)) == 0 {
		// sysdig names an unknown call by the number that it has on sysdig's own machine.
		f[6] = fmt.Sprintf("syscall(%d)", binary.LittleEndian.Uint16(ev.Param(1)))
		rest, ok = strings.CutPrefix(mine, head(f[3]))
	}
	if !ok || rest != "" {
		c.differs("%.200q here, %q there", mine, head(f[3]))
		return
	}
	if ev.Type() == event.TypeGenericExit {
		return // sysdig prints its params as the name alone
	}
	c.args(ev, verbose, f[7])
}

// args compares the params one by one with sysdig's args.
func (c *comparison) args(ev *event.Event, verbose bool, theirs string) {
	info := ev.Info()
	n := min(ev.NumParams(), len(info.Params))
	for i := range n {
		p, v := &info.Params[i], ev.Param(i)
		value := string(p.AppendArg(nil, v))
		if p.Type == event.ParamBytebuf && len(v) > 80 && !verbose {
			value = value[:77] + "..."
		}
		next := ""
		if i+1 < n {
			next = " " + info.Params[i+1].Name + "="
		}
		rest, ok := c.arg(p, v, value, theirs, next)
		if !ok {
			c.differs("event %s: %q here, %q there", ev.Type(), p.Name+"="+value, theirs)
			return
		}
		c.params++
		theirs = strings.TrimPrefix(rest, " ")
	}
	if theirs != "" {
		c.differs("event %s: sysdig prints %q more", ev.Type(), theirs)
	}
}

// arg removes the arg of a param from theirs, up to next. ok is false if the arg does
// not match value, which is our form of it.
func (c *comparison) arg(p *event.ParamInfo, v []byte, value, theirs, next string) (rest string, ok bool) {
	if p.Type == event.ParamFDList {
		// Those that are left out are one more file there.
		if n := event.FDList(v).LeftOut(); n > 0 {
			value = strings.Replace(value, fmt.Sprintf("...(%d more)", n), fmt.Sprintf("%d:0", 1<<32+int64(n)), 1)
		}
		// sysdig prints the kind of each file, one character, before its flags.
		kinds := regexp.MustCompile("^" + p.Name + "=" + strings.ReplaceAll(value, ":", ":.?") + "( |$)")
		if at := kinds.FindStringIndex(theirs); at != nil {
			return theirs[at[1]:], true
		}
	}
	take := func(value string) (rest string, ok bool) {
		rest, ok = strings.CutPrefix(theirs, p.Name+"="+value)
		return rest, ok && (next == "" && strings.TrimSpace(rest) == "" || next != "" && strings.HasPrefix(rest, next))
	}
	if rest, ok = take(value); ok {
		return rest, true
	}
	// sysdig prints a blank for the missing path of a unix socket.
	if rest, ok = take(value + " "); ok && p.Type == event.ParamSocktuple {
		return rest, true
	}
	// sysdig adds what its state knows in parentheses.
	if rest, ok = strings.CutPrefix(theirs, p.Name+"="+string(p.AppendRaw(nil, v))+"("); ok {
		end := len(rest)
		if next != "" {
			end = strings.Index(rest, next)
		}
		if end > 0 {
			c.resolved++
			return rest[end:], true
		}
	}
	// Names that are newer than sysdig's: it prints the number alone.
	if raw := string(p.AppendRaw(nil, v)); strings.HasPrefix(value, raw+"(") {
		if rest, ok = take(raw); ok {
			c.unnamed++
			return rest, true
		}
	}
	if p.Type >= event.ParamUint8 && p.Type <= event.ParamUint64 {
		signed := *p
		signed.Type -= event.ParamUint8 - event.ParamInt8
		if rest, ok = take(string(signed.AppendArg(nil, v))); ok {
			c.negative++
			return rest, true
		}
	}
	// SHUT_UNKNOWN: sysdig's own table has another value, which no event has.
	if p.Name == "how" && strings.HasPrefix(theirs, "how=255") {
		return "", true
	}
	return "", false
}

// compressed compares what sysdig prints for the bare and the compressed file.
func (c *comparison) compressed() error {
	var out [2][]byte
	for i, name := range []string{"in.scap", "in.scap.gz"} {
		var err error
		if out[i], err = c.inside("sysdig", "-r", "/tmp/"+name).CombinedOutput(); err != nil {
			c.differs("sysdig of %s: %v", name, err)
		}
	}
	if !bytes.Equal(out[0], out[1]) {
		c.differs("sysdig prints other lines for the compressed capture")
	}
	return nil
}

// resaved compares a capture with what sysdig saves of it.
func (c *comparison) resaved(name string) error {
	args := []string{"sysdig", "-r", "/tmp/in.scap", "-w", "/tmp/" + name}
	if strings.HasSuffix(name, ".gz") {
		args = append(args, "-z")
	}
	if out, err := c.inside(args...).CombinedOutput(); err != nil {
		c.differs("sysdig -w: %v: %s", err, strings.TrimSpace(string(out)))
		return nil
	}
	mine, err := savefile.Open(c.inTree("in.scap"), savefile.Options{})
	if err != nil {
		return err
	}
	defer mine.Close()
	theirs, err := savefile.Open(c.inTree(name), savefile.Options{})
	if err != nil {
		return err
	}
	defer theirs.Close()
	c.state(mine.State(), theirs.State())
	ev, err := nextOf(mine)
	for ; err == nil; ev, err = nextOf(mine) {
		if unsaved(ev) {
			continue
		}
		their, err := nextOf(theirs)
		if err != nil {
			c.differs("%s: %s at %d: %v", name, ev.Type(), ev.Timestamp(), err)
			return nil
		}
		if !bytes.Equal(ev.Bytes(), their.Bytes()) || ev.CPU() != their.CPU() {
			c.differs("%s: %x here, %x there", name, ev.Bytes(), their.Bytes())
			return nil
		}
		c.saved++
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if their, err := nextOf(theirs); !errors.Is(err, io.EOF) {
		c.differs("%s: there is more: %v %v", name, their, err)
	}
	if n := theirs.Counts(); n.Compressed != strings.HasSuffix(name, ".gz") || n.Corrupt+n.BadRecords+n.Unconverted > 0 {
		c.differs("%s: %+v", name, n)
	}
	return nil
}

// unsaved reports whether sysdig does not save ev: enter events whose params the exit
// event repeats, and containers.
func unsaved(ev *event.Event) bool {
	switch ev.Type() {
	case event.TypeOpenEnter, event.TypeCreatEnter, event.TypeOpenatEnter, event.TypeOpenat2Enter, event.TypeConnectEnter,
		event.TypeContainerEnter, event.TypeContainerJSONEnterV1, event.TypeContainerJSONEnter:
		return true
	}
	return ev.Type() >= sysdigTypes
}

// sysdigTypes is how many types libs 0.23 knows: those of the older reference. It skips the
// others.
const sysdigTypes = event.OldCodes

// state compares the processes and their open files. sysdig may have one more process,
// that of the first event.
func (c *comparison) state(mine, theirs *proc.State) {
	byTID := map[event.PID]*proc.Thread{}
	for i := range theirs.Threads {
		byTID[theirs.Threads[i].TID] = &theirs.Threads[i]
	}
	for i := range mine.Threads {
		m := &mine.Threads[i]
		t := byTID[m.TID]
		if t == nil {
			c.differs("thread %d is not in what sysdig saved", m.TID)
			continue
		}
		a, b := kept(m), kept(t)
		if len(a.FDs) == len(b.FDs) {
			for i := range a.FDs {
				c.fields(fmt.Sprintf("thread %d: fd %d", m.TID, a.FDs[i].Num), a.FDs[i], b.FDs[i])
			}
			a.FDs, b.FDs = nil, nil
		}
		c.fields(fmt.Sprintf("thread %d", m.TID), a, b)
		c.threads++
		c.fds += len(m.FDs)
	}
}

// fields compares two structs of the same type.
func (c *comparison) fields(subject string, mine, theirs any) {
	a, b := reflect.ValueOf(mine), reflect.ValueOf(theirs)
	for f := range a.NumField() {
		if x, y := a.Field(f).Interface(), b.Field(f).Interface(); !reflect.DeepEqual(x, y) {
			c.differs("%s: %s: %+v here, %+v there", subject, a.Type().Field(f).Name, x, y)
		}
	}
}

// kept returns the fields of a thread that sysdig saves unchanged. sysdig does not save
// capabilities and the executable's fields, and changes flags, cgroups and memory use.
// It puts the end with the higher port of a connection first, and leaves out
// arguments that are one empty string and the mark of a deleted executable.
func kept(t *proc.Thread) proc.Thread {
	k := proc.Thread{
		TID: t.TID, PID: t.PID, PTID: t.PTID, SID: t.SID, VPGID: t.VPGID, PGID: t.PGID, VTID: t.VTID, VPID: t.VPID,
		Comm: t.Comm, Exe: t.Exe, ExePath: strings.TrimSuffix(t.ExePath, " (deleted)"), Args: t.Args, Root: t.Root,
		CWD:     strings.TrimSuffix(t.CWD, "/"),
		FDLimit: t.FDLimit, UID: t.UID, GID: t.GID, LoginUID: t.LoginUID, TTY: t.TTY, PidnsInitStart: t.PidnsInitStart,
		FDs: slices.SortedFunc(slices.Values(t.FDs), func(a, b proc.FD) int { return cmp.Compare(a.Num, b.Num) }),
	}
	if t.Leader() {
		k.Env = t.Env // it keeps one for all threads of a process
	}
	if k.Args == "\x00" {
		k.Args = ""
	}
	for i := range k.FDs {
		if fd := &k.FDs[i]; fd.Src.Port() < fd.Dst.Port() {
			fd.Src, fd.Dst = fd.Dst, fd.Src
		}
	}
	return k
}

// nextOf skips the events that sysdig adds for users and groups.
func nextOf(r *savefile.Reader) (*event.Event, error) {
	for {
		ev, err := r.Next()
		if err != nil || ev.TID() != -1 || ev.Type() < event.TypeUseraddedEnter || ev.Type() > event.TypeGroupdeletedEnter {
			return ev, err
		}
	}
}

func (c *comparison) tshark() error {
	cmd := c.inside("tshark", "-n", "-r", "/tmp/in.scap", "-T", "fields", "-e", "frame.number")
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	c.packets = bytes.Count(out, []byte("\n"))
	// tshark warns when it runs as root.
	text := strings.TrimSpace(strings.ReplaceAll(talk.String(), "Running as user \"root\" and group \"root\". This could be dangerous.", ""))
	if err != nil || text != "" {
		c.differs("tshark: %v %s", err, text)
	}
	return nil
}
