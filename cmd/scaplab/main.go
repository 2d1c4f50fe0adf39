// SPDX-License-Identifier: Apache-2.0

// Command scaplab is the workbench: it checks the table, generates what follows
// from it, and proves every entry on many kernels.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest/guest"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "scaplab",
		Short: "Describe system calls once, prove them on every kernel",
	}
	// One file per command; each has a constructor, named here.
	root.AddCommand(
		newGenCmd(),
		newTableCmd(),
		newSchemaCmd(),
		newMatrixCmd(),
		newCasesCmd(),
		newExecCmd(),
		newReproCmd(),
		newBuildCmd(),
		newBPFCmd(),
		newHostCmd(),
		newKernelsCmd(),
		newCacheCmd(),
		newDoctorCmd(),
		newReportCmd(),
		newVerifyCmd(),
		cli.NewVersionCmd("scaplab"),
		cli.NewManCmd("scaplab"),
	)
	return root
}

// run is the program without its process: tests call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return cli.Run(ctx, newRoot(), args, stdout, stderr)
}

// projectRoot is the directory that holds the tables: the working directory or
// the nearest one above it.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", cli.Lacking(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tables", "syscalls.yaml")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", cli.Lacking(errors.New("tables/syscalls.yaml is in no directory above this one: run scaplab inside the project"))
		}
		dir = up
	}
}

func main() {
	guest.Hook() // does not return in a guest, where this program is init
	ctx, stop := interruptible(time.Second)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// interruptible returns a context that a signal ends, after which the program cleans up. A
// second signal ends the program at once, unless it follows within grace: timeout(1) sends
// the same signal to its child and to its process group.
func interruptible(grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, func() {
		time.Sleep(grace)
		stop()
	})
	return ctx, stop
}
