// SPDX-License-Identifier: Apache-2.0

// Package version has the version of this project. The versions of the interfaces that it
// speaks are those of tables/schema.lock, see package event.
package version

// Number is the version of the tools, drivers and packages, as in the tag vNumber.
// CHANGELOG.md has a section for it.
const Number = "0.1.0"
