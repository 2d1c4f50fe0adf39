// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"errors"
	"fmt"
	"io"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
)

// Prints between which addresses the sockets of a capture are, when that changes.
func Example() {
	src, err := savefile.Open("../scap/savefile/testdata/corpus/6.12-ebpf.scap", savefile.Options{})
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
		fd := ev.FD()
		if fd == nil || !ev.NameChanged && ev.Type() != event.TypeAccept4Exit {
			continue
		}
		if client, ok := fd.Client(); ok {
			server, _ := fd.Server()
			fmt.Printf("%s in thread %d: %s to %s\n", ev.Type(), ev.Thread.TID, client, server)
		}
	}
	// Output:
	// accept4 in thread 927: 127.0.0.1:42214 to 127.0.0.1:34167
	// sendto in thread 963: 127.0.0.1:54720 to 127.0.0.1:45101
	// sendto in thread 967: [::1]:39025 to [::1]:51697
	// sendto in thread 975: 127.0.0.1:33906 to 127.0.0.1:51773
}
