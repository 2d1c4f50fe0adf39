// SPDX-License-Identifier: Apache-2.0

package ebpf_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
)

// Counts which files are opened, until there are a hundred or the user interrupts.
// (It needs root, and the tests do not run it.)
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	src, err := ebpf.Open(scap.Selection{Syscalls: []string{"openat"}}, ebpf.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer src.Close()
	opens := make(map[string]int)
	var open event.OpenatExit
	for ev, err := range scap.Events(ctx, src) {
		if err != nil {
			log.Fatal(err)
		}
		if err := open.Decode(ev); err != nil {
			log.Fatal(err)
		}
		opens[string(open.Name)]++ // Name is a view, valid until the next event
		if len(opens) == 100 {
			break
		}
	}
	fmt.Println(opens)
}
