// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// offence is what one of falco's rules is about. A program commits it, or does the same
// without what is wrong with it.
type offence struct {
	rule      string
	program   string         // its name; "": offender
	args      []string       // of it
	innocent  []string       // the arguments of the program that does nothing wrong
	env       string         // a variable of the offender only
	user      int            // that the program runs as
	container bool           // it runs in a cgroup as that of a container
	login     bool           // the rule asks for a login of another user than root
	repeat    bool           // the offence is repeated until there is an alert: the rule asks a name server
	runtime   bool           // the innocent program does the same, in a container that the runtime describes otherwise
	own       string         // what rules of our own change of the rule
	note      string         // what readers of the page should know
	do        act            // nil: the offence is the program's name or its arguments
	fields    map[string]any // that the alert has; has: a part of the text
}

// has is a part of a field's text.
type has string

// offences are those of the rules of all files.
var offences = slices.Concat(stableOffences, incubatingOffences, sandboxOffences, runtimeOffences)

// ownRules are what users of the rules have to fill in.
const ownRules = `
- macro: allowed_containers
  condition: (container.id = ` + innocentContainer + `)
- list: namespace_scope_network_only_subnet
  items: [shop]
`

const (
	guiltyContainer   = "c0ffee01c0ff"
	innocentContainer = "c0ffee02c0ff"
)

// Variables of the program.
const (
	offenceVar = "SCAP_OFFENCE"          // index in offences, or idle
	cgroupVar  = "SCAP_OFFENCE_CGROUP"   // that the program enters before it becomes itself
	userVar    = "SCAP_OFFENCE_USER"     // whom it becomes before
	guiltVar   = "SCAP_OFFENCE_INNOCENT" // set: it does nothing wrong

	idle = "idle" // ends at once
)

// offend is the program.
func offend(number string) {
	if number == idle {
		os.Exit(0)
	}
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, os.Args, err)
		os.Exit(1)
	}
	cgroup, user := os.Getenv(cgroupVar), os.Getenv(userVar)
	if cgroup != "" {
		if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			fail(err)
		}
	}
	if user != "" {
		id, err := strconv.Atoi(user)
		if err := errors.Join(err, syscall.Setgroups(nil), syscall.Setresgid(id, id, id), syscall.Setresuid(id, id, id)); err != nil {
			fail(err)
		}
	}
	if cgroup != "" || user != "" {
		os.Unsetenv(cgroupVar)
		os.Unsetenv(userVar)
		fail(syscall.Exec(os.Args[0], os.Args, os.Environ()))
	}
	i, err := strconv.Atoi(number)
	if err != nil {
		fail(err)
	}
	os.Unsetenv(offenceVar)
	if o := offences[i]; o.do != nil {
		if err := o.do(filepath.Dir(os.Args[0]), os.Getenv(guiltVar) != ""); err != nil {
			fail(err)
		}
	}
	os.Exit(0)
}

// containerCgroup makes a cgroup that looks like that of a container.
func containerCgroup(tb testing.TB, id string) string {
	tb.Helper()
	root := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	parent := filepath.Join(root, "docker")
	dir := filepath.Join(parent, strings.Repeat(id, 6)[:64])
	err := os.MkdirAll(dir, 0o755)
	if errors.Is(err, unix.EROFS) || errors.Is(err, os.ErrPermission) {
		tb.Skip("the cgroups of this machine may not be changed: ", err) // within a container
	}
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.Eventually(tb, func() bool { return os.Remove(dir) == nil }, time.Minute, 10*time.Millisecond)
		_ = os.Remove(parent) // a real one stays
	})
	return dir
}

// written collects what the command writes.
type written struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *written) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *written) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// roomy are flags for one large ring: nothing is lost while other programs keep this one
// from running.
var roomy = []string{"--cpus-per-ring", "-1", "--ring-size", strconv.Itoa(64 << 20)}

// watch starts scap rules and returns when it watches. stop ends it and returns what it
// wrote to standard error.
func watch(t *testing.T, out io.Writer, args ...string) (errs *written, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	errs = &written{}
	done := make(chan int, 1)
	go func() { done <- run(ctx, slices.Concat([]string{"rules"}, roomy, args), out, errs) }()
	stop = sync.OnceValue(func() int {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if stop(); t.Failed() {
			t.Log(errs) // it says what was lost
		}
	})
	require.Eventually(t, func() bool {
		select {
		case code := <-done:
			done <- code
			t.Fatalf("scap rules ended with %d: %s", code, errs)
		default:
		}
		return strings.Contains(errs.String(), "rules watch this machine")
	}, 10*time.Minute, 10*time.Millisecond)
	return errs, stop
}

// found is an alert of a rule.
type found struct {
	Rule   string         `json:"rule"`
	Fields map[string]any `json:"output_fields"`
}

// alerts are the alerts that scap rules writes, by the processes that caused them, by
// their parents and by the parents of these.
type alerts struct {
	mu   sync.Mutex
	rest []byte // of a line
	of   map[int][]found
	bad  error
}

func newAlerts() *alerts { return &alerts{of: map[int][]found{}} }

func (a *alerts) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = append(a.rest, p...)
	for {
		line, rest, ok := bytes.Cut(a.rest, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		var f found
		if err := json.Unmarshal(line, &f); err != nil && a.bad == nil {
			a.bad = fmt.Errorf("%s: %w", line, err)
		}
		for _, field := range []string{"proc.pid", "proc.apid[1]", "proc.apid[2]"} {
			if n, ok := f.Fields[field].(float64); ok {
				a.of[int(n)] = append(a.of[int(n)], f)
			}
		}
		a.rest = rest
	}
}

// by returns the alerts of a rule that a process caused.
func (a *alerts) by(pid int, rule string) (list []found) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.of[pid] {
		if f.Rule == rule {
			list = append(list, f)
		}
	}
	return list
}

// officialDir has the rule files of falco.
const officialDir = "../../../shared/data/rules"

// stage is where offences happen.
type stage struct {
	base, binary                 string // a directory that all users may read, and in it this program
	guiltyCgroup, innocentCgroup string
	dirs                         atomic.Int64
}

func newStage(t *testing.T) *stage {
	t.Helper()
	testutil.SkipIfShort(t, "runs programs under a live capture")
	if _, err := os.Stat(officialDir); err != nil {
		t.Skip("the official rule files are not beside the project: ", err)
	}
	testutil.SkipUnlessKernel(t, "5.8", "the eBPF ring buffer")
	testutil.SkipUnlessRoot(t)
	s := &stage{guiltyCgroup: containerCgroup(t, guiltyContainer), innocentCgroup: containerCgroup(t, innocentContainer)}
	self, err := os.Executable()
	require.NoError(t, err)
	s.base, err = os.MkdirTemp("", "offences")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(s.base)) })
	require.NoError(t, os.Chmod(s.base, 0o755))
	s.binary = filepath.Join(s.base, "program")
	b, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.binary, b, 0o755))
	return s
}

// start starts the program of an offence.
func (s *stage) start(t *testing.T, i int, innocent bool) *exec.Cmd {
	t.Helper()
	o := &offences[i]
	name := cmp.Or(o.program, "offender")
	if o.do == nil && o.args == nil && o.innocent == nil && o.env == "" && !o.runtime && innocent {
		name = "innocent" // the offence is the name
	}
	dir := filepath.Join(s.base, strconv.FormatInt(s.dirs.Add(1), 10))
	require.NoError(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, name)
	require.NoError(t, os.Link(s.binary, path))
	cmd := exec.Command(path, either(innocent && !o.runtime, o.innocent, o.args)...)
	// The signals by which the Go runtime interrupts threads would stop a traced one.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", offenceVar+"="+strconv.Itoa(i))
	if innocent && !o.runtime {
		cmd.Env = append(cmd.Env, guiltVar+"=1")
	} else if o.env != "" {
		cmd.Env = append(cmd.Env, o.env)
	}
	if o.container {
		cmd.Env = append(cmd.Env, cgroupVar+"="+either(innocent, s.innocentCgroup, s.guiltyCgroup))
	}
	if o.user != 0 {
		cmd.Env = append(cmd.Env, userVar+"="+strconv.Itoa(o.user))
	}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// officialRules are the arguments for all rules of falco, and for alerts that [alerts]
// reads.
func officialRules(t *testing.T) []string {
	t.Helper()
	args := []string{"--json", "--all-matches", "--enable", "*", "-o", "append_output[].extra_output=%proc.pid %proc.apid[1] %proc.apid[2]"}
	for _, name := range officialFiles {
		args = append(args, filepath.Join(officialDir, name))
	}
	return append(args, mustWrite(t, "own.yaml", ownRules))
}

// requireFields requires that an alert has the fields of an offence.
func (o *offence) requireFields(t *testing.T, a found) {
	t.Helper()
	for field, want := range o.fields {
		value := a.Fields[field]
		if part, ok := want.(has); ok {
			require.Contains(t, value, string(part), "%s of %v", field, a.Fields)
		} else {
			require.Equal(t, want, value, "%s of %v", field, a.Fields)
		}
	}
}

// The official rules of falco alert when programs do what the rules are about, with the
// fields that say so, and do not when the same programs do the same without the offence.
func TestOfficialRulesFindOffences(t *testing.T) {
	s := newStage(t)
	nameServer(t)
	out := newAlerts()
	errs, stop := watch(t, out, officialRules(t)...)
	var mu sync.Mutex
	innocents := map[int]string{} // the rules by process
	t.Run("offences", func(t *testing.T) {
		for i, o := range offences {
			if o.runtime {
				continue
			}
			t.Run(o.rule, func(t *testing.T) {
				t.Parallel()
				if o.login && loginUser(t) == 0 {
					loginAsNobody(t)
				}
				innocent, guilty := s.start(t, i, true), s.start(t, i, false)
				require.NoError(t, innocent.Wait())
				require.NoError(t, guilty.Wait())
				mu.Lock()
				innocents[innocent.Process.Pid] = o.rule
				mu.Unlock()
				began := time.Now()
				got := out.by(guilty.Process.Pid, o.rule)
				for n := 1; got == nil; n++ {
					require.Less(t, time.Since(began), patience, "no alert; %s", errs)
					time.Sleep(20 * time.Millisecond)
					if o.repeat && n%50 == 0 {
						guilty = s.start(t, i, false)
						require.NoError(t, guilty.Wait())
					}
					got = out.by(guilty.Process.Pid, o.rule)
				}
				o.requireFields(t, got[0])
			})
		}
	})
	began := time.Now()
	require.Zero(t, stop(), errs.String())
	t.Logf("the end took %s; %s", time.Since(began), errs)
	require.NoError(t, out.bad)
	for pid, rule := range innocents {
		require.Empty(t, out.by(pid, rule), "%s: the innocent program", rule)
	}
}

// loginAsNobody makes the programs that this goroutine starts belong to a login of another user than root.
func loginAsNobody(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // a login is one of a thread, which ends with the goroutine
	require.NoError(t, os.WriteFile("/proc/thread-self/loginuid", []byte("65534"), 0))
}

// loginUser returns the user that has logged in.
func loginUser(t *testing.T) uint32 {
	b, err := os.ReadFile("/proc/self/loginuid")
	if errors.Is(err, os.ErrNotExist) { // a kernel without it has no logins
		return ^uint32(0)
	}
	require.NoError(t, err)
	id, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	require.NoError(t, err)
	return uint32(id)
}
