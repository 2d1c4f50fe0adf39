// SPDX-License-Identifier: Apache-2.0

// Package guest is the part of the harness that makes the calls: as init of a
// virtual machine, or as a process of the running kernel.
//
// A fork server forks a child for each case. The child makes the objects of the case, makes the
// system call and looks at what it left behind, while the guest captures with a driver.
// Generated cases of a call share a child until one of them succeeds.
// The guest reports the outcome, the facts and the raw events; the host judges them.
//
// The main function of a program that may be started as a guest begins with [Hook].
package guest
