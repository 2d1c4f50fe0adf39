// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
)

// Prints which programs a capture saw run, and by whom.
func Example() {
	src, err := savefile.Open("trace.scap", savefile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer src.Close()
	in := sinsp.New(src, sinsp.Options{})
	for {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		if ev.Type() != event.TypeExecveExit || ev.Thread == nil {
			continue
		}
		by := "?"
		if parent := ev.Thread.Parent(); parent != nil {
			by = parent.Comm
		}
		fmt.Printf("%s runs %s in %s\n", by, ev.Thread.ExePath, ev.Thread.CWD())
	}
}
