// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Package is a package in the cache.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	File    string `json:"-"`
}

// ErrNoHeaders: the archive has a kernel's image but not what modules are built against.
var ErrNoHeaders = errors.New("the archive has no header packages for it")

// Headers fetches what modules for a kernel are built against: its header
// packages and the programs of its build system. The error is [ErrNoHeaders]
// when the archive has none, as is usual for releases that are not maintained any more.
func (s *Store) Headers(ctx context.Context, k Kernel) ([]Package, error) {
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
		if err != nil {
			errs = append(errs, err)
			continue
		}
		wanted, ok := headerPackages(index, "linux-headers-"+k.Release)
		if !ok {
			continue
		}
		var got []Package
		for _, p := range wanted {
			file, err := p.fetch(ctx, s.Cache)
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

// HeaderSeries divides the catalog's series into those that the archive has
// headers of and those that it has images of only. It looks at lists of packages, and fetches none.
func (s *Store) HeaderSeries(ctx context.Context) (with, without []string, err error) {
	if err := s.init(); err != nil {
		return nil, nil, err
	}
	for _, line := range s.Catalog.Series {
		found := false
		for _, suite := range line.Suites {
			index, err := s.index(ctx, suite)
			if err != nil {
				return nil, nil, err
			}
			if found = hasHeaders(index, s.Catalog.Packages[s.Arch], line.Series); found {
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

// hasHeaders tells whether there is a package linux-headers-X where one of the patterns, linux-image-{release} or the like, names X.
func hasHeaders(packages []debPackage, patterns []string, series string) bool {
	for _, p := range patterns {
		_, after, _ := strings.Cut(p, "{release}")
		re := packagePattern("linux-headers-{release}"+after, series)
		if slices.ContainsFunc(packages, func(d debPackage) bool { return re.MatchString(d.Name) }) {
			return true
		}
	}
	return false
}

// headerPackages is the package of that name with the header and build system
// packages that it depends on; its compiler and its kernel are not needed here.
func headerPackages(index []debPackage, name string) ([]debPackage, bool) {
	head, ok := newest(index, name)
	if !ok {
		return nil, false
	}
	all := []debPackage{head}
	for dep := range strings.SplitSeq(head.Depends, ",") {
		dep, _, _ = strings.Cut(strings.TrimSpace(dep), " ")
		if !strings.HasPrefix(dep, "linux-headers-") && !strings.HasPrefix(dep, "linux-kbuild-") {
			continue
		}
		p, ok := newest(index, dep)
		if !ok {
			return nil, false
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b debPackage) int { return strings.Compare(a.Name, b.Name) })
	return all, true
}

func newest(index []debPackage, name string) (best debPackage, found bool) {
	for _, p := range index {
		if p.Name == name && (!found || compareDebVersions(p.Version, best.Version) > 0) {
			best, found = p, true
		}
	}
	return best, found
}

// Package fetches the newest version of a package that a suite has, without what
// it depends on.
func (s *Store) Package(ctx context.Context, suite, name string) (Package, error) {
	if err := s.init(); err != nil {
		return Package{}, err
	}
	if _, err := s.index(ctx, suite); err != nil { // fetches the index
		return Package{}, err
	}
	dir, err := openSuite(s.Cache, *s.mirror, suite, debArch(s.Arch))
	if err != nil {
		return Package{}, err
	}
	found, err := dir.packages(ctx, func(n string) bool { return n == name })
	if err != nil {
		return Package{}, err
	}
	p, ok := newest(found, name)
	if !ok {
		return Package{}, fmt.Errorf("suite %s has no package %s", suite, name)
	}
	file, err := p.fetch(ctx, s.Cache)
	if err != nil {
		return Package{}, err
	}
	return Package{p.Name, p.Version, p.SHA256, file}, nil
}

// Closure fetches packages of a suite with everything that they depend on.
func (s *Store) Closure(ctx context.Context, suite string, names ...string) ([]Package, error) {
	if err := s.init(); err != nil {
		return nil, err
	}
	// The suite's index is loaded for its kernels elsewhere; here apt itself looks into it.
	if _, err := s.index(ctx, suite); err != nil {
		return nil, err
	}
	dir, err := openSuite(s.Cache, *s.mirror, suite, debArch(s.Arch))
	if err != nil {
		return nil, err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir.dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	archives := filepath.Join(dir.dir, "cache", "archives")
	old, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return nil, err
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return nil, err
		}
	}
	args := append([]string{"-y", "--no-install-recommends", "--download-only", "install"}, names...)
	if out, err := dir.apt(ctx, "", "apt-get", args...); err != nil {
		return nil, fmt.Errorf("fetch %s with dependencies from %s: %w", strings.Join(names, ", "), suite, explainApt(out, err))
	}
	files, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return nil, err
	}
	var got []Package
	for _, f := range files { // sorted by Glob
		sum, err := fileSHA256(f)
		if err != nil {
			return nil, err
		}
		name, rest, _ := strings.Cut(filepath.Base(f), "_")
		version, _, _ := strings.Cut(rest, "_")
		p := Package{name, strings.ReplaceAll(version, "%3a", ":"), sum, debPath(s.Cache, debPackage{SHA256: sum})}
		// Out of the way of another run, which empties the directory before it fetches.
		if err := os.MkdirAll(filepath.Dir(p.File), 0o755); err != nil {
			return nil, err
		}
		if err := os.Rename(f, p.File); err != nil {
			return nil, err
		}
		got = append(got, p)
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("fetch %s from %s: apt fetched nothing", strings.Join(names, ", "), suite)
	}
	return got, nil
}
