// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// writeFlags say how a capture is written.
type writeFlags struct {
	compress, native bool
	level            int
	megabytes        uint
	files            int
	seconds          uint
	events           uint64
}

func (w *writeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&w.compress, "compress", "z", false, "write gzip")
	f.IntVar(&w.level, "level", 0, "with -z: 1 (fast) to 9 (small); 0: 6")
	f.BoolVar(&w.native, "native", false, "also write what only this project reads: released readers skip such events, or reject the file")
	f.UintVarP(&w.megabytes, "file-size", "C", 0, "begin a new file after this many millions of bytes")
	f.IntVarP(&w.files, "file-count", "W", 0, "keep this many files: a new one overwrites the oldest")
	f.UintVarP(&w.seconds, "rotate-seconds", "G", 0, "begin a new file after this many seconds; the name may have %-directives of strftime")
	f.Uint64VarP(&w.events, "file-events", "e", 0, "begin a new file after this many events")
}

// writeFlagNames are the flags that need a file.
var writeFlagNames = []string{"compress", "level", "native", "file-size", "file-count", "rotate-seconds", "file-events"}

// flagName returns the name of a flag as users type it.
func flagName(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand + " (--" + f.Name + ")"
	}
	return "--" + f.Name
}

// check returns an error if the flags do not fit a capture in path; "": no file.
func (w *writeFlags) check(cmd *cobra.Command, path string) error {
	if path == "" {
		for _, name := range writeFlagNames {
			if f := cmd.Flags().Lookup(name); f.Changed {
				return cli.Usage(fmt.Errorf("%s needs -w FILE", flagName(f)))
			}
		}
	}
	switch {
	case w.level < 0 || w.level > 9:
		return cli.Usage(fmt.Errorf("--level %d: 1 (fast) to 9 (small)", w.level))
	case w.level > 0 && !w.compress:
		return cli.Usage(errors.New("--level needs -z"))
	case w.files < 0:
		return cli.Usage(fmt.Errorf("-W %d: a number of files", w.files))
	case w.files > 0 && !w.rotates():
		return cli.Usage(errors.New("-W needs -C, -G or -e, which say when a file is full"))
	case w.rotates() && path == "-":
		return cli.Usage(errors.New("standard output cannot be several files"))
	}
	return nil
}

// rotates reports whether the capture goes to several files.
func (w *writeFlags) rotates() bool { return w.megabytes > 0 || w.seconds > 0 || w.events > 0 }

func (w *writeFlags) options() savefile.FileOptions {
	return savefile.FileOptions{
		WriterOptions: savefile.WriterOptions{Compress: w.compress, Level: w.level, Compat: !w.native, Generic: genericIDs()},
		MaxSize:       int64(w.megabytes) * 1e6,
		MaxFiles:      w.files,
		Every:         time.Duration(w.seconds) * time.Second,
		MaxEvents:     w.events,
	}
}

// leftOutText says what a file for released readers lacks; "" for nothing.
func leftOutText(l savefile.LeftOut) string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{
		{l.Generic, "events have no arguments"}, {l.Enter, "enter events are left out"}, {l.Params, "events lack their last argument"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if parts == nil {
		return ""
	}
	return "so that released readers can read the file, " + strings.Join(parts, ", ") + " (--native keeps everything)"
}

// tellLeftOut prints what the files of w lack.
func tellLeftOut(cmd *cobra.Command, w *savefile.File) {
	if text := leftOutText(w.LeftOut()); text != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
}

// genericIDs returns a function that returns the syscall code and number for the
// generic event that replaces one of our own.
func genericIDs() func(event.Type) (code, nr uint16) {
	ids := map[string]driver.ID{}
	for _, id := range driver.IDs() {
		ids[id.Name] = id
	}
	return func(t event.Type) (code, nr uint16) {
		info := event.Lookup(t)
		if info == nil {
			return 0, 0
		}
		id, ok := ids[info.Name]
		if !ok {
			return 0, 0
		}
		n, _ := id.NR.Number(runtime.GOARCH)
		return id.Code, uint16(max(n, 0))
	}
}
