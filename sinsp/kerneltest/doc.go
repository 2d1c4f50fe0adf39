// SPDX-License-Identifier: Apache-2.0

// Package kerneltest has the tests of package sinsp that take a kernel: the state that
// events make is compared with a scan of /proc.
package kerneltest
