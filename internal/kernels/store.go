// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/deb"
	"github.com/scaplab/scaplab/internal/kernels/internal/vmlinux"
)

// Kernel is one kernel that can be booted.
type Kernel struct {
	Name    string `json:"name"`    // what users call it: "6.1", or the file given
	Release string `json:"release"` // uname -r, "" when the image does not tell
	Arch    string `json:"arch"`    // GOARCH
	Image   string `json:"image"`   // file for QEMU's -kernel
	PVH     bool   `json:"pvh"`     // Image is the unpacked ELF kernel, entered directly
	Digest  string `json:"digest"`  // SHA-256 of Image, so snapshots of another are not taken for its own
	Source  string `json:"source"`  // package and version, or file

	// For the kmod driver: the module built for this kernel, or why there is none.
	Module   string `json:"-"`
	NoModule string `json:"-"`
	// ModuleError says why a module that could be there is not: it did not compile.
	ModuleError string `json:"-"`
}

// Store fetches kernels and keeps them.
type Store struct {
	Catalog *Catalog
	Arch    string                           // GOARCH of the kernels; "" is this machine's
	Mirror  string                           // as in the --mirror flag; "" is the machine's own
	MaxAge  time.Duration                    // of a package index before it is fetched again
	Cache   string                           // "" is env.CacheDir()
	Log     func(format string, args ...any) // called one at a time; nil for nowhere

	logging sync.Mutex
	mu      sync.Mutex
	mirror  *apt.Mirror
	fetched map[string]*suiteIndex
}

type suiteIndex struct {
	once     sync.Once
	packages []apt.Package
	err      error
}

// Available is a series of the catalog and what is kept of it.
type Available struct {
	Series  string    `json:"series"`
	Suites  string    `json:"suites"`
	Default bool      `json:"default"` // used when --kernel is not given
	Kernel  *Kernel   `json:"kernel"`  // nil when none was fetched
	Fetched time.Time `json:"fetched"`
}

// List returns the catalog's series, without looking at the network.
func (s *Store) List() ([]Available, error) {
	if err := s.init(); err != nil {
		return nil, err
	}
	var list []Available
	for i, line := range s.Catalog.Series {
		l := Available{Series: line.Series, Suites: strings.Join(line.Suites, ", ")}
		l.Default = slices.Contains(s.Catalog.Default, line.Series) ||
			i == len(s.Catalog.Series)-1 && slices.Contains(s.Catalog.Default, "newest")
		record := s.record(line.Series)
		if k, err := readKernel(record); err == nil {
			l.Kernel = &k
			if st, err := os.Stat(record); err == nil {
				l.Fetched = st.ModTime()
			}
		}
		list = append(list, l)
	}
	return list, nil
}

// record is the file that says which kernel was last got for a series.
func (s *Store) record(series string) string {
	return filepath.Join(s.Cache, "kernel", s.Arch+"-"+series+".json")
}

// Unavailable says that a kernel asked for cannot be had, and why. The reason is
// [ErrNotInArchive] when nobody could have it; else this machine lacks something.
type Unavailable struct {
	Request Request
	Reason  error
}

// ErrNotInArchive: the archive answered, and has no such kernel any more.
var ErrNotInArchive = errors.New("the archive does not have it")

// notInArchive gives errors that kind when each of them is the archive's own word.
func notInArchive(errs []error) error {
	err := errors.Join(errs...)
	if slices.ContainsFunc(errs, func(e error) bool { return !errors.Is(e, ErrNotInArchive) }) {
		return errors.New(err.Error()) // whatever some of them are
	}
	return fmt.Errorf("%w: %w", ErrNotInArchive, err)
}

// fromApt gives an error of apt that kind when apt got as far as to hear that something is not there.
func fromApt(err error) error {
	if text := err.Error(); strings.Contains(text, "404 ") || strings.Contains(text, "does not have a Release file") {
		return fmt.Errorf("%w: %w", ErrNotInArchive, err)
	}
	return err
}

// Resolve gets each kernel wanted. What cannot be had is returned as gone;
// a want of `newest` that is another want's kernel is left out.
func (s *Store) Resolve(ctx context.Context, requests []Request) (kernels []Kernel, gone []Unavailable, err error) {
	if err := s.init(); err != nil {
		return nil, nil, err
	}
	type answer struct {
		k   Kernel
		err error
	}
	answers := make([]answer, len(requests))
	limit := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, w := range requests {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			answers[i].k, answers[i].err = s.get(ctx, w)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	for i, a := range answers {
		switch {
		case a.err != nil:
			gone = append(gone, Unavailable{requests[i], a.err})
		case slices.ContainsFunc(kernels, func(k Kernel) bool { return k.Name == a.k.Name }):
		default:
			kernels = append(kernels, a.k)
		}
	}
	return kernels, gone, nil
}

// log tells what happens, one goroutine at a time.
func (s *Store) log(format string, args ...any) {
	if s.Log == nil {
		return
	}
	s.logging.Lock()
	defer s.logging.Unlock()
	s.Log(format, args...)
}

func (s *Store) init() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Arch == "" {
		s.Arch = runtime.GOARCH
	}
	if s.fetched == nil {
		s.fetched = map[string]*suiteIndex{}
	}
	var err error
	if s.Cache == "" {
		s.Cache, err = env.CacheDir()
	}
	return err
}

func (s *Store) get(ctx context.Context, w Request) (Kernel, error) {
	switch {
	case w.File != "":
		return s.local(w.File)
	case w.Newest:
		var errs []error
		for i := len(s.Catalog.Series) - 1; i >= 0; i-- {
			k, err := s.series(ctx, s.Catalog.Series[i])
			if err == nil {
				return k, nil
			}
			s.log("kernel %s cannot be had: %v", s.Catalog.Series[i].Series, err)
			errs = append(errs, fmt.Errorf("%s: %w", s.Catalog.Series[i].Series, err))
			if ctx.Err() != nil {
				break
			}
		}
		return Kernel{}, notInArchive(errs)
	default:
		for _, line := range s.Catalog.Series {
			if line.Series == w.Series {
				return s.series(ctx, line)
			}
		}
		return Kernel{}, fmt.Errorf("unknown series %q", w.Series)
	}
}

// series gets the newest kernel of a series that the mirror really has.
func (s *Store) series(ctx context.Context, line Series) (Kernel, error) {
	record := s.record(line.Series)
	kept, keptErr := s.kept(record)
	if keptErr == nil && s.fresh(record) {
		return kept, nil
	}
	k, err := s.fetchSeries(ctx, line)
	if err == nil {
		return k, writeKernel(record, k)
	}
	if keptErr == nil && ctx.Err() == nil {
		s.log("kernel %s: using %s from the cache: %v", line.Series, kept.Release, err)
		return kept, nil
	}
	return Kernel{}, err
}

func (s *Store) fresh(record string) bool {
	st, err := os.Stat(record)
	return err == nil && time.Since(st.ModTime()) < s.MaxAge
}

func readKernel(record string) (Kernel, error) {
	var k Kernel
	b, err := os.ReadFile(record)
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return k, err
	}
	if !files.Exists(k.Image) {
		return k, fmt.Errorf("%s is gone", k.Image)
	}
	return k, nil
}

// kept reads a record whose image is to be booted: a machine that went down, or a
// full disk, may have left less of it than was written.
func (s *Store) kept(record string) (Kernel, error) {
	k, err := readKernel(record)
	if err != nil {
		return k, err
	}
	sum, err := files.SHA256(k.Image)
	if err == nil && sum != k.Digest {
		err = fmt.Errorf("%s is damaged", k.Image)
		s.log("kernel %s: %v; unpacking it anew", k.Name, err)
	}
	return k, err
}

// candidate is a package that may hold a series' kernel.
type candidate struct {
	apt.Package
	rank int // position of its pattern; lower is preferred
}

func (s *Store) fetchSeries(ctx context.Context, line Series) (Kernel, error) {
	patterns := s.Catalog.Packages[s.Arch]
	if len(patterns) == 0 {
		return Kernel{}, env.Lacks("no kernel packages are known for "+s.Arch, "give one by file: --kernel FILE")
	}
	var errs []error
	for _, suite := range line.Suites {
		k, err := s.fetchFrom(ctx, suite, line.Series, patterns)
		if err == nil {
			return k, nil
		}
		if ctx.Err() != nil {
			return Kernel{}, ctx.Err()
		}
		errs = append(errs, err)
	}
	return Kernel{}, notInArchive(errs)
}

// fetchFrom fetches the newest kernel of a series that one suite really has.
func (s *Store) fetchFrom(ctx context.Context, suite, series string, patterns []string) (Kernel, error) {
	packages, err := s.index(ctx, suite)
	if err != nil {
		return Kernel{}, fromApt(err)
	}
	var found []candidate
	for rank, p := range patterns {
		re := packagePattern(p, series)
		for _, d := range packages {
			if re.MatchString(d.Name) {
				found = append(found, candidate{d, rank})
			}
		}
	}
	if len(found) == 0 {
		return Kernel{}, fmt.Errorf("%w: no package of series %s in %s", ErrNotInArchive, series, suite)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(deb.Compare(b.Version, a.Version), cmp.Compare(a.rank, b.rank))
	})
	// A mirror may list packages it no longer has.
	const tries = 6
	var errs []error
	for _, c := range found[:min(tries, len(found))] {
		k, err := s.fromPackage(ctx, c.Package, series)
		if err == nil {
			return k, nil
		}
		if ctx.Err() != nil {
			return Kernel{}, ctx.Err()
		}
		if !errors.Is(err, errNoKernel) {
			s.log("kernel %s: %v; trying the next older one", series, err)
			errs = append(errs, fromApt(err))
		}
	}
	if len(errs) == 0 {
		return Kernel{}, fmt.Errorf("%w: the newest %d packages of series %s in %s have none", ErrNotInArchive, min(tries, len(found)), series, suite)
	}
	return Kernel{}, fmt.Errorf("none of the newest %d packages of series %s in %s could be used: %w", min(tries, len(found)), series, suite, notInArchive(errs))
}

// packagePattern matches the package names of a series: 6.1 is not 6.12, and
// what follows the flavour (-dbg, -unsigned) is another package.
func packagePattern(pattern, series string) *regexp.Regexp {
	before, after, _ := strings.Cut(pattern, "{release}")
	return regexp.MustCompile("^" + regexp.QuoteMeta(before) + regexp.QuoteMeta(series) + `\.[0-9][A-Za-z0-9.+~-]*?` + regexp.QuoteMeta(after) + "$")
}

// index returns the packages of a suite, fetched at most once a run.
func (s *Store) index(ctx context.Context, suite string) ([]apt.Package, error) {
	s.mu.Lock()
	if s.mirror == nil {
		m, err := s.FindMirror(ctx)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		s.mirror = &m
	}
	mirror := *s.mirror
	x := s.fetched[suite]
	if x == nil {
		x = new(suiteIndex)
		s.fetched[suite] = x
	}
	s.mu.Unlock()
	x.once.Do(func() { x.packages, x.err = s.loadIndex(ctx, mirror, suite) })
	return x.packages, x.err
}

func (s *Store) FindMirror(ctx context.Context) (apt.Mirror, error) {
	if s.Mirror != "" {
		return apt.ParseMirror(s.Mirror)
	}
	return apt.MachineMirror(ctx)
}

func (s *Store) loadIndex(ctx context.Context, m apt.Mirror, suite string) ([]apt.Package, error) {
	dir, err := apt.Open(s.Cache, m, suite, debArch(s.Arch))
	if err != nil {
		return nil, err
	}
	if dir.IndexAge() > s.MaxAge {
		if err := dir.Update(ctx); err != nil {
			if dir.IndexAge() == apt.NeverUpdated || ctx.Err() != nil {
				return nil, err
			}
			s.log("%v; using the index of %s ago", err, dir.IndexAge().Round(time.Minute))
		}
	}
	return dir.Packages(ctx, func(name string) bool { return strings.HasPrefix(name, "linux-") })
}

// debArch is Debian's name for a GOARCH.
func debArch(arch string) string {
	switch arch {
	case "ppc64le":
		return "ppc64el"
	case "386":
		return "i386"
	default:
		return arch
	}
}

func (s *Store) fromPackage(ctx context.Context, p apt.Package, series string) (Kernel, error) {
	source := p.Name + " " + p.Version
	meta := filepath.Join(s.Cache, "kernel", p.SHA256, "kernel.json")
	if k, err := s.kept(meta); err == nil {
		k.Name = series
		return k, nil
	}
	file, err := p.Fetch(ctx, s.Cache)
	if err != nil {
		return Kernel{}, err
	}
	s.log("kernel %s: fetched %s", series, source)
	f, err := os.Open(file)
	if err != nil {
		return Kernel{}, err
	}
	defer f.Close()
	image, err := kernelFromDeb(f)
	if err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", source, err)
	}
	k, err := s.unpack(image.Data, filepath.Dir(meta))
	if err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", source, err)
	}
	k.Name, k.Source, k.Release = series, source, cmp.Or(releaseOf(image.Name), k.Release)
	return k, writeKernel(meta, k)
}

func writeKernel(meta string, k Kernel) error {
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return files.WriteAtomic(meta, append(b, '\n'))
}

// local is a kernel given by file: an image, an unpacked kernel or a package.
func (s *Store) local(file string) (Kernel, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Kernel{}, err
	}
	sum := files.Sum(b)
	meta := filepath.Join(s.Cache, "kernel", sum, "kernel.json")
	k, err := s.kept(meta)
	if err != nil {
		image := &deb.File{Name: file, Data: b}
		if bytes.HasPrefix(b, []byte("!<arch>\n")) {
			if image, err = kernelFromDeb(bytes.NewReader(b)); err != nil {
				return Kernel{}, fmt.Errorf("%s: %w", file, err)
			}
		}
		if k, err = s.unpack(image.Data, filepath.Dir(meta)); err != nil {
			return Kernel{}, fmt.Errorf("%s: %w", file, err)
		}
		k.Release = cmp.Or(k.Release, releaseOf(image.Name))
		if err := writeKernel(meta, k); err != nil {
			return Kernel{}, err
		}
	}
	k.Name, k.Source = file, file
	return k, nil
}

// unpack writes the image in the form that boots fastest: the ELF kernel when
// QEMU can enter it, else as it is.
func (s *Store) unpack(image []byte, dir string) (Kernel, error) {
	k := Kernel{Arch: s.Arch, Release: vmlinux.Release(image)}
	name := "vmlinuz"
	switch {
	case bytes.HasPrefix(image, []byte("\x7fELF")):
		if k.PVH = vmlinux.HasPVHEntry(image); !k.PVH && s.Arch == "amd64" {
			return Kernel{}, errors.New("ELF kernel without a PVH entry (CONFIG_PVH) cannot be booted; give the bzImage")
		}
		name = "vmlinux"
	case vmlinux.IsBzImage(image):
		if elf, err := vmlinux.Extract(image); err != nil {
			s.log("%v; booting the packed image, which takes longer", err)
		} else if vmlinux.HasPVHEntry(elf) {
			image, name, k.PVH = elf, "vmlinux", true
		}
	case s.Arch == "amd64":
		return Kernel{}, errors.New("not a kernel: neither bzImage nor ELF")
	}
	k.Image, k.Digest = filepath.Join(dir, name), files.Sum(image)
	return k, files.WriteAtomic(k.Image, image)
}

// errNoKernel says that a package holds no kernel image.
var errNoKernel = errors.New("no kernel image in the package (looked for boot/vmlinu[xz]-* and usr/lib/modules/*/vmlinuz)")

// kernelFromDeb returns the kernel image in the package. From Linux 7.2 on
// Debian keeps it beside the modules, before that in /boot.
func kernelFromDeb(r io.Reader) (*deb.File, error) {
	f, err := deb.Find(r, func(name string) bool {
		for _, pattern := range []string{"boot/vmlinuz-*", "boot/vmlinux-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"} {
			if ok, _ := path.Match(pattern, name); ok {
				return true
			}
		}
		return false
	})
	if errors.Is(err, deb.ErrNotFound) {
		return nil, errNoKernel
	}
	return f, err
}

// releaseOf returns the kernel release an image of the given path is for,
// "" when the path does not tell.
func releaseOf(file string) string {
	base := path.Base(file)
	for _, p := range []string{"vmlinuz-", "vmlinux-"} {
		if r, ok := strings.CutPrefix(base, p); ok {
			return r
		}
	}
	if base == "vmlinuz" && path.Base(path.Dir(path.Dir(file))) == "modules" {
		return path.Base(path.Dir(file))
	}
	return ""
}
