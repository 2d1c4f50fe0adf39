// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/deb"
)

// Package is a package in the cache.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	File    string `json:"-"`
}

// ErrNoHeaders: the archive has the image of a kernel but no headers to build modules with.
var ErrNoHeaders = errors.New("the archive has no header packages for it")

// Headers fetches the packages that modules for a kernel are built with: its headers
// and the programs of its build system, which are for this machine. The error is [ErrNoHeaders] if the archive
// has none, which is usual for releases that are no longer maintained.
func (s *Store) Headers(ctx context.Context, k Kernel) (_ []Package, err error) {
	defer func() { err = env.Disk(err) }()
	if err := s.init(); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.Catalog.Series, func(l Series) bool { return l.Series == k.Name })
	if i < 0 || k.Release == "" {
		return nil, fmt.Errorf("%w: it is not from the archive (give its tree: --headers DIR)", ErrNoHeaders)
	}
	var errs []error
	for _, suite := range s.Catalog.Series[i].Suites {
		index, err := s.index(ctx, suite)
		if env.IsDisk(env.Disk(err)) {
			return nil, err
		}
		if errors.Is(err, ErrNotInArchive) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		programs := index
		if here := s.ForThisMachine(); here != s {
			if err := here.init(); err != nil {
				return nil, err
			}
			if programs, err = here.index(ctx, suite); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		wanted, ok := headerPackages(index.packages, programs.packages, "linux-headers-"+k.Release)
		if !ok {
			continue
		}
		var got []Package
		for _, p := range wanted {
			file, err := p.Fetch(ctx, s.Cache)
			if err != nil {
				return nil, err
			}
			got = append(got, Package{p.Name, p.Version, p.SHA256, file})
		}
		return got, nil
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return nil, fmt.Errorf("%w (linux-headers-%s in %s)", ErrNoHeaders, k.Release, strings.Join(s.Catalog.Series[i].Suites, ", "))
}

// HeaderSeries divides the catalog's series into those whose headers the archive has and
// those of which it has images only. It fetches lists of packages but no packages.
func (s *Store) HeaderSeries(ctx context.Context) (with, without []string, err error) {
	if err := s.init(); err != nil {
		return nil, nil, err
	}
	for _, line := range s.Catalog.Series {
		found := false
		for _, suite := range line.Suites {
			index, err := s.index(ctx, suite)
			if errors.Is(err, ErrNotInArchive) {
				continue
			}
			if err != nil {
				return nil, nil, env.Disk(err)
			}
			if found = hasHeaders(index.packages, s.Catalog.Packages[s.Arch], line.Series); found {
				break
			}
		}
		if found {
			with = append(with, line.Series)
		} else {
			without = append(without, line.Series)
		}
	}
	return with, without, nil
}

// hasHeaders reports whether there is a package linux-headers-X such that a pattern like linux-image-{release} matches linux-image-X.
func hasHeaders(packages []apt.Package, patterns []string, series string) bool {
	for _, p := range patterns {
		_, after, _ := strings.Cut(p, "{release}")
		re := packagePattern("linux-headers-{release}"+after, series)
		if slices.ContainsFunc(packages, func(d apt.Package) bool { return re.MatchString(d.Name) }) {
			return true
		}
	}
	return false
}

// headerPackages returns the package of that name and the packages of headers and build programs
// that it depends on, the latter from the packages for this machine. The compiler and the kernel
// that it depends on are not needed.
func headerPackages(headers, programs []apt.Package, name string) ([]apt.Package, bool) {
	head, ok := newest(headers, name)
	if !ok {
		return nil, false
	}
	all := []apt.Package{head}
	for dep := range strings.SplitSeq(head.Depends, ",") {
		dep, _, _ = strings.Cut(strings.TrimSpace(dep), " ")
		dep, _, _ = strings.Cut(dep, ":") // of which architecture
		from := headers
		switch {
		case strings.HasPrefix(dep, "linux-kbuild-"):
			from = programs
		case !strings.HasPrefix(dep, "linux-headers-"):
			continue
		}
		p, ok := newest(from, dep)
		if !ok {
			return nil, false
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b apt.Package) int { return strings.Compare(a.Name, b.Name) })
	return all, true
}

func newest(index []apt.Package, name string) (best apt.Package, found bool) {
	for _, p := range index {
		if p.Name == name && (!found || deb.Compare(p.Version, best.Version) > 0) {
			best, found = p, true
		}
	}
	return best, found
}

// Package fetches the newest version of a package of a suite, without its dependencies.
func (s *Store) Package(ctx context.Context, suite, name string) (_ Package, err error) {
	defer func() { err = env.Disk(err) }()
	if err := s.init(); err != nil {
		return Package{}, err
	}
	if _, err := s.index(ctx, suite); err != nil { // fetches the index
		return Package{}, err
	}
	dir, err := apt.Open(s.Cache, *s.mirror, suite, debArch(s.Arch))
	if err != nil {
		return Package{}, err
	}
	found, err := dir.Packages(ctx, func(n string) bool { return n == name })
	if err != nil {
		return Package{}, err
	}
	p, ok := newest(found, name)
	if !ok {
		return Package{}, fmt.Errorf("suite %s has no package %s", suite, name)
	}
	file, err := p.Fetch(ctx, s.Cache)
	if err != nil {
		return Package{}, err
	}
	return Package{p.Name, p.Version, p.SHA256, file}, nil
}

// Closure fetches packages of a suite and everything that they depend on.
func (s *Store) Closure(ctx context.Context, suite string, names ...string) (_ []Package, err error) {
	defer func() { err = env.Disk(err) }()
	if err := s.init(); err != nil {
		return nil, err
	}
	// apt itself resolves the dependencies, so the index is not needed here.
	if _, err := s.index(ctx, suite); err != nil {
		return nil, err
	}
	dir, err := apt.Open(s.Cache, *s.mirror, suite, debArch(s.Arch))
	if err != nil {
		return nil, err
	}
	found, err := dir.Closure(ctx, s.Cache, names...)
	if err != nil {
		return nil, err
	}
	var got []Package
	for _, p := range found {
		got = append(got, Package{p.Name, p.Version, p.SHA256, apt.Path(s.Cache, p)})
	}
	return got, nil
}
