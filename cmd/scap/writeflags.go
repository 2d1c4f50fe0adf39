// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// writeFlags say how a capture is written.
type writeFlags struct {
	compress, compat bool
	level            int
	megabytes        uint
	files            int
	seconds          uint
	events           uint64
}

func (w *writeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&w.compress, "compress", "z", false, "write gzip")
	f.IntVar(&w.level, "level", 0, "with -z: 1 (fast) to 9 (small)")
	f.BoolVar(&w.compat, "compat", false, "lower what only this project knows, for every reader of the format")
	f.UintVarP(&w.megabytes, "file-size", "C", 0, "begin a new file after so many millions of bytes")
	f.IntVarP(&w.files, "file-count", "W", 0, "keep so many files: the oldest is overwritten")
	f.UintVarP(&w.seconds, "rotate-seconds", "G", 0, "begin a new file after so many seconds; the name may have %-directives of strftime")
	f.Uint64VarP(&w.events, "file-events", "e", 0, "begin a new file after so many events")
}

func (w *writeFlags) options() savefile.FileOptions {
	return savefile.FileOptions{
		WriterOptions: savefile.WriterOptions{Compress: w.compress, Level: w.level, Compat: w.compat, Generic: genericIDs()},
		MaxSize:       int64(w.megabytes) * 1e6,
		MaxFiles:      w.files,
		Every:         time.Duration(w.seconds) * time.Second,
		MaxEvents:     w.events,
	}
}

// genericIDs gives the syscall code and number that stand for an event of ours in
// a generic event.
func genericIDs() func(event.Type) (code, nr uint16) {
	ids := map[string]*driver.ID{}
	for i := range driver.IDs {
		ids[driver.IDs[i].Name] = &driver.IDs[i]
	}
	return func(t event.Type) (code, nr uint16) {
		info := event.Lookup(t)
		if info == nil {
			return 0, 0
		}
		id := ids[info.Name]
		if id == nil {
			return 0, 0
		}
		call := driver.Call{Name: id.Name, NR: id.NR}
		n, ok := call.Number(runtime.GOARCH)
		if !ok {
			n = 0
		}
		return id.Code, uint16(n)
	}
}
