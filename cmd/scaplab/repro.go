// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

func newReproCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "repro CELL",
		Short: "Replay one case on one kernel and show all of it",
		Long: "Repro runs the single case that a line of a report names, SYSCALL/CASE@KERNEL/DRIVER,\n" +
			"and prints the case, what the guest saw, every event with its bytes, and how each\n" +
			"parameter compares. The kernel `host` is the running one.",
		Example: "  scaplab repro openat/creates-a-file@6.12/ebpf\n" +
			"  scaplab repro openat/missing-file@host/ebpf --console -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, kernel, drivers, err := vmtest.ParseCell(args[0])
			if err != nil {
				return cli.Usage(err)
			}
			switch f.jobs = 1; {
			case f.driver == "":
				f.driver = drivers.String()
			case !f.isForeign() || drivers != guest.OnlyKmod:
				return cli.Usage(fmt.Errorf("--driver %s: the cell has the driver; the flag is for somebody else's module: kmod=FILE, kmod=DIR or kmod=PACKAGE", f.driver))
			}
			o, done, err := f.options(cmd)
			if err != nil {
				return err
			}
			defer done()
			if sc, _ := guest.Find(id); sc == nil {
				return cli.Usage(fmt.Errorf("unknown case %q%s", id, casesOf(id)))
			}
			o.Cases = []string{id}
			out := cmd.OutOrStdout()
			printCase(out, id)
			o.OnResult = func(r *guest.CaseResult) {
				f.talk.end()
				printResult(out, r)
			}
			rep, err := f.replay(cmd, o, kernel)
			if err != nil {
				return environment(err)
			}
			printVerdicts(out, rep)
			return f.outcome(rep)
		},
	}
	f.mirrorFlags(cmd)
	f.headersFlag(cmd)
	f.modulesFlag(cmd)
	cmd.Flags().StringVar(&f.driver, "driver", "", "the module that a cell of kmod is of, if it is somebody else's, as matrix takes it: kmod=FILE, DIR or PACKAGE")
	f.guestFlags(cmd)
	f.archFlags(cmd)
	return cmd
}

// replay runs the one case on a kernel.
func (f *runFlags) replay(cmd *cobra.Command, o vmtest.Options, kernel string) (*vmtest.Report, error) {
	if kernel == vmtest.HostKernel {
		return vmtest.RunHost(cmd.Context(), o)
	}
	if err := f.kernels(cmd, &o, kernel); err != nil {
		return nil, err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "kernel: %s\n", o.Kernels[0].Source())
	guest, removeGuest, err := f.findGuest(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer removeGuest()
	o.Guest = guest
	removeModules, err := f.findModules(cmd.Context(), &o)
	defer removeModules()
	if err != nil {
		return nil, err
	}
	return vmtest.Run(cmd.Context(), o)
}

func printCase(w io.Writer, id string) {
	sc, c := guest.Find(id)
	var params []string
	for _, p := range sc.Params {
		params = append(params, strings.TrimSpace(p.Type+" "+p.Name))
	}
	fmt.Fprintf(w, "case %s\nplace: %s\n", id, sc.Place(c))
	if !sc.Suite {
		fmt.Fprintf(w, "syscall: %s(%s)\n", sc.Name, strings.Join(params, ", "))
	}
	if len(c.Needs) > 0 {
		fmt.Fprintf(w, "needs: %s\n", strings.Join(c.Needs, ", "))
	}
	printBindings(w, "given", c.Given)
	if sc.Suite {
		printScenario(w, c)
		return
	}
	fmt.Fprintf(w, "call: %s\n", c.Call)
	printBindings(w, "after", c.After)
	printBindings(w, "want", c.Want)
	printBindings(w, "child", c.Child)
	if c.NoEvent != "" {
		fmt.Fprintf(w, "no event: %s\n", c.NoEvent)
	}
}

func printScenario(w io.Writer, c *guest.Case) {
	fmt.Fprintf(w, "act: %s\n", c.Act)
	for _, item := range c.Items {
		title := "shows"
		if item.Never {
			title = "never"
		}
		fmt.Fprintf(w, "%s: %s of thread %s\n", title, judge.Symbol(item.Code), item.By)
		for _, b := range item.With {
			fmt.Fprintf(w, "  %s: %s\n", b.Name, b.Expr)
		}
		for _, d := range slices.Sorted(maps.Keys(item.Missed)) {
			fmt.Fprintf(w, "  missed by %s: %s\n", d, item.Missed[d])
		}
	}
}

func printBindings(w io.Writer, title string, list []guest.Binding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "%s:\n", title)
	for _, b := range list {
		fmt.Fprintf(w, "  %s: %s\n", b.Name, b.Expr)
	}
}

// printResult shows everything the guest told of a case.
func printResult(w io.Writer, r *guest.CaseResult) {
	fmt.Fprintf(w, "guest: %s: %s", r.Case, r.Outcome)
	if r.Reason != "" {
		fmt.Fprintf(w, ": %s", r.Reason)
	}
	fmt.Fprintf(w, " in %v\n", r.Took)
	if r.Return {
		fmt.Fprintf(w, "ret: %d", r.Ret)
		if name := event.ErrnoName(-r.Ret); r.Ret < 0 && name != "" {
			fmt.Fprintf(w, " (%s)", name)
		}
		fmt.Fprintln(w)
	}
	if len(r.Args) > 0 {
		fmt.Fprintf(w, "args: %#x\n", r.Args)
	}
	fmt.Fprintf(w, "tid: %d", r.TID)
	if r.Child != 0 {
		fmt.Fprintf(w, ", child: %d", r.Child)
	}
	if r.Signal != "" {
		fmt.Fprintf(w, ", ended by %s", r.Signal)
	}
	fmt.Fprintln(w)
	if r.Stderr != "" {
		fmt.Fprintf(w, "stderr:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(r.Stderr), "\n", "\n  "))
	}
	if len(r.Facts) > 0 {
		fmt.Fprintln(w, "facts:")
		for _, name := range slices.Sorted(maps.Keys(r.Facts)) {
			fmt.Fprintf(w, "  $%s = %s\n", name, judge.Brief(r.Facts[name].String(), 200))
		}
	}
	printCapture(w, &r.Capture)
	if r.Second != nil {
		printCapture(w, r.Second)
	}
}

func printCapture(w io.Writer, c *guest.Capture) {
	fmt.Fprintf(w, "%s: events: %d, of others: %d, lost: %d\n", c.Driver, len(c.Events), c.Others, c.Lost)
	if c.Incomplete != "" {
		fmt.Fprintf(w, "  incomplete: %s\n", c.Incomplete)
	}
	for i, b := range c.Events {
		printEvent(w, i+1, b)
	}
}

// printEvent shows an event's parameters as text and as bytes.
func printEvent(w io.Writer, n int, b []byte) {
	var ev event.Event
	if err := ev.Reset(b, 0); err != nil {
		fmt.Fprintf(w, "  %d: %v: % x\n", n, err, b)
		return
	}
	info := ev.Info()
	if info == nil {
		fmt.Fprintf(w, "  %d: unknown code %d: % x\n", n, ev.Type(), b)
		return
	}
	direction := "<"
	if info.Enter {
		direction = ">"
	}
	fmt.Fprintf(w, "  %d: %s %s (code %d), tid %d, %d bytes\n", n, direction, info.Name, ev.Type(), ev.TID(), len(b))
	for i := range ev.NumParams() {
		value := ev.Param(i)
		name, text := fmt.Sprintf("param %d", i), ""
		if i < len(info.Params) {
			name, text = info.Params[i].Name, string(info.Params[i].AppendText(nil, value))
		}
		fmt.Fprintf(w, "     %-12s %s  [%s]\n", name, judge.Brief(text, 200), judge.Brief(fmt.Sprintf("% x", value), 120))
	}
}

func printVerdicts(w io.Writer, rep *vmtest.Report) {
	for _, x := range rep.Results {
		fmt.Fprintf(w, "verdict: %s: %s", x.Cell(), x.Status)
		if x.Class != "" {
			fmt.Fprintf(w, " (%s)", x.Class)
		}
		fmt.Fprintln(w)
		for l := range strings.Lines(x.Reason) {
			fmt.Fprintf(w, "  %s\n", strings.TrimRight(l, "\n"))
		}
		if x.Missed != "" {
			fmt.Fprintf(w, "  missed: %s\n", x.Missed)
		}
		for _, p := range x.Params {
			mark := "ok  "
			if !p.OK {
				mark = "FAIL"
			}
			fmt.Fprintf(w, "  %s %-12s want %s, got %s\n", mark, p.Name, judge.Brief(p.Want, 200), judge.Brief(p.Got, 200))
		}
	}
	for _, x := range rep.Warnings {
		fmt.Fprintf(w, "warning: %s: %s\n", x.Kernel, x.Text)
	}
	if rep.Accel.Name != "" {
		fmt.Fprintf(w, "accelerator: %s\n", rep.Accel)
	}
}
