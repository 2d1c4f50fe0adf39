// SPDX-License-Identifier: Apache-2.0

// Package modtest tests the kernel module as its clients use it: the whole user
// interface, the accounting of losses, behaviour under load and when CPUs come and
// go. It has tests only. TestModule boots each kernel that has headers to build the
// module with. The test program itself is init there and runs the tests named TestGuest.
package modtest
