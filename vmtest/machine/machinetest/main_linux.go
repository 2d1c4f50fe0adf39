// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package machinetest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/vmtest/guest"
)

const (
	argsFile = "machinetest.args" // file in the machine's root directory: arguments of the program
	exitMark = "MACHINETEST EXIT "
	again    = "MACHINETEST_AGAIN" // environment variable: init has set up the machine
)

// inside reports whether this process is init of a machine that Run booted.
func inside() bool {
	_, err := os.Stat("/" + argsFile)
	return os.Getpid() == 1 && err == nil
}

// prefix returns the prefix of the names of tests that run in the machine.
var prefix string

// Main runs the tests of the program: in a machine those whose names begin with
// inMachine, elsewhere the others. It does not return.
func Main(m *testing.M, inMachine string) {
	prefix = inMachine
	if !inside() {
		flag.Parse()
		skip := "^" + prefix
		if given := flag.Lookup("test.skip").Value.String(); given != "" {
			skip = given + "|" + skip
		}
		if err := flag.Set("test.skip", skip); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	if os.Getenv(again) == "" {
		for _, w := range guest.SetUpMachine() {
			fmt.Println("machine:", w)
		}
		// Libraries read the mounts when they start, so the program executes itself again.
		fmt.Println("start again:", unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), again+"=1")))
	}
	args, err := os.ReadFile("/" + argsFile)
	if err != nil {
		fmt.Println(err)
	}
	os.Args = append(os.Args[:1], strings.Fields(string(args))...)
	code := m.Run()
	fmt.Printf("\n%s%d\n", exitMark, code)
	time.Sleep(100 * time.Millisecond) // for the serial port
	guest.PowerOff()
}
