// SPDX-License-Identifier: Apache-2.0

package output_test

import (
	"fmt"

	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/output"
)

// A format makes a line of an event. The asterisk in front keeps events that lack a value.
func Example() {
	f, err := output.Compile("*%evt.num %proc.name %evt.type %fd.name", output.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	src, err := savefile.Open("../../scap/savefile/testdata/corpus/6.12-ebpf.scap", savefile.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	in := sinsp.New(src, sinsp.Options{})
	var line []byte
	for range 4 {
		ev, err := in.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		line, _ = f.Append(line[:0], ev)
		fmt.Printf("%s\n", line)
	}
	// Output:
	// 1 <NA> getppid <NA>
	// 2 <NA> capset <NA>
	// 3 <NA> capset <NA>
	// 4 <NA> capset <NA>
}
