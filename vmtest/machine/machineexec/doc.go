// SPDX-License-Identifier: Apache-2.0

// Package machineexec runs commands in virtual machines, as package os/exec runs them in processes: each in a machine of its own that
// boots a given kernel, or is restored from the state of one that has booted it. `scaplab exec` is its command.
//
//	func main() {
//		machineexec.Init() // this program is also init of the machines
//		machines, err := machineexec.New(ctx, machineexec.Options{Kernel: "5.10"})
//		...
//		defer machines.Close()
//		cmd := machineexec.Command{Args: []string{"/bin/uname", "-r"}, Stdout: os.Stdout}
//		err = cmd.AddProgram("/bin/uname") // with its libraries
//		...
//		err = machines.Run(ctx, &cmd)
//	}
//
// A machine has an empty root directory in its memory, which can be written, and nothing of this system but what
// [Command.In] and its siblings copy. /proc, /sys, /dev, /dev/shm, tracefs, debugfs, the BPF and cgroup file systems are
// mounted, /tmp is a tmpfs, the loopback interface is up; there is no other network. The command runs as root, and a machine
// runs one command.
//
// It needs QEMU and no privilege. Init must be a static program for the kernel's architecture; see [Options].
package machineexec
