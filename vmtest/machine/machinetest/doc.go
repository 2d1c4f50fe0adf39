// SPDX-License-Identifier: Apache-2.0

// Package machinetest runs tests of a package as init of a virtual machine. It
// fetches the kernel and builds the kernel module:
//
//	func TestMain(m *testing.M) { machinetest.Main(m, "TestGuest") }
//
//	func TestModule(t *testing.T) { machinetest.Run(t) }
//
// The tests named TestGuest run only in the machine, and are reported as parts of
// TestModule. Environment variables select what runs:
//
//	SCAPLAB_KERNELS   series of kernels, separated by commas (default 6.1)
//	SCAPLAB_RUN       pattern of the tests in the machine (default all)
//	SCAPLAB_ARGS      more arguments of the program in the machine
//	SCAPLAB_BOOT      more arguments of the kernel, such as preempt=full
//	SCAPLAB_CONSOLE   not empty: copy the machine's console to standard error
//	SCAPLAB_MTTCG     not empty: emulate the machine's CPUs in threads of their own
package machinetest
