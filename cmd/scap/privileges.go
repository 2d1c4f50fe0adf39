// SPDX-License-Identifier: Apache-2.0

package main

import "path/filepath"

// need is what a capture still does with its file and the machine once it runs.
type need struct {
	dir    string // where files are created; "": none
	driver bool   // the eBPF driver is asked and changed
}

// needOf returns what a capture into path needs; "" and "-": no file.
func needOf(path, driver string) need {
	n := need{driver: driver == "ebpf"}
	if path != "" && path != "-" {
		n.dir = filepath.Dir(path)
	}
	return n
}
