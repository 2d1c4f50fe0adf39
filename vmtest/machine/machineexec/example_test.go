// SPDX-License-Identifier: Apache-2.0

package machineexec_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/scaplab/scaplab/vmtest/machine/machineexec"
)

// Programs that run commands in machines are their init, too: main calls Init first.
func Example() {
	machineexec.Init()
	ctx := context.Background()
	machines, err := machineexec.New(ctx, machineexec.Options{Kernel: "5.10"})
	if err != nil {
		log.Fatal(err)
	}
	defer machines.Close()
	cmd := machineexec.Command{
		Args:   []string{"/bin/sh", "-c", "read name; echo hello $name > /tmp/out; exit 7"},
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Out:    []machineexec.Copy{{From: "/tmp/out", To: "out"}},
	}
	if err := cmd.AddProgram("/bin/sh"); err != nil {
		log.Fatal(err)
	}
	err = machines.Run(ctx, &cmd)
	fmt.Println(err) // exit status 7
}
