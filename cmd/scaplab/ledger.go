// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/machine/machineexec"
)

func newBPFLoadCmd() *cobra.Command {
	var objects string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Load every eBPF program into the running kernel, and say what its verifier says",
		Long: "Load loads each program of the driver, attaches nothing, and prints how much work it was\n" +
			"for the verifier: instructions of the program, instructions that the verifier processed\n" +
			"on all paths, states, states at once, bytes of stack, seconds. It needs root. `scaplab\n" +
			"bpf ledger` does it on other kernels.",
		Example: "  sudo scaplab bpf load",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := driver.Verify(objects)
			if err != nil {
				return cli.Lacking(err)
			}
			var list []vmtest.Verifier
			for _, v := range all {
				line := vmtest.Verifier{Program: v.Program, Arch: runtime.GOARCH, Instructions: v.Instructions, Processed: v.Processed,
					States: v.States, PeakStates: v.PeakStates, Stack: v.Stack, Seconds: v.Took.Seconds()}
				if v.Err != nil {
					line.Error = (&driver.Refusal{Program: v.Program, Err: v.Err}).Error()
				}
				list = append(list, line)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(list)
			}
			w := bufio.NewWriter(cmd.OutOrStdout())
			fmt.Fprintf(w, "%-40s %12s %9s %6s %5s %5s %8s\n", "program", "instructions", "processed", "states", "peak", "stack", "seconds")
			refused := false
			for _, v := range list {
				if v.Error != "" {
					fmt.Fprintf(w, "%-40s %s\n", v.Program, v.Error)
					refused = true
					continue
				}
				fmt.Fprintf(w, "%-40s %12d %9d %6d %5d %5d %8.3f\n", v.Program, v.Instructions, v.Processed, v.States, v.PeakStates, v.Stack, v.Seconds)
			}
			if err := w.Flush(); err != nil {
				return cli.Lacking(err)
			}
			if refused {
				return cli.Found(nil)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&objects, "objects", "", "directory of the objects; default is this program's own")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// ledgerFlags are the flags of bpf ledger.
type ledgerFlags struct {
	runFlags
	objects string
	clang   string
	file    string
	update  bool
}

func newBPFLedgerCmd() *cobra.Command {
	var f ledgerFlags
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Measure how much work the eBPF programs are for verifiers, and compare with the ledger",
		Long: "Ledger loads every program on each kernel, in machines, and compares what the verifiers\n" +
			"say with the project's ledger, driver/bpf/verifier.txt: the length of a program, the\n" +
			"instructions and states that the verifier looked at, and the stack. What has grown by\n" +
			"more than a tenth, or was refused, is named; the exit status is 1 then. Kernels that the\n" +
			"ledger does not have are not compared.\n\n" +
			"--objects takes objects that another clang compiled (go run ./internal/cmd/bpfobjects\n" +
			"-clang 14 -o DIR, in driver/bpf); it is DIR/ARCH.",
		Example: "  scaplab bpf ledger --kernel 6.1\n" +
			"  scaplab bpf ledger --objects out/amd64 --clang 14 --update",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.kernelFlags(cmd)
	f.machineFlags(cmd)
	cmd.Flags().StringVar(&f.guest, "guest", "", "static scaplab to be init of the machines; default is this program, or one built from the source around it")
	cmd.Flags().StringVar(&f.objects, "objects", "", "directory of objects; default is this program's own")
	cmd.Flags().StringVar(&f.clang, "clang", bpf.Clang, "version of clang that compiled --objects")
	cmd.Flags().StringVar(&f.file, "ledger", "", "the ledger; default is driver/bpf/verifier.txt of the project around the working directory")
	cmd.Flags().BoolVar(&f.update, "update", false, "write what was measured into the ledger instead of comparing")
	cmd.Flags().StringVar(&f.json, "json", "", "also write what was measured as JSON to this file")
	return cmd
}

func (f *ledgerFlags) run(cmd *cobra.Command) error {
	if err := f.checkMachine(); err != nil {
		return err
	}
	if f.objects != "" && !files.Exists(filepath.Join(f.objects, bpf.Core+".o")) {
		return cli.Usage(fmt.Errorf("--objects %s: has no %s.o", f.objects, bpf.Core))
	}
	if f.file == "" {
		root, err := projectRoot()
		if err != nil {
			return err
		}
		f.file = filepath.Join(root, "driver", "bpf", "verifier.txt")
	}
	old, err := readLedger(f.file)
	if err != nil && !(f.update && errors.Is(err, fs.ErrNotExist)) {
		return cli.Usage(err)
	}
	talk := newTalk(cmd.ErrOrStderr())
	found, gone, err := f.namedKernels(cmd, splitList(f.kernel), talk.say)
	if err != nil {
		return err
	}
	measured, err := f.measure(cmd, found, talk.say)
	if err != nil {
		return err
	}
	if f.json != "" {
		text, err := json.MarshalIndent(measured, "", " ")
		if err == nil {
			err = os.WriteFile(f.json, append(text, '\n'), 0o644)
		}
		if err != nil {
			return cli.Lacking(err)
		}
	}
	if len(gone) > 0 {
		defer talk.say("not measured: %d kernels that are not available", len(gone))
	}
	if f.update {
		old.add(measured)
		return environmentOrNil(files.WriteAtomic(f.file, old.text()))
	}
	problems, compared := old.compare(measured)
	for _, p := range problems {
		fmt.Fprintln(cmd.OutOrStdout(), p)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d programs compared on %d kernels, clang %s: %d grew or were refused\n", compared, len(found), f.clang, len(problems))
	if len(problems) > 0 {
		return cli.Found(nil)
	}
	return nil
}

func environmentOrNil(err error) error {
	if err == nil {
		return nil
	}
	return environment(err)
}

// measure measures on the kernels, one after the other.
func (f *ledgerFlags) measure(cmd *cobra.Command, found []kernels.Kernel, log func(string, ...any)) (all []vmtest.Verifier, err error) {
	console, closeConsole, err := f.openConsole(cmd)
	if err != nil {
		return nil, err
	}
	defer closeConsole()
	program, remove, err := f.findGuest(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer remove()
	for _, k := range found {
		machines, err := machineexec.New(cmd.Context(), machineexec.Options{
			Kernel: k.Name, Mirror: f.mirror, MaxAge: f.maxAge, Program: program, MemoryMB: f.memory, Accel: f.accel,
			NoSnapshots: f.noSnaps, BootLimit: f.bootLimit, AtOnce: f.jobs, Console: console, Log: log,
		})
		if err != nil {
			return nil, environment(err)
		}
		list, err := vmtest.Verify(cmd.Context(), machines, k.Name, k.Arch, f.objects, f.clang)
		if err := errors.Join(err, machines.Close()); err != nil {
			return nil, environment(fmt.Errorf("kernel %s: %w", k.Name, err))
		}
		all = append(all, list...)
	}
	return all, nil
}

// ledger has what verifiers said of programs. Its text has a line for a program and a version of clang: the length of the
// program, then for each kernel the instructions processed, states, peak states and stack, with slashes between.
type ledger struct {
	kernels []string
	rows    map[ledgerKey]*ledgerRow
}

type ledgerKey struct{ program, clang string }

type ledgerRow struct {
	instructions int
	on           map[string][4]int // by kernel
}

// ledgerNumbers names the numbers of a kernel.
var ledgerNumbers = [4]string{"processed instructions", "states", "peak states", "bytes of stack"}

const ledgerHead = "# How much work each eBPF program is for the verifiers of kernels: its length, and on each kernel instructions processed/states/peak\n" +
	"# states/stack; - where it was refused or not measured. `scaplab bpf ledger` compares, with --update it writes this file.\n"

func readLedger(file string) (*ledger, error) {
	l := &ledger{rows: map[ledgerKey]*ledgerRow{}}
	text, err := os.ReadFile(file)
	if err != nil {
		return l, err
	}
	head := false
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
			continue
		case len(words) < 3:
			return l, fmt.Errorf("%s:%d: %d words (want program, clang, instructions, and one for each kernel)", file, n, len(words))
		case !head:
			head, l.kernels = true, words[3:]
			continue
		case len(words) != 3+len(l.kernels):
			return l, fmt.Errorf("%s:%d: %s: %d kernels (want %d, as the first line has)", file, n, words[0], len(words)-3, len(l.kernels))
		}
		row := &ledgerRow{on: map[string][4]int{}}
		if row.instructions, err = strconv.Atoi(words[2]); err != nil {
			return l, fmt.Errorf("%s:%d: %s: %q is no number of instructions", file, n, words[0], words[2])
		}
		for i, word := range words[3:] {
			if word == "-" {
				continue
			}
			var cell [4]int
			if _, err := fmt.Sscanf(word, "%d/%d/%d/%d", &cell[0], &cell[1], &cell[2], &cell[3]); err != nil {
				return l, fmt.Errorf("%s:%d: %s: %q (want four numbers with slashes between, or -)", file, n, words[0], word)
			}
			row.on[l.kernels[i]] = cell
		}
		l.rows[ledgerKey{words[0], words[1]}] = row
	}
	return l, nil
}

// add replaces what was measured anew.
func (l *ledger) add(list []vmtest.Verifier) {
	for _, v := range list {
		if !slices.Contains(l.kernels, v.Kernel) {
			l.kernels = append(l.kernels, v.Kernel)
		}
		key := ledgerKey{v.Program, v.Clang}
		row := l.rows[key]
		if row == nil {
			row = &ledgerRow{on: map[string][4]int{}}
			l.rows[key] = row
		}
		row.instructions = v.Instructions
		delete(row.on, v.Kernel)
		if v.Error == "" {
			row.on[v.Kernel] = numbersOf(v)
		}
	}
	slices.SortStableFunc(l.kernels, func(a, b string) int {
		x, _ := kver.Parse(a) // files are before series
		y, _ := kver.Parse(b)
		return x.Compare(y)
	})
	for key := range l.rows { // programs that are gone
		measured := slices.ContainsFunc(list, func(v vmtest.Verifier) bool { return v.Clang == key.clang })
		if measured && !slices.ContainsFunc(list, func(v vmtest.Verifier) bool { return v.Program == key.program }) {
			delete(l.rows, key)
		}
	}
}

func numbersOf(v vmtest.Verifier) [4]int { return [4]int{v.Processed, v.States, v.PeakStates, v.Stack} }

func (l *ledger) text() []byte {
	var keys []ledgerKey
	for key := range l.rows {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b ledgerKey) int {
		return cmp.Or(strings.Compare(a.program, b.program), strings.Compare(a.clang, b.clang))
	})
	var b bytes.Buffer
	b.WriteString(ledgerHead)
	fmt.Fprintf(&b, "program clang instructions %s\n", strings.Join(l.kernels, " "))
	for _, key := range keys {
		row := l.rows[key]
		fmt.Fprintf(&b, "%s %s %d", key.program, key.clang, row.instructions)
		for _, kernel := range l.kernels {
			if cell, ok := row.on[kernel]; ok {
				fmt.Fprintf(&b, " %d/%d/%d/%d", cell[0], cell[1], cell[2], cell[3])
			} else {
				b.WriteString(" -")
			}
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// growth is how many times a number may be that of the ledger.
const growth = 1.1

// compare names what grew, was refused, or is not in the ledger though its kernel is, and counts what was compared.
func (l *ledger) compare(list []vmtest.Verifier) (problems []string, compared int) {
	for _, v := range list {
		if !slices.Contains(l.kernels, v.Kernel) {
			continue
		}
		compared++
		where := fmt.Sprintf("%s on %s, clang %s: ", v.Program, v.Kernel, v.Clang)
		row := l.rows[ledgerKey{v.Program, v.Clang}]
		var cell [4]int
		known := false
		if row != nil {
			cell, known = row.on[v.Kernel]
		}
		switch {
		case v.Error != "" && known:
			problems = append(problems, where+v.Error)
			continue
		case v.Error != "":
			continue // as the ledger says
		case !known:
			problems = append(problems, where+"not in the ledger (scaplab bpf ledger --update adds it)")
			continue
		}
		check := func(what string, before, now int) {
			if before > 0 && float64(now) > growth*float64(before) {
				problems = append(problems, fmt.Sprintf("%s%d %s, %d in the ledger (+%.0f %%, at most 10)", where, now, what, before, 100*(float64(now)/float64(before)-1)))
			}
		}
		check("instructions", row.instructions, v.Instructions)
		for i, now := range numbersOf(v) {
			check(ledgerNumbers[i], cell[i], now)
		}
	}
	return problems, compared
}
