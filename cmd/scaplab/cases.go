// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// exportNote is the file of --export that says what to do with the program beside it.
const exportNote = `The program scaplab performs the cases of its table. Record on any machine with
Linux, as root, while it runs there:

    sysdig -w trace.scap &        # or whatever writes such files; nothing filtered, snap length 80
    ./scaplab cases --facts facts.json
    kill %1

Then score the recording, anywhere:

    ./scaplab matrix --driver capture=trace.scap --facts facts.json
`

func newCasesCmd() *cobra.Command {
	var f runFlags
	var export, facts string
	cmd := &cobra.Command{
		Use:   "cases",
		Short: "List the cases, or perform them for another program that records",
		Long: "Cases lists the cases of the table. With --facts it performs them on the running\n" +
			"kernel, without a driver of this project, and writes what each call really did.\n" +
			"A capture that another program recorded meanwhile is scored with these facts:\n" +
			"matrix --driver capture=FILE --facts FACTS. Cases that would change the machine are\n" +
			"left out.\n\n" +
			"With --export it writes this program, linked statically, and a note on its use to a\n" +
			"directory, to be taken to another machine.",
		Example: "  scaplab cases --syscall openat\n" +
			"  scaplab cases --export out\n" +
			"  sudo scaplab cases --facts facts.json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.driver = guest.OnlyEBPF.String() // options checks it; no driver is used
			o, done, err := f.options(cmd)
			if err != nil {
				return err
			}
			defer done()
			switch {
			case export != "" && facts != "":
				return cli.Usage(errors.New("--export is for another machine, --facts for this one"))
			case export != "":
				return f.exportCases(cmd, export)
			case facts != "":
				return recordFacts(cmd, o, facts)
			}
			for _, id := range o.Cases {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), id); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&export, "export", "", "write this program and a note on its use to this directory")
	cmd.Flags().StringVar(&facts, "facts", "", "perform the cases and write what they did to this file")
	f.chooseFlags(cmd)
	f.archFlags(cmd)
	f.consoleFlag(cmd)
	f.caseFlags(cmd)
	return cmd
}

// exportCases writes the guest program and the note.
func (f *runFlags) exportCases(cmd *cobra.Command, dir string) error {
	guest, remove, err := f.findGuest(cmd.Context())
	if err != nil {
		return err
	}
	defer remove()
	program, err := os.ReadFile(guest)
	if err != nil {
		return cli.Lacking(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return environment(env.Disk(err))
	}
	for name, file := range map[string]struct {
		data []byte
		mode os.FileMode
	}{"scaplab": {program, 0o755}, "README": {[]byte(exportNote), 0o644}} {
		if err := os.WriteFile(filepath.Join(dir, name), file.data, file.mode); err != nil {
			return environment(env.Disk(err))
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s has the program for linux/%s; %s says how to record and score\n", dir, f.arch, filepath.Join(dir, "README"))
	return nil
}

// recordFacts performs the cases on the running kernel.
func recordFacts(cmd *cobra.Command, o vmtest.Options, file string) error {
	facts, err := vmtest.RecordFacts(cmd.Context(), o)
	if err != nil {
		return environment(err)
	}
	if err := writeFacts(facts, file); err != nil {
		return environment(env.Disk(err))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d of %d cases ran on %s\n", len(facts.Results), len(o.Cases), facts.Hello.Release)
	return nil
}

func writeFacts(facts *vmtest.Facts, file string) error {
	var b bytes.Buffer
	if err := facts.Write(&b); err != nil {
		return err
	}
	return files.WriteAtomic(file, b.Bytes())
}

// captureFile is what begins the value of --driver for a capture that another program recorded.
const captureFile = "capture="

// judgeCapture judges the capture that --driver names.
func (f *runFlags) judgeCapture(o vmtest.Options, name string) (*vmtest.Report, error) {
	if f.facts == "" {
		return nil, cli.Usage(errors.New("--driver capture=FILE needs --facts FILE, which scaplab cases wrote meanwhile"))
	}
	file, err := os.Open(f.facts)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--facts: %w", err))
	}
	defer file.Close()
	facts, err := vmtest.ReadFacts(file)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--facts %s: %w", f.facts, err))
	}
	if facts.Hello.Arch != runtime.GOARCH {
		return nil, cli.Usage(fmt.Errorf("--facts %s: of %s (want those of this architecture, %s)", f.facts, facts.Hello.Arch, runtime.GOARCH))
	}
	rep, err := vmtest.JudgeCapture(o, facts, name)
	if rep == nil && err != nil {
		return nil, cli.Usage(fmt.Errorf("--driver: %w", err))
	}
	return rep, err
}
