// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"errors"
	"fmt"
	"io"

	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// A filter decides about the events of an Inspector, one by one.
func Example() {
	f, err := filter.Compile("evt.type in (open, openat) and fd.name startswith /no and evt.failed = true")
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
	for {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		if f.Match(ev) {
			fmt.Println(ev.Num, ev.Type())
		}
	}
	// Output: 55 openat
}

// All that is wrong with a filter is reported, each with its place.
func ExampleCompile() {
	_, err := filter.Compile("proc.nmae = cat and evt.type = opnat")
	fmt.Println(err)
	// Output:
	// filter:1:1: unknown field proc.nmae (did you mean proc.name?)
	//     proc.nmae = cat and evt.type = opnat
	//     ^
	// filter:1:32: evt.type is never "opnat" (did you mean openat?)
	//     proc.nmae = cat and evt.type = opnat
	//                                    ^
}
