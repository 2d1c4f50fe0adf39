// SPDX-License-Identifier: Apache-2.0

// Command generate is scaplab gen without the rest of scaplab: it imports no
// generated code, so it runs where that does not compile. Run it at the root of
// the project.
package main

import (
	"fmt"
	"os"

	"github.com/scaplab/scaplab/gen"
	"github.com/scaplab/scaplab/tables"
)

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate() error {
	t, err := tables.Load("tables")
	if err != nil {
		return err
	}
	files, err := gen.Files(t)
	if err != nil {
		return err
	}
	changed, err := gen.Write(".", files)
	for _, path := range changed {
		fmt.Println(path)
	}
	return err
}
