// SPDX-License-Identifier: Apache-2.0

package tables

import "embed"

//go:embed *.yaml syscalls/*.yaml schema.lock
var builtIn embed.FS

// BuiltIn reads the tables that this program was built with.
func BuiltIn() (*Table, error) { return load(builtIn, "tables") }
