// SPDX-License-Identifier: Apache-2.0

package scap_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
)

// who is what this example knows of a thread.
type who struct {
	comm      string
	uid       event.UID
	container string
}

// Prints the process, user and container of each event. The state at the start of the
// capture has the threads of that moment; events of clone and execve add new ones. In
// a live capture, call proc.Scan for the state once the source is open.
//
// The example leaves out events that change the user (setuid), rename a thread (prctl)
// or end it. The user names come from the host's list, and a container may have
// another list.
func Example_processUserContainer() {
	capture, err := savefile.NewReader(bytes.NewReader(exampleCapture()), savefile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer capture.Close()

	users := map[event.UID]string{}
	for _, u := range capture.State().Users {
		users[u.UID] = u.Name
	}
	threads := map[event.PID]who{}
	for _, t := range capture.State().Threads {
		threads[t.TID] = who{t.Comm, t.UID, containerOf(proc.Items(t.Cgroups))}
	}
	var decoder event.Decoder
	for ev, err := range scap.Events(context.Background(), capture) {
		if err != nil {
			log.Fatal(err)
		}
		tid := ev.TID()
		typed, err := decoder.Decode(ev)
		if err != nil {
			continue // of a type without a struct
		}
		switch e := typed.(type) {
		case *event.CloneExit: // once in the parent (Res is the child), once in the child (Res is 0)
			if e.Res == 0 {
				threads[tid] = who{string(e.Comm), e.UID, containerOf(proc.Items(string(e.Cgroups)))}
			}
		case *event.ExecveExit:
			if e.Res == 0 {
				threads[tid] = who{string(e.Comm), e.UID, containerOf(proc.Items(string(e.Cgroups)))}
			}
		}
		w := threads[tid]
		fmt.Printf("%s: %s (%d) of %s in %s\n", ev.Type(), w.comm, tid, users[w.uid], w.container)
	}
	// Output:
	// close: sh (100) of root in host
	// clone: sh (101) of root in host
	// execve: nginx (101) of www in 4c01db0b339c
	// close: nginx (101) of www in 4c01db0b339c
}

// containerOf returns the short id of the container that cgroups name. docker,
// containerd, podman and kubernetes end a path with 64 hex digits.
func containerOf(cgroups []string) string {
	for _, cgroup := range cgroups {
		last := strings.TrimSuffix(cgroup[strings.LastIndexAny(cgroup, "/-:")+1:], ".scope")
		if len(last) == 64 && strings.Trim(last, "0123456789abcdef") == "" {
			return last[:12]
		}
	}
	return "host"
}

// exampleCapture returns a capture of a shell that starts a server in a container.
func exampleCapture() []byte {
	const docker = "pids=/docker/4c01db0b339c2ff1dbf7b8a1b4f1d3a1dd2ad7ee7f4d3e09e0b1f9c7ad5d2c11\x00"
	var out bytes.Buffer
	w, err := savefile.NewWriter(&out, savefile.WriterOptions{State: &proc.State{
		Users:   []proc.User{{UID: 0, Name: "root"}, {UID: 33, Name: "www"}},
		Threads: []proc.Thread{{TID: 100, PID: 100, Comm: "sh"}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	add := func(t event.Type, tid event.PID, values map[string]any) {
		var b event.Builder
		params := event.Lookup(t).Params
		b.Begin(t, 1_700_000_000_000_000_000, tid, len(params))
		for i := range params {
			switch v := values[params[i].Name].(type) {
			case string:
				b.AddString(v)
			case []byte:
				b.Add(v)
			case int:
				b.AddInt64(int64(v))
			case uint32:
				b.AddUint32(v)
			default:
				b.AddEmpty()
			}
		}
		raw, err := b.End()
		if err != nil {
			log.Fatal(err)
		}
		var ev event.Event
		ev.ResetUnchecked(raw, 0)
		if err := w.Write(&ev); err != nil {
			log.Fatal(err)
		}
	}
	add(event.TypeCloseExit, 100, map[string]any{"res": 0, "fd": 3})
	add(event.TypeCloneExit, 101, map[string]any{"res": 0, "comm": "sh", "uid": uint32(0)})
	add(event.TypeExecveExit, 101, map[string]any{"res": 0, "comm": "nginx", "uid": uint32(33), "cgroups": []byte(docker)})
	add(event.TypeCloseExit, 101, map[string]any{"res": 0, "fd": 3})
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	return out.Bytes()
}
