// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/driver/bpf/amd64"
	"github.com/scaplab/scaplab/driver/bpf/arm64"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/version"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest"
)

// objectsOf are the compiled eBPF objects, by GOARCH.
var objectsOf = map[string]embed.FS{"amd64": amd64.Objects, "arm64": arm64.Objects}

// Subject is a kernel that drivers are released for.
type Subject struct {
	kernels.Kernel                    // Image is "" if there is none, only headers
	Builder        *kmodbuild.Builder // of its module
	Machine        vmtest.Options     // how machines of its architecture are run, with their Guest

	ofHeaders bool // its release is that of its headers, for the image, an unpacked kernel, does not tell it
}

// Options say what a release has.
type Options struct {
	Dir     string // replaced as a whole, if it is empty or a release
	Driver  string // first part of the modules' names
	Target  string // distribution of the kernels, as falcoctl calls it; "" means what `uname -v` names
	Modules bool
	Objects bool

	Twice    bool // build all modules anew, in two directories and surroundings, and demand the same bytes
	Untested bool // a kernel without a machine to load the drivers in is no error

	Signers

	Log  func(format string, args ...any)
	Done func(k kernels.Kernel, line string) // called when a kernel is done, or failed
}

// nameRE matches what can be a part of a module's file name, whose parts are separated by _.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

// Check returns an error for what cannot be done, before anything is.
func (o *Options) Check() error {
	if !nameRE.MatchString(o.Driver) {
		return fmt.Errorf("name %q: want letters, digits, . and -, which do not separate the parts of a file's name", o.Driver)
	}
	if o.Target != "" && !nameRE.MatchString(o.Target) {
		return fmt.Errorf("target %q: want the name of a distribution, such as rocky", o.Target)
	}
	return replaceable(o.Dir)
}

// built is a module: as it was built, and as it is released.
type built struct {
	*kmodbuild.Module
	unsigned, released []byte
}

type run struct {
	Options
	tmp      string
	manifest *Manifest
	tools    []Toolchain
	modules  [2]map[string][]byte // by file; the second is that of Twice
}

// Toolchain is what the modules of an architecture are built with.
type Toolchain struct {
	Arch     string
	Compiler string
	Packages []kernels.Package
}

// Build builds the drivers for each kernel, loads them in a machine of it, and writes the release. Kernels for which that fails are
// left out of it, and counted. The error is about this machine, its disk, or the keys.
func Build(ctx context.Context, subjects []Subject, o Options) (failed int, err error) {
	defer func() { err = env.Disk(err) }()
	if err := o.Check(); err != nil {
		return 0, err
	}
	stage, err := newStage(o.Dir)
	if err != nil {
		return 0, err
	}
	defer stage.remove()
	r := &run{Options: o}
	if r.tmp, err = os.MkdirTemp("", "scaplab-release-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(r.tmp)
	r.manifest = &Manifest{
		Format: format, Driver: o.Driver, Version: version.Number, Revision: Revision(ctx), Speaks: speaks(),
	}
	if o.Modules {
		r.manifest.Source, r.manifest.SignedBy = kmodbuild.SourceSum(), o.signedBy()
	}
	r.modules = [2]map[string][]byte{{}, {}}
	for _, s := range subjects {
		if s.Release == "" && s.Builder.Local != nil {
			s.Release, s.ofHeaders = s.Builder.Local.Release, true
		}
		line, err := r.one(ctx, s, stage)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		if env.IsDisk(env.Disk(err)) {
			return failed, fmt.Errorf("kernel %s: %w", s.Name, err)
		}
		if err != nil {
			failed++
			line = fmt.Sprintf("FAILED: %v", err)
		}
		o.Done(s.Kernel, line)
	}
	if len(r.manifest.Kernels) > 0 {
		if err := r.finish(ctx, subjects, stage); err != nil {
			return failed, err
		}
	}
	return failed, stage.commit()
}

// speaks is the one place from which the release has the versions of its interfaces.
func speaks() (list []Speaks) {
	for _, p := range event.Personas() {
		list = append(list, Speaks{p.API, p.Schema})
	}
	return list
}

// one does all for one kernel, and says how it went. What fails its test does not get into the release.
func (r *run) one(ctx context.Context, s Subject, stage *stage) (string, error) {
	k, err := r.describe(s)
	if err != nil {
		return "", err
	}
	name := k.name(r.manifest)
	line := "eBPF objects"
	var twice [2]built
	if r.Modules {
		if twice, err = r.build(ctx, s); err != nil {
			return "", err
		}
		b := twice[0]
		k.Module = &Module{File: name + moduleExt, SHA256: files.Sum(b.released), Unsigned: files.Sum(b.unsigned), Inputs: b.Inputs, KernelAPI: b.Probes}
		if r.modules[0][k.Module.File] != nil {
			return "", fmt.Errorf("another kernel has the same module file, %s", k.Module.File)
		}
		if line = "built"; r.Twice {
			line = "built twice, the same bytes"
		}
	}
	tests, log, err := r.test(ctx, s, twice[0].released)
	logFile := path.Join(LogDir, strings.TrimPrefix(name, DriverVersion(r.manifest.Version)+"/")+".log")
	if log != nil {
		if err := stage.write(logFile, log); err != nil {
			return "", err
		}
	}
	lacking, ok := errors.AsType[*env.Error](err)
	switch {
	case err == nil:
		line += ", load test passed"
	case ok && r.Untested && ctx.Err() == nil:
		line += ", NOT LOAD-TESTED: " + err.Error()
		for _, d := range r.drivers() {
			tests = append(tests, Test{Driver: d.String(), Verdict: NotDone, Reason: lacking.What})
		}
	case log == nil:
		return "", fmt.Errorf("load test: %w", err)
	default:
		return "", fmt.Errorf("load test: %w (see %s)", err, filepath.Join(r.Dir, filepath.FromSlash(logFile)))
	}
	k.Tests = tests
	r.manifest.Kernels = append(r.manifest.Kernels, *k)
	if r.Modules {
		r.modules[0][k.Module.File], r.modules[1][k.Module.File] = twice[0].released, twice[1].released
	}
	return line, nil
}

// describe says what the kernel is.
func (r *run) describe(s Subject) (*Kernel, error) {
	k := &Kernel{Series: s.Name, Release: s.Release, Arch: s.Arch, Package: s.Package, Image: s.Digest, Target: r.Target}
	if s.Package.Name == "" {
		k.Series = "" // it is the name of a file
	}
	if s.Release == "" {
		return nil, errors.New("its image does not tell its release (uname -r)")
	}
	config, err := []byte(nil), error(nil)
	if s.Image != "" {
		k.Version, err = kernels.UnameVersion(s.Kernel)
		if errors.Is(err, kernels.ErrNoBanner) && s.ofHeaders {
			return nil, fmt.Errorf("the headers are of kernel %s, and the image is not: %w", s.Release, err)
		}
		if err != nil && !errors.Is(err, kernels.ErrNoBanner) {
			return nil, err
		}
		if config, err = kernels.ConfigText(s.Kernel); err != nil && !errors.Is(err, kernels.ErrNoConfig) {
			return nil, err
		}
	}
	if local := s.Builder.Local; local != nil {
		k.Version = cmp.Or(k.Version, local.UnameVersion())
		if config == nil {
			if config, err = local.Config(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	if config != nil {
		k.Config = files.Sum(config)
	}
	if k.Version == "" {
		k.Version = "#1"
		r.Log("kernel %s: neither its image nor its headers tell its version (uname -v): #1 is taken for it, as most distributions have", s.Name)
	}
	if k.Target == "" {
		if k.Target = targetOf(k.Release, k.Version); k.Target == Undetermined {
			r.Log("kernel %s: its version, %q, names no distribution: falcoctl will not find its module (give --target)", s.Name, k.Version)
		}
	}
	return k, nil
}

// build builds the module, from the cache or, for Twice, two times without it.
func (r *run) build(ctx context.Context, s Subject) (all [2]built, err error) {
	if !r.Twice {
		b, err := r.buildIn(ctx, s, "")
		return [2]built{b, b}, err
	}
	first, second := filepath.Join(r.tmp, "1"), filepath.Join(r.tmp, "second", "and", "elsewhere")
	for _, dir := range []string{first, second} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return all, err
		}
	}
	if all[0], err = r.buildIn(ctx, s, first); err != nil {
		return all, err
	}
	err = otherwise(func() (err error) {
		all[1], err = r.buildIn(ctx, s, second)
		return err
	})
	if err == nil {
		err = sameBytes(all[0], all[1])
	}
	return all, err
}

func (r *run) buildIn(ctx context.Context, s Subject, dir string) (b built, err error) {
	builder := *s.Builder
	builder.Fresh = dir
	if b.Module, err = builder.Build(ctx, s.Kernel); err != nil {
		return b, err
	}
	if b.unsigned, err = os.ReadFile(b.File); err != nil {
		return b, err
	}
	if b.released, err = r.signModule(b.unsigned); err != nil {
		return b, fmt.Errorf("sign: %w", err)
	}
	return b, nil
}

func sameBytes(a, b built) error {
	for _, x := range []struct {
		what string
		a, b []byte
	}{{"the module", a.unsigned, b.unsigned}, {"its signature", a.released, b.released}} {
		if !bytes.Equal(x.a, x.b) {
			i := 0
			for i < min(len(x.a), len(x.b)) && x.a[i] == x.b[i] {
				i++
			}
			return fmt.Errorf("%s is not reproducible: built twice it has %d and %d bytes, which differ from byte %d on", x.what, len(x.a), len(x.b), i)
		}
	}
	return nil
}

// finish writes what the release has besides logs.
func (r *run) finish(ctx context.Context, subjects []Subject, stage *stage) error {
	if r.Modules {
		seen := map[string]bool{}
		for _, s := range subjects {
			if seen[s.Arch] {
				continue
			}
			seen[s.Arch] = true
			packages, compiler, err := s.Builder.Tools(ctx, s.Arch)
			if err != nil {
				return err
			}
			r.tools = append(r.tools, Toolchain{s.Arch, compiler, packages})
		}
	}
	if r.Objects {
		sources, err := objectSources()
		if err != nil {
			return err
		}
		r.manifest.Clang, r.manifest.ObjectSource = bpf.Clang, sumOf(sources)
		if err := r.addObjects(); err != nil {
			return err
		}
	}
	r.manifest.sort()
	if err := r.write(stage.dir, r.modules[0]); err != nil {
		return err
	}
	if !r.Twice {
		return nil
	}
	again := filepath.Join(r.tmp, "release")
	if err := otherwise(func() error { return r.write(again, r.modules[1]) }); err != nil {
		return err
	}
	return sameFiles(stage.dir, again)
}

// addObjects adds the objects of the architectures that the release has kernels of: on those they were loaded.
func (r *run) addObjects() error {
	seen := map[string]bool{}
	for _, k := range r.manifest.Kernels {
		if seen[k.Arch] {
			continue
		}
		seen[k.Arch] = true
		objects, ok := objectsOf[k.Arch]
		if !ok {
			return fmt.Errorf("there are no eBPF objects for %s", k.Arch)
		}
		names, err := fs.Glob(objects, "*"+objectExt)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := objects.ReadFile(name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(text)
			r.manifest.Objects = append(r.manifest.Objects, Object{ObjectDir + "/" + k.Arch + "/" + name, k.Arch, hex.EncodeToString(sum[:])})
		}
	}
	return nil
}
