// SPDX-License-Identifier: Apache-2.0

// Package modtest tests the kernel module as its clients meet it: the whole
// user interface, its accounting, its behaviour under load and when CPUs come
// and go. It has tests only. TestModule boots each kernel whose module can be had
// with the test program itself as init, where the tests named TestGuest run.
package modtest
