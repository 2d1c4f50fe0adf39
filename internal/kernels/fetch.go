// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/deb"
)

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
