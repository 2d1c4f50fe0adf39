// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/deb"
)

// candidate is a package that may contain the kernel of a series.
type candidate struct {
	apt.Package
	rank int // position of its pattern; lower is preferred
}

// Verdicts on packages. Any other error is about this machine or the network: it says nothing
// about the package, so no older package is used in its place.
var (
	errNotListed = fmt.Errorf("%w: it is not listed", ErrNotInArchive)
	errUnusable  = errors.New("the package cannot be used")
)

// verdict reports whether err is about packages, so that an older one may be used.
func verdict(err error) bool { return errors.Is(err, ErrNotInArchive) || errors.Is(err, errUnusable) }

// join joins errs. If they have a kind in common, the result has that kind.
func join(errs []error) error {
	text := oneLine(errors.Join(errs...))
	for _, kind := range []error{errNotListed, ErrNotInArchive} {
		if !slices.ContainsFunc(errs, func(e error) bool { return !errors.Is(e, kind) }) {
			return apt.OfKind(errors.New(text), kind)
		}
	}
	if !slices.ContainsFunc(errs, func(e error) bool { return !verdict(e) }) {
		return apt.OfKind(errors.New(text), errUnusable)
	}
	return errors.New(text)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// older returns a warning if k is used in place of newer packages that were listed; errs says what was wrong with them.
func older(k Kernel, errs []error) []string {
	errs = slices.DeleteFunc(errs, func(e error) bool { return errors.Is(e, errNotListed) })
	if len(errs) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s is older than the newest listed: %s", k.Source(), oneLine(errors.Join(errs...)))}
}

// fetchSeries fetches the newest kernel of a series. It also returns the list of packages that had it.
func (s *Store) fetchSeries(ctx context.Context, line Series) (Kernel, *suiteIndex, error) {
	patterns := s.Catalog.Packages[s.Arch]
	if len(patterns) == 0 {
		return Kernel{}, nil, env.Lacks("no kernel packages are known for "+s.Arch, "give one by file: --kernel FILE")
	}
	var errs []error
	for _, suite := range line.Suites {
		k, index, err := s.fetchFrom(ctx, suite, line.Series, patterns)
		if err == nil {
			k.Warnings = append(k.Warnings, older(k, errs)...)
			return k, index, nil
		}
		if ctx.Err() != nil {
			return Kernel{}, nil, ctx.Err()
		}
		if !verdict(err) {
			return Kernel{}, nil, err
		}
		errs = append(errs, err)
	}
	return Kernel{}, nil, join(errs)
}

// fetchFrom fetches the newest kernel of a series that one suite has.
func (s *Store) fetchFrom(ctx context.Context, suite, series string, patterns []string) (Kernel, *suiteIndex, error) {
	index, err := s.index(ctx, suite)
	if err != nil {
		if errors.Is(err, ErrNotInArchive) {
			err = apt.OfKind(err, errNotListed)
		}
		return Kernel{}, nil, err
	}
	k, err := s.fetchListed(ctx, suite, index, series, patterns)
	if !errors.Is(err, errOutdated) {
		return k, index, err
	}
	if index, err = s.renew(ctx, suite, index); err != nil {
		return Kernel{}, nil, err
	}
	k, err = s.fetchListed(ctx, suite, index, series, patterns)
	return k, index, err
}

// errOutdated: the archive no longer has a package that an old list names. The newest list may name its successor.
var errOutdated = errors.New("the list of packages is outdated")

// fetchListed fetches the newest kernel of a series that is listed and available.
func (s *Store) fetchListed(ctx context.Context, suite string, index *suiteIndex, series string, patterns []string) (Kernel, error) {
	found := candidates(index.packages, patterns, series)
	if len(found) == 0 {
		return Kernel{}, apt.OfKind(fmt.Errorf("no package of series %s in %s", series, suite), errNotListed)
	}
	// A mirror may list packages that it no longer has.
	const tries = 6
	found = found[:min(tries, len(found))]
	var errs []error
	for _, c := range found {
		k, err := s.fromPackage(ctx, c.Package, series)
		switch {
		case err == nil && c.Version == found[0].Version: // only one package of a version may have the kernel
			return k, nil
		case err == nil:
			k.Warnings = older(k, errs)
			return k, nil
		case ctx.Err() != nil:
			return Kernel{}, ctx.Err()
		case !verdict(err):
			return Kernel{}, err
		case errors.Is(err, ErrNotInArchive) && !errors.Is(err, errNoKernel) && !index.tried:
			return Kernel{}, errOutdated
		case !errors.Is(err, errNoKernel):
			s.log("kernel %s: %v; trying the next older one", series, err)
		}
		errs = append(errs, err)
	}
	return Kernel{}, fmt.Errorf("none of the newest %d packages of series %s in %s could be used: %w", len(found), series, suite, join(errs))
}

// candidates returns the listed packages that may contain the kernel of a series, the newest first.
func candidates(packages []apt.Package, patterns []string, series string) []candidate {
	var found []candidate
	for rank, p := range patterns {
		re := packagePattern(p, series)
		for _, d := range packages {
			if re.MatchString(d.Name) {
				found = append(found, candidate{d, rank})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(deb.Compare(b.Version, a.Version), cmp.Compare(a.rank, b.rank))
	})
	return found
}

// packagePattern returns a pattern for the package names of a series. 6.1 does not match 6.12, and
// a suffix after the flavour (-dbg, -unsigned) is another package.
func packagePattern(pattern, series string) *regexp.Regexp {
	before, after, _ := strings.Cut(pattern, "{release}")
	return regexp.MustCompile("^" + regexp.QuoteMeta(before) + regexp.QuoteMeta(series) + `\.[0-9][A-Za-z0-9.+~-]*?` + regexp.QuoteMeta(after) + "$")
}

// suiteIndex is the list of a suite's packages.
type suiteIndex struct {
	once     sync.Once
	maxAge   time.Duration // before it is fetched again
	packages []apt.Package
	updated  time.Time // when it was last fetched
	tried    bool      // this run fetched it or tried to
	stale    string    // why it could not be fetched again; "" if it could, or did not have to be
	err      error
}

// index returns the packages of a suite. A run fetches the list at most once.
func (s *Store) index(ctx context.Context, suite string) (*suiteIndex, error) {
	s.mu.Lock()
	if s.mirror == nil {
		m, err := s.FindMirror(ctx)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		m.Ended = s.Catalog.Ended
		s.mirror = &m
	}
	mirror := *s.mirror
	x := s.fetched[suite]
	if x == nil {
		x = &suiteIndex{maxAge: s.MaxAge}
		s.fetched[suite] = x
	}
	s.mu.Unlock()
	x.once.Do(func() { x.err = s.loadIndex(ctx, mirror, suite, x) })
	return x, x.err
}

// renew fetches the list of a suite's packages again if it is old.
func (s *Store) renew(ctx context.Context, suite string, old *suiteIndex) (*suiteIndex, error) {
	s.mu.Lock()
	if s.fetched[suite] == old { // another goroutine has done it
		s.fetched[suite] = new(suiteIndex)
	}
	s.mu.Unlock()
	return s.index(ctx, suite)
}

func (s *Store) FindMirror(ctx context.Context) (apt.Mirror, error) {
	if s.Mirror != "" {
		return apt.ParseMirror(s.Mirror)
	}
	return apt.MachineMirror(ctx)
}

func (s *Store) loadIndex(ctx context.Context, m apt.Mirror, suite string, x *suiteIndex) error {
	dir, err := apt.Open(s.Cache, m, suite, debArch(s.Arch))
	if err != nil {
		return err
	}
	if dir.IndexAge() > x.maxAge {
		x.tried = true
		if err := dir.Update(ctx); err != nil {
			age := dir.IndexAge()
			if age == apt.NeverUpdated || ctx.Err() != nil || env.IsDisk(env.Disk(err)) {
				return err
			}
			s.log("%v; using the index of %s ago", err, age.Round(time.Minute))
			x.stale = fmt.Sprintf("the list of packages is of %s ago: %s", age.Round(time.Minute), oneLine(err))
		}
	}
	x.updated = time.Now().Add(-dir.IndexAge())
	x.packages, err = dir.Packages(ctx, func(name string) bool { return strings.HasPrefix(name, "linux-") })
	return err
}

// debArch returns Debian's name for a GOARCH.
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
	of := Package{Name: p.Name, Version: p.Version, SHA256: p.SHA256}
	source := p.Name + " " + p.Version
	meta := filepath.Join(s.Cache, "kernel", p.SHA256, "kernel.json")
	if k, err := s.kept(meta); err == nil {
		k.Name, k.Package = series, of
		return k, nil
	}
	file, err := p.Fetch(ctx, s.Cache)
	if errors.Is(err, apt.ErrDamaged) {
		err = apt.OfKind(err, errUnusable)
	}
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
		err = fmt.Errorf("%s: %w", source, err)
		if errors.Is(err, errNoKernel) {
			err = apt.OfKind(err, ErrNotInArchive)
		} else if _, ofFile := errors.AsType[*fs.PathError](err); !ofFile {
			err = apt.OfKind(err, errUnusable)
		}
		return Kernel{}, err
	}
	k, err := s.unpack(image.Data, filepath.Dir(meta))
	if err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", source, err)
	}
	k.Name, k.Package, k.Release = series, of, cmp.Or(releaseOf(image.Name), k.Release)
	return k, writeKernel(meta, k)
}
