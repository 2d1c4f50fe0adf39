// SPDX-License-Identifier: Apache-2.0

// Package guest is the side of the harness that makes the calls: as init of a
// virtual machine, or as a process of the running kernel.
//
// For each case it starts a child, in which the case's objects are made, the
// system call is done and its traces are looked up; meanwhile it captures
// with a driver. It reports what happened, the facts, and the raw events. It
// judges nothing: that is the host's part.
//
// A program that may be started as a guest calls [Hook] first thing in main.
package guest
