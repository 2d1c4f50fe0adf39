// SPDX-License-Identifier: Apache-2.0

// Command probe is init of the machines of tests, and the command that they run: it does what its first argument says.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/scaplab/scaplab/vmtest/machine/machineexec"
)

func main() {
	machineexec.Init()
	if err := act(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func act(what string, args []string) error {
	switch what {
	case "look": // at what a command has around it
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		fmt.Println(dir, os.Getenv("PATH") != "", os.Getenv("X"))
		for _, file := range []string{"/proc/self/stat", "/sys/kernel/tracing/trace", "/sys/fs/bpf", "/dev/shm", "/tmp", "/etc/passwd"} {
			if _, err := os.Stat(file); err != nil {
				return err
			}
		}
		b, err := os.ReadFile("/sys/class/net/lo/flags")
		if err != nil {
			return err
		}
		fmt.Println("lo", strings.TrimSpace(string(b)))
	case "copy": // standard input to output
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "sum": // the digest of a file, and the file again under another name
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		fmt.Printf("%x", sha256.Sum256(b))
		return os.WriteFile(args[1], b, 0o600)
	case "exit":
		fmt.Fprint(os.Stderr, "said")
		os.Exit(7)
	case "signal":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "panic":
		return os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "hang":
		select {}
	}
	return nil
}
