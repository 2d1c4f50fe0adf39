// SPDX-License-Identifier: Apache-2.0

// Command interop compares this project with sysdig and tshark of a Debian tree
// (see prepare): they read what we write, we read what sysdig writes, and both
// must see the same.
//
//	scap/savefile/interop/prepare /var/tmp/sid
//	go run ./scap/savefile/interop /var/tmp/sid trace.scap...
//
// Beside the captures given, one is made that has an event of every type. What
// differs is printed; the exit status is 1 when anything does.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: interop TREE [CAPTURE...]")
		os.Exit(2)
	}
	ok, err := compare(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(3)
	}
	if !ok {
		os.Exit(1)
	}
}

func compare(tree string, captures []string) (ok bool, err error) {
	made := filepath.Join(tree, "tmp", "made.scap")
	if err := makeCapture(made); err != nil {
		return false, err
	}
	ok = true
	for _, path := range append([]string{made}, captures...) {
		c := &comparison{tree: tree, path: path}
		if err := c.run(); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		fmt.Printf("%s: %d events, %d params alike, %d of them with more from sysdig's state; saved by sysdig: %d events alike; tshark: %d packets; %d differ\n",
			path, c.events, c.params, c.resolved, c.saved, c.packets, c.differ)
		ok = ok && c.differ == 0
	}
	return ok, nil
}

// comparison is that of one capture.
type comparison struct {
	tree, path                                       string
	events, params, resolved, saved, packets, differ int
}

func (c *comparison) differs(format string, args ...any) {
	if c.differ++; c.differ <= 50 {
		fmt.Printf("%s: %s\n", c.path, fmt.Sprintf(format, args...))
	}
}

// inside runs a program of the tree.
func (c *comparison) inside(args ...string) *exec.Cmd {
	cmd := exec.Command("chroot", append([]string{c.tree}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root"}
	return cmd
}

func (c *comparison) run() error {
	// What other readers get is what --compat writes.
	for _, name := range []string{"in.scap", "saved.scap"} {
		_ = os.Remove(filepath.Join(c.tree, "tmp", name)) // of an earlier run
	}
	in := filepath.Join(c.tree, "tmp", "in.scap")
	if err := rewrite(c.path, in); err != nil {
		return err
	}
	if err := c.lines(in); err != nil {
		return err
	}
	if err := c.resaved(in); err != nil {
		return err
	}
	return c.tshark()
}

func rewrite(from, to string) error {
	r, err := savefile.Open(from, savefile.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := savefile.Create(to, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: r.State(), Compat: true}})
	if err != nil {
		return err
	}
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			return w.Close()
		}
		if err == nil {
			err = w.Write(ev)
		}
		if err != nil {
			w.Close()
			return err
		}
	}
}

// sysdigTypes is how many types libs 0.23 knows; it passes over the others.
const sysdigTypes = 430

// lines compares what sysdig prints of each event with what we do.
func (c *comparison) lines(in string) error {
	cmd := c.inside("sysdig", "-r", "/tmp/in.scap", "-p", "*%evt.num\t%evt.rawtime\t%evt.cpu\t%thread.tid\t%evt.dir\t%evt.type\t%evt.args")
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r, err := savefile.Open(in, savefile.Options{Raw: true}) // it was converted when it was written
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewReaderSize(out, 1<<20)
	num := 0
	var pending *event.Event
	for {
		text, rerr := lines.ReadString('\n')
		if rerr != nil {
			break
		}
		f := strings.SplitN(strings.TrimSuffix(text, "\n"), "\t", 7)
		want, cerr := strconv.Atoi(f[0])
		if len(f) < 7 || cerr != nil {
			continue // the rest of a string with a line feed
		}
		for num < want {
			ev, err := r.Next()
			if err != nil {
				return fmt.Errorf("sysdig has event %d: %w", want, err)
			}
			if ev.Type() < sysdigTypes {
				num++
				pending = ev
			}
		}
		c.line(pending, f)
	}
	if err := cmd.Wait(); err != nil {
		c.differs("sysdig: %v: %s", err, strings.TrimSpace(talk.String()))
	}
	return nil
}

func (c *comparison) line(ev *event.Event, f []string) {
	c.events++
	dir := "<"
	if ev.Type().Enter() {
		dir = ">"
	}
	tid := strconv.FormatInt(int64(ev.TID()), 10)
	name := ev.Type().String()
	if ev.Type() == genericExit {
		name = genericName(ev)
	}
	for i, mine := range []string{strconv.FormatUint(ev.Timestamp(), 10), strconv.Itoa(ev.CPU()), tid, dir, name} {
		if f[i+1] != mine {
			c.differs("event %s (%s): %s here, %s there", f[0], ev.Type(), mine, f[i+1])
		}
	}
	if ev.Type() == genericExit {
		return // sysdig prints its params as the name alone
	}
	if bytes.ContainsAny(ev.Bytes()[event.HeaderSize:], "\n\r") && !strings.HasPrefix(f[6], string(ev.AppendArgs(nil))) {
		return // the line is cut
	}
	c.args(ev, f[6])
}

const genericExit event.Type = 1

// genericName is the name of the call that a generic event stands for: by its
// code, or without one by its native number.
func genericName(ev *event.Event) string {
	code, nr := binary.LittleEndian.Uint16(ev.Param(0)), binary.LittleEndian.Uint16(ev.Param(1))
	for i := range driver.IDs {
		id := &driver.IDs[i]
		call := driver.Call{Name: id.Name, NR: id.NR}
		if n, ok := call.Number("amd64"); code != 0 && id.Code == code || code == 0 && ok && n == int(nr) {
			return id.Name
		}
	}
	return "<unknown>"
}

// An fd list has the kind of each file, from the state, in front of its flags.
var fdKind = regexp.MustCompile(`(\d+):[^0-9 ](\d)`)

// args compares the args one by one: sysdig may add in parentheses what its state
// knows of a value.
func (c *comparison) args(ev *event.Event, text string) {
	info := ev.Info()
	rest := text
	for i := range min(ev.NumParams(), len(info.Params)) {
		p := &info.Params[i]
		arg := p.Name + "=" + string(p.AppendArg(nil, ev.Param(i)))
		raw := p.Name + "=" + string(p.AppendRaw(nil, ev.Param(i)))
		next := ""
		if i+1 < min(ev.NumParams(), len(info.Params)) {
			next = " " + info.Params[i+1].Name + "="
		}
		if p.Type == event.ParamFDList {
			rest = fdKind.ReplaceAllString(rest, "$1:$2")
		}
		after, ok := strings.CutPrefix(rest, arg)
		if ok && (next == "" && strings.TrimSpace(after) == "" || next != "" && strings.HasPrefix(after, next)) {
			c.params++
			rest = strings.TrimPrefix(after, " ")
			continue
		}
		after, ok = strings.CutPrefix(rest, raw)
		end := len(after)
		if next != "" {
			end = strings.Index(after, next)
		}
		if ok && end >= 0 && strings.HasPrefix(after, "(") {
			c.params++
			c.resolved++
			rest = strings.TrimPrefix(after[end:], " ")
			continue
		}
		if p.Name == "how" && strings.HasPrefix(rest, "how=255") {
			return // SHUT_UNKNOWN: sysdig's own table has another value, which never comes
		}
		c.differs("event %s, %s: %q here, %q there", ev.Type(), p.Name, arg, rest)
		return
	}
}

// resaved compares what sysdig saves of a capture with the capture.
func (c *comparison) resaved(in string) error {
	if out, err := c.inside("sysdig", "-r", "/tmp/in.scap", "-w", "/tmp/saved.scap").CombinedOutput(); err != nil {
		c.differs("sysdig -w: %v: %s", err, strings.TrimSpace(string(out)))
		return nil
	}
	mine, err := savefile.Open(in, savefile.Options{})
	if err != nil {
		return err
	}
	defer mine.Close()
	theirs, err := savefile.Open(filepath.Join(c.tree, "tmp", "saved.scap"), savefile.Options{})
	if err != nil {
		return err
	}
	defer theirs.Close()
	for {
		their, err := nextOf(theirs)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for {
			ev, err := nextOf(mine)
			if err != nil {
				c.differs("saved by sysdig: %s at %d is not in the capture", their.Type(), their.Timestamp())
				return nil
			}
			if ev.Timestamp() == their.Timestamp() && ev.Type() == their.Type() && ev.TID() == their.TID() {
				if !bytes.Equal(ev.Bytes(), their.Bytes()) || ev.CPU() != their.CPU() {
					c.differs("saved by sysdig: %s at %d: %x here, %x there", ev.Type(), ev.Timestamp(), ev.Bytes(), their.Bytes())
				}
				c.saved++
				break
			}
		}
	}
	if n := theirs.Counts(); n.Corrupt+n.BadRecords+n.Unconverted > 0 {
		c.differs("saved by sysdig: %+v", n)
	}
	return nil
}

// nextOf passes over the events that sysdig adds for users and groups.
func nextOf(r *savefile.Reader) (*event.Event, error) {
	for {
		ev, err := r.Next()
		if err != nil || ev.TID() != 1<<64-1 || ev.Type() < 354 || ev.Type() > 360 {
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
	// Running as root is what it complains about, rightly.
	text := strings.TrimSpace(strings.ReplaceAll(talk.String(), "Running as user \"root\" and group \"root\". This could be dangerous.", ""))
	if err != nil || text != "" {
		c.differs("tshark: %v %s", err, text)
	}
	return nil
}
