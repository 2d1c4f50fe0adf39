// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// runtimeOffences are those in which only the answers of a container runtime tell the
// guilty from the innocent.
var runtimeOffences = []offence{
	{rule: "Debugfs Launched in Privileged Container", program: "debugfs", container: true, runtime: true,
		fields: map[string]any{"proc.name": "debugfs"}},
	{rule: "Launch Privileged Container", container: true, runtime: true, do: startsFirst(first, nil), fields: map[string]any{"proc.name": "first"}},
	{rule: "Network Connection outside Local Subnet", container: true, runtime: true, own: "list `namespace_scope_network_only_subnet`",
		do:     connects(unix.SOCK_STREAM, "203.0.113.1:443", ""),
		fields: map[string]any{"fd.name": has("->203.0.113.1:443"), "evt.type": "connect"}},
	{rule: "Mount Launched in Privileged Container", program: "mount", args: []string{"/dev/sda1", "/mnt"}, container: true, runtime: true,
		fields: map[string]any{"proc.cmdline": "mount /dev/sda1 /mnt"}},
	{rule: "Launch Sensitive Mount Container", container: true, runtime: true, do: startsFirst(first, nil), fields: map[string]any{"proc.name": "first", "container.mounts": has("/etc:/etc")},
		note: "it holds for every image that it does not exempt, as in falco: a mount that a container does not have is a missing field, for which `not ... in` is true"},
}

// The answers of the runtime.
const (
	guiltyAnswer = `{"container":{"id":"` + guiltyContainer + `","type":0,"name":"guilty","imagerepo":"other/image","privileged":true,` +
		`"Mounts":[{"Source":"/etc","Destination":"/etc"}],"labels":{"io.kubernetes.pod.namespace":"shop"},` +
		`"pod_sandbox_labels":{},"pod_sandbox_id":"p"}}`
	innocentAnswer = `{"container":{"id":"` + innocentContainer + `","type":0,"name":"innocent","imagerepo":"docker.io/datadog/agent","privileged":false,` +
		`"Mounts":[{"Source":"/data","Destination":"/data"}],"labels":{"io.kubernetes.pod.namespace":"office"},` +
		`"pod_sandbox_labels":{},"pod_sandbox_id":"q"}}`
)

// Rules that ask what a container may do hold for the container of which the runtime says
// so, and not for the other.
func TestOfficialRulesNeedARuntime(t *testing.T) {
	s := newStage(t)
	path := filepath.Join(t.TempDir(), "offences.scap")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := &written{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"record", "-w", path}, roomy...), io.Discard, errs)
	}()
	for { // the file is made after the capture has begun
		if _, err := os.Stat(path); err == nil {
			break
		}
		select {
		case code := <-ended:
			t.Fatalf("scap record ended with %d: %s", code, errs)
		case <-time.After(10 * time.Millisecond):
		}
	}
	var guilty, innocent []int
	for i, o := range offences {
		if !o.runtime {
			continue
		}
		for _, good := range []bool{false, true} {
			cmd := s.start(t, i, good)
			require.NoError(t, cmd.Wait())
			if good {
				innocent = append(innocent, cmd.Process.Pid)
			} else {
				guilty = append(guilty, cmd.Process.Pid)
			}
		}
	}
	cancel()
	require.Zero(t, <-ended, errs.String())

	out := newAlerts()
	rules := append([]string{"rules", "-r", withAnswers(t, path)}, officialRules(t)...)
	require.Zero(t, run(t.Context(), rules, out, errs), errs.String())
	require.NoError(t, out.bad)
	for i, o := range runtimeOffences {
		t.Run(o.rule, func(t *testing.T) {
			got := out.by(guilty[i], o.rule)
			require.NotEmpty(t, got)
			o.requireFields(t, got[0])
			require.Empty(t, out.by(innocent[i], o.rule), "the innocent program")
		})
	}
}

// withAnswers copies a capture and puts the answers of the runtime before its events.
func withAnswers(t *testing.T, path string) string {
	t.Helper()
	in, err := savefile.Open(path, savefile.Options{})
	require.NoError(t, err)
	defer in.Close()
	var out *savefile.File
	var ev event.Event
	for {
		err := in.NextInto(&ev)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if out == nil { // the state is before the first event
			path += ".answers"
			out, err = savefile.Create(path, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: in.State()}})
			require.NoError(t, err)
			for _, answer := range []string{guiltyAnswer, innocentAnswer} {
				told := mustEvent(t, event.TypeContainerJSONEnter, ev.Timestamp(), -1, func(b *event.Builder) { b.AddString(answer) }, 1)
				require.NoError(t, out.Write(told))
			}
		}
		require.NoError(t, out.Write(&ev))
	}
	require.NoError(t, out.Close())
	return path
}
