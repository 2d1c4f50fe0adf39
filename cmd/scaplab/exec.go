// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest/machine/machineexec"
)

// exitTimeout is the exit status of timeout(1) for a command that it ended.
const exitTimeout = 124

// execFlags are the flags of exec.
type execFlags struct {
	runFlags
	copyIn, copyOut []string
	programs        []string
	env             []string
	workdir         string
	cpus            int
	timeout         time.Duration
}

func newExecCmd() *cobra.Command {
	f := execFlags{}
	cmd := &cobra.Command{
		Use:   "exec [flags] -- CMD [ARG]...",
		Short: "Run a command on another kernel, in a machine of its own",
		Long: "Exec starts a virtual machine with the kernel, runs the command in it as root, and\n" +
			"ends with its exit status: 128 and the signal's number for a signal, 127 and 126 for\n" +
			"a program that is not there or cannot be run, 124 after --timeout. Standard input,\n" +
			"output and error are the command's.\n\n" +
			"The machine has a writable file system in memory and the usual mounts, a loopback\n" +
			"interface, and nothing of this system but what is copied. A command that is a file\n" +
			"here is copied with the libraries that it is linked with, unless --copy-in has put\n" +
			"one in its place. The environment is PATH, HOME, TMPDIR, PWD and what --env adds.\n\n" +
			"With arguments of a Go test program (-test.*) it works for `go test -exec`: the\n" +
			"working directory is copied in, and profiles, coverage and the test log come out.\n" +
			"Tests that read files elsewhere need --copy-in, with absolute paths; those that run\n" +
			"programs need --program.\n\n" +
			"The first machine of a kernel is saved once it has booted; later ones are restored\n" +
			"from that in a second. As many run at a time as --jobs says, of all exec commands of\n" +
			"this user.",
		Example: "  scaplab exec --kernel 6.1 -- uname -r\n" +
			"  go test -exec 'scaplab exec --kernel 5.10 --' ./...\n" +
			"  go test -exec 'scaplab exec --kernel 5.10 --program sh,cat --' ./...\n" +
			"  scaplab exec --kernel newest --copy-in ./data:/data --copy-out /tmp/trace.out:. -- ./prog /data",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is its own
	flags.StringVar(&f.kernel, "kernel", "newest", "kernel: a series, newest, or a file (bzImage, vmlinux, .deb)")
	f.mirrorFlags(cmd)
	f.archFlags(cmd)
	f.machineFlags(cmd)
	flags.IntVar(&f.cpus, "cpus", 1, "processors of the machine")
	flags.StringArrayVar(&f.copyIn, "copy-in", nil, "file or directory to copy into the machine, SRC[:DST]; DST is SRC's absolute path by default; may be repeated")
	flags.StringArrayVar(&f.copyOut, "copy-out", nil, "file, or directory with its content, to copy out of the machine at the end, PATH[:DST]; DST is PATH by default; may be repeated")
	flags.StringSliceVar(&f.programs, "program", nil, "programs of this system that the command runs, such as sh,cat: they are copied with their libraries")
	flags.StringArrayVar(&f.env, "env", nil, "environment variable K=V, or K with the value that it has here; may be repeated")
	flags.StringVar(&f.workdir, "workdir", "", "working directory in the machine; default is the path of this one")
	flags.DurationVar(&f.timeout, "timeout", 0, "time after which the machine is ended; 0 is none")
	return cmd
}

func (f *execFlags) run(cmd *cobra.Command, args []string) error {
	c, err := f.command(args)
	if err != nil {
		return err
	}
	if err := f.checkMachine(); err != nil {
		return err
	}
	if f.cpus < 1 {
		return cli.Usage(fmt.Errorf("--cpus %d: want 1 or more", f.cpus))
	}
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	console, closeConsole, err := f.openConsole(cmd)
	if err != nil {
		return err
	}
	defer closeConsole()
	ctx := cmd.Context()
	program, remove, err := f.findGuest(ctx)
	if err != nil {
		return err
	}
	defer remove()
	machines, err := machineexec.New(ctx, machineexec.Options{
		Kernel: f.kernel, Arch: f.arch, Mirror: f.mirror, MaxAge: f.maxAge, Program: program,
		MemoryMB: f.memory, CPUs: f.cpus, Accel: f.accel, NoSnapshots: f.noSnaps, BootLimit: f.bootLimit, AtOnce: f.jobs,
		Console: console, Log: newTalk(cmd.ErrOrStderr()).say,
	})
	if err != nil {
		return environment(err)
	}
	defer machines.Close()
	if f.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, f.timeout)
		defer stop()
	}
	err = machines.Run(ctx, c)
	exit, ended := errors.AsType[*machineexec.ExitError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && cmd.Context().Err() == nil:
		return &cli.Error{Code: exitTimeout, Err: fmt.Errorf("%s had not ended after %v (--timeout)", args[0], f.timeout)}
	case ended && err == error(exit) && exit.Reason == "": // the command has said why
		return &cli.Error{Code: exit.Status()}
	case ended:
		return &cli.Error{Code: exit.Status(), Err: err}
	case err != nil:
		return environment(err)
	}
	return nil
}

// command turns flags and arguments into a command.
func (f *execFlags) command(args []string) (*machineexec.Command, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, cli.Lacking(err)
	}
	c := &machineexec.Command{Args: slices.Clone(args), Dir: f.workdir}
	if c.Dir == "" {
		c.Dir = here
	}
	if !path.IsAbs(c.Dir) {
		return nil, cli.Usage(fmt.Errorf("--workdir %q: want an absolute path of the machine", f.workdir))
	}
	for _, v := range f.env {
		name, _, given := strings.Cut(v, "=")
		switch value, set := os.LookupEnv(name); {
		case name == "":
			return nil, cli.Usage(fmt.Errorf("--env %q: want K=V or K", v))
		case given:
			c.Env = append(c.Env, v)
		case set:
			c.Env = append(c.Env, v+"="+value)
		}
	}
	for _, v := range f.copyIn {
		from, to, _ := strings.Cut(v, ":")
		if _, err := os.Stat(from); err != nil {
			return nil, cli.Usage(fmt.Errorf("--copy-in: %w", err))
		}
		if to == "" {
			if to, err = filepath.Abs(from); err != nil {
				return nil, cli.Lacking(err)
			}
		}
		if !path.IsAbs(to) {
			return nil, cli.Usage(fmt.Errorf("--copy-in %q: want an absolute path of the machine after the colon", v))
		}
		c.In = append(c.In, machineexec.Copy{From: from, To: path.Clean(to)})
	}
	for _, v := range f.copyOut {
		from, to, _ := strings.Cut(v, ":")
		if from == "" {
			return nil, cli.Usage(fmt.Errorf("--copy-out %q: want PATH or PATH:DST", v))
		}
		if !path.IsAbs(from) {
			from = path.Join(c.Dir, from)
		}
		if to == "" {
			to = from
		}
		c.Out = append(c.Out, machineexec.Copy{From: from, To: to})
	}
	for _, name := range f.programs {
		file, err := exec.LookPath(name)
		if err == nil {
			err = c.AddProgram(file)
		}
		if err != nil {
			return nil, cli.Usage(fmt.Errorf("--program %s: %w", name, err))
		}
	}
	if c.IsGoTest() && f.workdir == "" {
		c.AddGoTest()
	}
	return c, addCommand(c)
}

// addCommand adds the program, if it is one of this system and not in the place of a file that is copied.
func addCommand(c *machineexec.Command) error {
	found, err := exec.LookPath(c.Args[0])
	if err != nil {
		return nil // the machine may have it, or says that it has not
	}
	file, err := filepath.Abs(found)
	if err != nil {
		return cli.Lacking(err)
	}
	c.Args[0] = file
	if slices.ContainsFunc(c.In, func(in machineexec.Copy) bool { return in.To == file }) {
		return nil
	}
	if err := c.AddProgram(file); err != nil {
		return cli.Usage(err)
	}
	return nil
}
