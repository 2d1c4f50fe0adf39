// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
)

// stateFlags say of which moment the state is shown.
type stateFlags struct {
	path    string
	begin   bool
	until   uint64
	threads bool
	json    bool
}

func (s *stateFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&s.path, "read", "r", "", "the capture; the same as FILE")
	f.BoolVar(&s.begin, "begin", false, "the state at the begin of the capture, rather than at its end")
	f.Uint64Var(&s.until, "until", 0, "the state after the event of this number")
	f.BoolVarP(&s.json, "json", "j", false, "one JSON object per line")
}

// print prints rows of the threads that args name, at the moment that the flags say: as a
// table with that header, or the documents as JSON. rows calls row for each of them, with
// the text of the table's columns, divided by tabs.
func (s *stateFlags) print(cmd *cobra.Command, args []string, header string, rows func(t *sinsp.Thread, row func(doc any, text string) error) error) error {
	out := bufio.NewWriter(cmd.OutOrStdout())
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if !s.json {
		fmt.Fprintln(w, header)
	}
	row := func(doc any, text string) error {
		if s.json {
			return printJSON(out, doc)
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}
	err := s.selected(args, func(t *sinsp.Thread) error { return rows(t, row) })
	return cmp.Or(w.Flush(), out.Flush(), err)
}

// selected calls show with each thread that args name, at the moment that the flags say.
func (s *stateFlags) selected(args []string, show func(*sinsp.Thread) error) error {
	if s.begin && s.until > 0 {
		return cli.Usage(errors.New("--begin and --until are two moments"))
	}
	if s.path == "" {
		if len(args) == 0 {
			return cli.Usage(errors.New("which capture? (FILE; - reads standard input)"))
		}
		s.path, args = args[0], args[1:]
	}
	r, err := savefile.Open(s.path, savefile.Options{})
	if err != nil {
		return opened(err)
	}
	defer r.Close()
	in := sinsp.New(r, sinsp.Options{})
	for !s.begin {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return cli.Found(err)
		}
		if ev.Num == s.until {
			break
		}
	}
	threads := slices.SortedFunc(in.Threads(), func(a, b *sinsp.Thread) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.TID, b.TID))
	})
	for _, t := range threads {
		if t.Exited || t.Placeholder || !s.threads && !t.Main() || !named(t, args) {
			continue
		}
		if err := show(t); err != nil {
			return err
		}
	}
	return leftOut(r, s.path)
}

// named reports whether one of the names or pids is that of t; there may be none.
func named(t *sinsp.Thread, args []string) bool {
	return len(args) == 0 || slices.ContainsFunc(args, func(arg string) bool {
		if pid, err := strconv.ParseInt(arg, 10, 64); err == nil {
			return event.PID(pid) == t.PID || event.PID(pid) == t.TID
		}
		return arg == t.Comm
	})
}

// processDoc is a process, or one of its threads.
type processDoc struct {
	PID       event.PID `json:"pid"`
	TID       event.PID `json:"tid"`
	Parent    event.PID `json:"ppid"`
	User      string    `json:"user"`
	UID       event.UID `json:"uid"`
	Threads   int       `json:"threads"`
	FDs       int       `json:"fds"`
	VMSize    uint32    `json:"vmsize_kb"`
	VMRSS     uint32    `json:"vmrss_kb"`
	Started   uint64    `json:"started_ns,string"`
	Container string    `json:"container,omitempty"`
	Name      string    `json:"name"`
	Exe       string    `json:"exe"`
	Command   string    `json:"command"`
	Dir       string    `json:"cwd"`
}

func documentProcess(t *sinsp.Thread) processDoc {
	d := processDoc{
		PID: t.PID, TID: t.TID, Parent: t.PTID, UID: t.UID, Threads: t.NumThreads(), FDs: t.NumFDs(), VMSize: t.VMSize, VMRSS: t.VMRSS,
		Started: t.CloneTime, Container: t.ContainerID, Name: t.Comm, Exe: t.ExePath, Dir: t.CWD(),
		Command: strings.TrimSuffix(strings.ReplaceAll(t.Exe+"\x00"+t.Args, "\x00", " "), " "),
	}
	if p := t.Parent(); p != nil {
		d.Parent = p.PID
	}
	if u := t.User(); u != nil {
		d.User = u.Name
	}
	return d
}

func newPsCmd() *cobra.Command {
	var s stateFlags
	cmd := &cobra.Command{
		Use:   "ps FILE [PID|NAME...]",
		Short: "Print the processes of a capture",
		Long: `Print the processes that run at the end of a capture, or at another moment: pid, parent,
user, threads, open files, memory in kB, time of the start, command line.`,
		Example: "  scap ps trace.scap --begin\n  scap ps trace.scap --until 1000 nginx",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.print(cmd, args, "PID\tTID\tPPID\tUSER\tTHREADS\tFDS\tSIZE\tRSS\tSTART\tCOMMAND", func(t *sinsp.Thread, row func(any, string) error) error {
				d := documentProcess(t)
				started := "-"
				if d.Started > 0 {
					started = time.Unix(0, int64(d.Started)).Format(time.DateTime)
				}
				return row(d, fmt.Sprintf("%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s", d.PID, d.TID, d.Parent, shownText(cmp.Or(d.User, fmt.Sprint(int32(d.UID)))),
					d.Threads, d.FDs, d.VMSize, d.VMRSS, started, shownText(cmp.Or(d.Command, "["+d.Name+"]"))))
			})
		},
	}
	s.add(cmd)
	cmd.Flags().BoolVarP(&s.threads, "threads", "T", false, "all threads, rather than processes")
	return cmd
}

// fdDoc is an open file of a process.
type fdDoc struct {
	PID     event.PID `json:"pid"`
	Process string    `json:"process"`
	FD      event.FD  `json:"fd"`
	Type    string    `json:"type"`
	Name    string    `json:"name"`
	Ino     uint64    `json:"ino,string"`
}

func newFDsCmd() *cobra.Command {
	var s stateFlags
	cmd := &cobra.Command{
		Use:   "fds FILE [PID|NAME...]",
		Short: "Print the open files of a capture's processes",
		Long: `Print the open files of the processes that run at the end of a capture, or at another
moment: pid, name, descriptor, kind of file, name of the file or ends of the connection.`,
		Example: "  scap fds trace.scap nginx\n  scap fds trace.scap --json 1234",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.print(cmd, args, "PID\tPROCESS\tFD\tTYPE\tNAME", func(t *sinsp.Thread, row func(any, string) error) error {
				for num, fd := range t.FDs() {
					d := fdDoc{PID: t.PID, Process: t.Comm, FD: num, Type: fd.Type.String(), Name: string(fd.AppendName(nil)), Ino: fd.Ino}
					if err := row(d, fmt.Sprintf("%d\t%s\t%d\t%s\t%s", d.PID, shownText(d.Process), d.FD, d.Type, shownText(d.Name))); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	s.add(cmd)
	return cmd
}

func shownText(s string) []byte { return escape.AppendText(nil, []byte(s)) }

func printJSON(out io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = out.Write(append(escape.SafeJSON(b), '\n'))
	return err
}
