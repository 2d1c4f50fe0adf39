// SPDX-License-Identifier: Apache-2.0

// Command moddiff tries the kernel module's interface against the reference
// implementation, from both sides, in machines with kernels of Debian:
//
//   - sysdig of Debian captures from our module;
//   - our client (scap/kmod) captures from the reference implementation's module, the
//     package falcosecurity-scap-dkms, built with the same headers and compiler as ours.
//
// Run it from anywhere in the repository:
//
//	go run ./internal/cmd/moddiff
//	go run ./internal/cmd/moddiff -kernel 6.12 -keep /tmp/seen
//
// It needs QEMU, apt, dpkg-deb and unshare, but no root: the packages are fetched
// through the machine's apt configuration with their signatures checked, unpacked into
// the cache, and of sysdig's only the program and the libraries that it names go into
// the machine. -refresh fetches them again. A kernel takes about a minute, most of it
// for building the reference module, where the machine is idle.
//
// In each machine our module is loaded as it is by default, which sysdig of libs 0.23
// must refuse for its API version, then with the older persona, then the reference module.
// With each of the two a workload runs whose calls and results are known exactly:
// files, descriptors, memory, TCP and UDP over loopback, a child that is executed and
// ends. Three clients capture it at the same time, which the modules allow: one sysdig
// that prints, one that saves, and ours. Then the host compares:
//
//   - what sysdig prints of each call with what the call really was;
//   - what our client shows of each call with the same;
//   - the events that sysdig saved with those of our client, byte by byte: both saw the
//     same call, with one timestamp;
//   - the events of our module with those of the reference module, param by param,
//     but for those that differ from run to run.
//
// Last, sysdig records with the reference module while the cases of the table are performed, and
// the file is scored as `scaplab matrix --driver capture=FILE` does. A difference that no
// `differs` of the table lists is wrong.
//
// Calls that the table has no entry for come from our module as generic events, which
// carry no params; they are counted and named.
//
// The exit status is 0 if everything matches, 1 if something differs, 2 for wrong use and
// 3 if the machine lacks something.
package main
