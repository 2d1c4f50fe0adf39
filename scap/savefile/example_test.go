// SPDX-License-Identifier: Apache-2.0

package savefile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/scaplab/scaplab/internal/synth"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// Count the opens of each path. A file would be opened with savefile.Open.
func Example() {
	var capture bytes.Buffer
	if err := makeCapture(&capture); err != nil {
		log.Fatal(err)
	}

	r, err := savefile.NewReader(&capture, savefile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	opens := map[string]int{}
	var open event.OpenatExit
	for ev, err := range scap.Events(context.Background(), r) {
		if errors.Is(err, savefile.ErrTruncated) {
			break // all complete events were delivered
		} else if err != nil {
			log.Fatal(err)
		}
		if ev.Type() == event.TypeOpenatExit && open.Decode(ev) == nil {
			opens[string(open.Name)]++ // Name is a view: copied by string()
		}
	}
	fmt.Println(opens["/etc/hosts"], opens["/etc/passwd"])
	// Output: 177 175
}

func makeCapture(out *bytes.Buffer) error {
	w, err := savefile.NewWriter(out, savefile.WriterOptions{})
	if err != nil {
		return err
	}
	if err := synth.Write(w, 10_000); err != nil {
		return err
	}
	return w.Close()
}
