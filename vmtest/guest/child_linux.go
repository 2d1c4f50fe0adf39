// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/expr"
)

// child is the process in which one case runs, on its first thread.
type child struct {
	sc     *Syscall
	cs     *Case
	dir    string // its own empty directory
	tid    int
	nr     uintptr
	vars   map[string]any
	names  []string // of vars, in the order they were bound
	args   [6]uintptr
	ret    int64
	made   int      // files so far, for their names
	before []func() // run right before the call
	behind []func() // and right behind it
	report *os.File
}

// reportFD is where the report pipe is moved: out of the way of the
// descriptors the case makes.
const reportFD = 1000

// caseMain runs the case named by the environment and returns the exit status.
func caseMain() int {
	fd, err := unix.FcntlInt(3, unix.F_DUPFD_CLOEXEC, reportFD)
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: report pipe: %v\n", err)
		return 3
	}
	unix.Close(3)
	c := &child{tid: unix.Gettid(), vars: map[string]any{}, report: os.NewFile(uintptr(fd), "report")}
	if err := c.run(os.Getenv(envCase)); err != nil {
		c.send(report{Step: stepFailed, Reason: err.Error()})
		return 1
	}
	return 0
}

func (c *child) send(r report) {
	b, err := json.Marshal(r)
	if err == nil {
		_, err = c.report.Write(append(b, '\n'))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: send report: %v\n", err)
		os.Exit(3)
	}
}

func (c *child) run(id string) error {
	absent, isAbsent := strings.CutSuffix(id, absentSuffix)
	if isAbsent {
		c.sc, c.cs = FindSyscall(absent), new(Case)
	} else {
		c.sc, c.cs = Find(id)
	}
	if c.sc == nil {
		return fmt.Errorf("unknown case %q", id)
	}
	nr, ok := c.sc.Number(runtime.GOARCH)
	if !ok {
		return fmt.Errorf("%s is no system call of %s", c.sc.Name, runtime.GOARCH)
	}
	c.nr = uintptr(nr)
	lowMemory = nr >= socketcallBase
	var err error
	if c.dir, err = os.Getwd(); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	marker, err := strconv.ParseUint(os.Getenv(envMarker), 10, 32)
	if err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	if lowMemory {
		if err := prepareSocketcall(); err != nil {
			return err
		}
	}
	if err := c.builtins(); err != nil {
		return err
	}
	for _, g := range c.cs.Given {
		v, err := c.eval(g.Expr)
		if err != nil {
			return fmt.Errorf("given %s: %w", g.Name, err)
		}
		c.bind(g.Name, v)
	}
	if !isAbsent {
		if err := c.prepareCall(); err != nil {
			return err
		}
	}
	pre := report{Step: stepReady, Facts: c.facts()}
	for _, a := range c.args {
		pre.Args = append(pre.Args, uint64(a))
	}
	c.send(pre)
	if c.sc.Name == "exit" {
		go c.endWithThread()
	}
	for _, f := range c.before {
		f()
	}
	c.call(uint32(marker))
	for _, f := range c.behind {
		f()
	}

	post := report{Step: stepReturned, Ret: c.ret}
	c.bind("ret", c.ret)
	if mayFork(c.nr) && c.ret > 0 {
		post.Child = uint64(c.ret)
		c.bind("child", c.ret)
		c.waitForTask(int(c.ret))
	}
	for _, a := range c.cs.After {
		v, err := c.eval(a.Expr)
		if err != nil {
			post.Step, post.Reason = stepFailed, fmt.Sprintf("after %s: %v", a.Name, err)
			break
		}
		c.bind(a.Name, v)
	}
	for _, name := range c.names {
		if o, ok := c.vars[name].(*object); ok && o.update != nil {
			if err := o.update(o); err != nil && post.Reason == "" {
				post.Step, post.Reason = stepFailed, fmt.Sprintf("look at %s again: %v", name, err)
			}
		}
	}
	post.Facts = c.facts()
	c.send(post)
	return nil
}

// call makes the system call between two marks, with nothing of this thread's
// in between: the scheduler, which calls futex, comes in where a function
// looks at its stack, so none of these does.
//
//go:nosplit
func (c *child) call(marker uint32) {
	mark(marker | markBefore)
	c.ret = rawCall(c.nr, &c.args)
	mark(marker | markAfter)
}

func (c *child) bind(name string, v any) {
	if _, ok := c.vars[name]; !ok {
		c.names = append(c.names, name)
	}
	c.vars[name] = v
}

func (c *child) facts() Facts {
	facts := make(Facts, 2*len(c.vars))
	for name, v := range c.vars {
		flatten(facts, name, v, 0)
	}
	return facts
}

// eval computes an expression of the case.
func (c *child) eval(src string) (any, error) {
	n, err := expr.Parse(src, expr.Pos{File: c.sc.ID(c.cs), Line: 1, Col: 1})
	if err != nil {
		return nil, err
	}
	return expr.Eval(n, c)
}

// Lookup implements expr.Env.
func (c *child) Lookup(name string) (any, error) {
	if v, ok := c.vars[name]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("unknown variable $%s", name)
}

// Const implements expr.Env.
func (c *child) Const(name string) (int64, bool) {
	v, ok := Consts[name]
	return int64(v), ok
}

// Call implements expr.Env.
func (c *child) Call(name string, args []any) (any, error) {
	f, ok := functions[name]
	if !ok {
		return nil, fmt.Errorf("the guest has no function %s", name)
	}
	v, err := f(c, args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// prepareCall computes the arguments.
func (c *child) prepareCall() error {
	n, err := expr.Parse(c.cs.Call, expr.Pos{File: c.sc.ID(c.cs), Line: 1, Col: 1})
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	if n.Kind != expr.Call || n.Text != c.sc.Name {
		return fmt.Errorf("call: %q is no call of %s", c.cs.Call, c.sc.Name)
	}
	if len(n.Args) > len(c.args) || len(n.Args) > len(c.sc.Params) {
		return fmt.Errorf("call: %d arguments (%s has %d)", len(n.Args), c.sc.Name, len(c.sc.Params))
	}
	for i, a := range n.Args {
		p := c.sc.Params[i]
		v, err := expr.Eval(a, c)
		if err == nil {
			c.args[i], err = c.register(v, p.Type)
		}
		if err != nil {
			return fmt.Errorf("call: %s: %w", p.Name, err)
		}
	}
	return nil
}

// register is what a register gets for v: a number, or the address of memory.
func (c *child) register(v any, ctype string) (uintptr, error) {
	switch v := v.(type) {
	case *object:
		if v.hasAddr {
			return uintptr(v.addr), nil
		}
		return c.register(v.plain, ctype)
	case string:
		r, err := newRegionOf(append([]byte(v), 0))
		return uintptr(r.addr()), err
	case []byte:
		r, err := newRegionOf(v)
		return uintptr(r.addr()), err
	case *expr.StructValue, []any:
		b, err := c.layout(v, ctype)
		if err != nil {
			return 0, err
		}
		r, err := newRegionOf(b)
		return uintptr(r.addr()), err
	}
	n, err := expr.ToInt(v)
	return uintptr(n), err
}

// endWithThread ends the process when only its first thread has ended: that
// thread's exit leaves the others running.
func (c *child) endWithThread() {
	for {
		st, err := readStat(fmt.Sprintf("/proc/self/task/%d/stat", c.tid))
		if errors.Is(err, os.ErrNotExist) || err == nil && (st.state == 'Z' || st.state == 'X') {
			os.Exit(0)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// waitForTask waits until the process or thread a clone made has ended, or
// is not ours to wait for.
func (c *child) waitForTask(pid int) {
	for {
		_, err := unix.Wait4(pid, nil, unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	for range 500 { // a thread, or our parent's child
		st, err := readStat(fmt.Sprintf("/proc/%d/task/%[1]d/stat", pid))
		if err != nil || st.state == 'Z' || st.state == 'X' {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
