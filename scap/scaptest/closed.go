// SPDX-License-Identifier: Apache-2.0

package scaptest

import (
	"errors"
	"os"
	"testing"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// RequireClosed fails the test unless src, which must be closed, behaves as
// scap.Source says: reads and another Close return os.ErrClosed, Stats the last
// counts.
func RequireClosed(tb testing.TB, src scap.Source) {
	tb.Helper()
	evs := make([]event.Event, 1)
	for what, call := range map[string]func() error{
		"Next":      func() error { _, err := src.Next(); return err },
		"NextInto":  func() error { return src.NextInto(&evs[0]) },
		"ReadBatch": func() error { _, err := src.ReadBatch(evs); return err },
		"Close":     src.Close,
	} {
		if err := call(); !errors.Is(err, os.ErrClosed) {
			tb.Errorf("%T: %s after Close: %v (want os.ErrClosed)", src, what, err)
		}
	}
	if _, err := src.Stats(); err != nil {
		tb.Errorf("%T: Stats after Close: %v", src, err)
	}
}
