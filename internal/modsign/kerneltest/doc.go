// SPDX-License-Identifier: Apache-2.0

// Package kerneltest has the kernel judge signed modules: one that runs with module.sig_enforce=1 in a virtual machine, and
// trusts a key of the test because its own key was replaced in its image.
package kerneltest
