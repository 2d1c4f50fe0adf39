// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/vmtest/guest/object"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// child is the process in which one case runs, on its only thread. With the functions of
// its Maker it implements expr.Env.
type child struct {
	sc *Syscall
	cs *Case
	object.Maker
	nr     uintptr
	vars   map[string]any
	names  []string // names of vars, in the order in which they were bound
	args   [6]uintptr
	ret    int64
	nth    int // of the process's cases
	report *os.File
}

// caseMain runs the requested cases and returns the exit status. It ends early after a call that
// succeeded: only a call that failed leaves the process as it was.
func caseMain(text string) int {
	file := os.NewFile(reportFD, "report")
	o, err := parseOrder(text)
	if err != nil {
		(&child{report: file}).send(report{Step: stepFailed, Reason: err.Error()})
		return 1
	}
	for i, id := range o.ids {
		if i > 0 && o.log != "" {
			sayCase(o.log, id)
		}
		c := &child{nth: i, vars: map[string]any{}, report: file}
		err := c.find(id)
		if err == nil && i == 0 {
			err = c.enter(o.dir)
		}
		if err == nil {
			err = c.run(o)
		}
		if err != nil {
			c.send(report{Step: stepFailed, Reason: err.Error()})
			return 1
		}
		if c.ret >= 0 {
			return 0
		}
	}
	return 0
}

// sayCase writes to the kernel's log which case begins, for what the kernel says next.
func sayCase(log, id string) {
	if fd, err := unix.Open(log, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		_, _ = unix.Write(fd, []byte("<4>"+wire.CaseLine+id+"\n"))
		_ = unix.Close(fd)
	}
}

func (c *child) find(id string) error {
	if c.sc, c.cs = Find(id); c.sc == nil {
		return fmt.Errorf("unknown case %q", id)
	}
	return nil
}

// enter takes this process to the place where its cases run, which need the same.
func (c *child) enter(dir string) error {
	if isolated(c.sc, c.cs) {
		if err := isolate(); err != nil {
			return err
		}
	}
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

func (c *child) send(r report) {
	r.Nth = c.nth
	b, err := json.Marshal(r)
	if err == nil {
		_, err = c.report.Write(append(b, '\n'))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: send report: %v\n", err)
		os.Exit(3)
	}
}

func (c *child) run(o order) error {
	nr, ok := c.sc.Number(runtime.GOARCH)
	if !ok && !c.sc.Suite {
		return fmt.Errorf("%s is not a system call of %s", c.sc.Name, runtime.GOARCH)
	}
	c.nr = uintptr(nr)
	object.LowMemory = nr >= socketcallBase
	if object.LowMemory {
		if err := prepareSocketcall(); err != nil {
			return err
		}
	}
	mentioned := c.cs.mentioned()
	c.Maker = object.Maker{Dir: o.dir, TID: unix.Gettid(), Parent: o.parent, Mentions: func(name string) bool { return mentioned[name] }}
	if err := c.Builtins(c.bind); err != nil {
		return err
	}
	for _, g := range c.cs.Given {
		v, err := c.eval(g.Expr)
		if err != nil {
			return fmt.Errorf("given %s: %w", g.Name, err)
		}
		c.bind(g.Name, v)
	}
	if c.sc.Suite {
		return c.play(caseMark(o.number))
	}
	if err := c.prepareCall(); err != nil {
		return err
	}
	c.Number, c.First = c.nr, c.args[0]
	pre := report{Step: stepReady, Facts: c.facts()}
	for _, a := range c.args {
		pre.Args = append(pre.Args, uint64(a))
	}
	c.send(pre)
	for _, f := range c.Before {
		f()
	}
	childWrite, caught = c.ChildWrite, c.Caught
	c.call(caseMark(o.number + uint32(c.nth)))
	for _, f := range c.Behind {
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
		if err := object.Update(c.vars[name]); err != nil && post.Reason == "" {
			post.Step, post.Reason = stepFailed, fmt.Sprintf("look at %s again: %v", name, err)
		}
	}
	post.Facts = c.facts()
	c.send(post)
	return nil
}

// play does the act of a scenario between two marks.
func (c *child) play(marker uint32) error {
	c.send(report{Step: stepReady, Facts: c.facts()})
	mark(marker | MarkBefore)
	v, err := c.eval(c.cs.Act)
	mark(marker | MarkAfter)
	if err != nil {
		return fmt.Errorf("act: %w", err)
	}
	c.bind("act", v)
	done := report{Step: stepReturned}
	for _, item := range c.cs.Items {
		v, err := c.eval(item.By)
		if err != nil {
			return fmt.Errorf("by: %w", err)
		}
		tid, err := expr.ToInt(v)
		if err != nil {
			return fmt.Errorf("by: %w", err)
		}
		done.Threads = append(done.Threads, uint64(tid))
	}
	done.Facts = c.facts()
	c.send(done)
	return nil
}

// call makes the system call between two marks, without other calls of this thread
// between them: the scheduler, which calls futex, is entered where a function
// checks its stack, so none of these functions does.
//
//go:nosplit
func (c *child) call(marker uint32) {
	mark(marker | MarkBefore)
	c.ret = rawCall(c.nr, &c.args)
	mark(marker | MarkAfter)
}

func (c *child) bind(name string, v any) {
	if _, ok := c.vars[name]; !ok {
		c.names = append(c.names, name)
	}
	c.vars[name] = v
}

func (c *child) facts() object.Facts {
	facts := make(object.Facts, 2*len(c.vars))
	for name, v := range c.vars {
		object.Flatten(facts, name, v)
	}
	return facts
}

// eval evaluates an expression of the case.
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

// prepareCall evaluates the arguments.
func (c *child) prepareCall() error {
	n, err := expr.Parse(c.cs.Call, expr.Pos{File: c.sc.ID(c.cs), Line: 1, Col: 1})
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	if n.Kind != expr.Call || n.Text != c.sc.Name {
		return fmt.Errorf("call: %q is not a call of %s", c.cs.Call, c.sc.Name)
	}
	if len(n.Args) > len(c.args) || len(n.Args) > len(c.sc.Params) {
		return fmt.Errorf("call: %d arguments (%s has %d)", len(n.Args), c.sc.Name, len(c.sc.Params))
	}
	for i, a := range n.Args {
		p := c.sc.Params[i]
		v, err := expr.Eval(a, c)
		if err == nil {
			c.args[i], err = object.Register(v, p.Type)
		}
		if err != nil {
			return fmt.Errorf("call: %s: %w", p.Name, err)
		}
	}
	return nil
}

// waitForTask waits until the process or thread that a clone made has ended. It returns
// at once if this process cannot wait for it.
func (c *child) waitForTask(pid int) {
	for {
		_, err := unix.Wait4(pid, nil, unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	for range 500 { // a thread, or a child of our parent
		st, err := object.ReadStat(fmt.Sprintf("/proc/%d/task/%[1]d/stat", pid))
		if err != nil || st.State == 'Z' || st.State == 'X' {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
