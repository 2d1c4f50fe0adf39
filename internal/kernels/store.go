// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
)

// Kernel is a kernel that can be booted.
type Kernel struct {
	Name    string  `json:"name"`             // as users name it: "6.1", or the file
	Release string  `json:"release"`          // uname -r, "" if the image does not contain it
	Arch    string  `json:"arch"`             // GOARCH
	Image   string  `json:"image"`            // file for QEMU's -kernel
	PVH     bool    `json:"pvh"`              // Image is the unpacked ELF kernel, entered directly
	Digest  string  `json:"digest"`           // SHA-256 of Image: a snapshot of another kernel is not used for this one
	Package Package `json:"package,omitzero"` // the package it is from; zero for a file and for the running kernel

	// Warnings say why this may not be the kernel that was asked for: it is older than
	// the newest listed one, or it is from the cache and the archive could not be asked.
	Warnings []string `json:"warnings,omitempty"`
}

// Source returns the package and its version, or the file.
func (k *Kernel) Source() string {
	if k.Package.Name == "" {
		return k.Name
	}
	return k.Package.Name + " " + k.Package.Version
}

// Store fetches and keeps kernels.
type Store struct {
	Catalog *Catalog
	Arch    string                           // GOARCH of the kernels; "" means this machine's
	Mirror  string                           // as in the --mirror flag; "" means this machine's own
	MaxAge  time.Duration                    // age at which a package index is fetched again
	Cache   string                           // "" means env.CacheDir()
	Log     func(format string, args ...any) // called by one goroutine at a time; may be nil

	logging sync.Mutex
	mu      sync.Mutex
	mirror  *apt.Mirror
	fetched map[string]*suiteIndex
	inUse   bool // the cache is protected from being pruned
}

// Available is a series of the catalog and the kernel that is in the cache.
type Available struct {
	Series  string    `json:"series"`
	Suites  string    `json:"suites"`
	Default bool      `json:"default"` // used if --kernel is not given
	Kernel  *Kernel   `json:"kernel"`  // nil if none was fetched
	Fetched time.Time `json:"fetched"`
}

// List returns the catalog's series. It does not use the network.
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

// record returns the file that names the kernel last fetched for a series.
func (s *Store) record(series string) string {
	return filepath.Join(s.Cache, "kernel", s.Arch+"-"+series+".json")
}

// Unavailable is a kernel that is not available, and the reason. The reason is
// [ErrNotInArchive] if the archive does not have it; else this machine lacks something.
type Unavailable struct {
	Request Request
	Reason  error
}

// ErrNotInArchive: the archive answered that it has no such kernel any more.
var ErrNotInArchive = apt.ErrGone

// Resolve finds each kernel that was requested. Kernels that are not available are returned
// as gone. A request of `newest` is left out if it is the kernel of another request. A disk that
// is full or read-only ends it with an [env.Error].
func (s *Store) Resolve(ctx context.Context, requests []Request) (kernels []Kernel, gone []Unavailable, err error) {
	if err := s.init(); err != nil {
		return nil, nil, err
	}
	type answer struct {
		k   Kernel
		err error
	}
	answers := make([]answer, len(requests))
	look, stop := context.WithCancel(ctx)
	defer stop()
	var disk error
	var once sync.Once
	limit := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, w := range requests {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			k, err := s.get(look, w)
			if env.IsDisk(err) {
				once.Do(func() { disk = fmt.Errorf("kernel %s: cache %s: %w", w, s.Cache, err) })
				stop()
			}
			answers[i] = answer{k, err}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if disk != nil {
		return nil, nil, disk
	}
	for i, a := range answers {
		same := slices.IndexFunc(kernels, func(k Kernel) bool { return k.Name == a.k.Name })
		switch {
		case a.err != nil:
			gone = append(gone, Unavailable{requests[i], a.err})
		case same >= 0:
			for _, w := range a.k.Warnings { // why newest is not another one
				if !slices.Contains(kernels[same].Warnings, w) {
					kernels[same].Warnings = append(kernels[same].Warnings, w)
				}
			}
		default:
			cache.Used(filepath.Dir(a.k.Image))
			kernels = append(kernels, a.k)
		}
	}
	return kernels, gone, nil
}

// ForThisMachine returns a store of packages for this machine's architecture, with the same cache.
func (s *Store) ForThisMachine() *Store {
	if cmp.Or(s.Arch, runtime.GOARCH) == runtime.GOARCH {
		return s
	}
	return &Store{Catalog: s.Catalog, Arch: runtime.GOARCH, Mirror: s.Mirror, MaxAge: s.MaxAge, Cache: s.Cache, Log: s.log}
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
	if err == nil && !s.inUse {
		s.inUse = true
		if err := cache.InUse(s.Cache); err != nil { // a cache that cannot be written is not pruned either
			s.log("cache %s: %v", s.Cache, err)
		}
	}
	return err
}

// log logs a message, one goroutine at a time.
func (s *Store) log(format string, args ...any) {
	if s.Log == nil {
		return
	}
	s.logging.Lock()
	defer s.logging.Unlock()
	s.Log(format, args...)
}

func (s *Store) get(ctx context.Context, w Request) (k Kernel, err error) {
	if w.File != "" {
		return s.local(w.File)
	}
	defer func() { err = env.Disk(err) }()
	if w.Newest {
		return s.newest(ctx)
	}
	for _, line := range s.Catalog.Series {
		if line.Series == w.Series {
			return s.series(ctx, line)
		}
	}
	return Kernel{}, fmt.Errorf("unknown series %q", w.Series)
}

// newest returns a kernel of the highest series that the archive has.
func (s *Store) newest(ctx context.Context) (Kernel, error) {
	var errs []error
	for i, line := range slices.Backward(s.Catalog.Series) {
		k, err := s.series(ctx, line)
		if err == nil {
			k.Warnings = append(k.Warnings, older(k, errs)...)
			return k, nil
		}
		if ctx.Err() != nil {
			return Kernel{}, ctx.Err()
		}
		if env.IsDisk(env.Disk(err)) {
			return Kernel{}, err
		}
		s.log("kernel %s is not available: %v", line.Series, err)
		errs = append(errs, fmt.Errorf("%s: %w", line.Series, err))
		if !verdict(err) {
			// The archive may have one, so no older one is fetched in its place.
			for _, line := range slices.Backward(s.Catalog.Series[:i]) {
				if kept, keptErr := s.kept(s.record(line.Series)); keptErr == nil {
					return s.fallBack(kept, err), nil
				}
			}
			break
		}
	}
	return Kernel{}, join(errs)
}

// series returns the newest kernel of a series that the mirror has.
func (s *Store) series(ctx context.Context, line Series) (Kernel, error) {
	record := s.record(line.Series)
	kept, keptErr := s.kept(record)
	if keptErr == nil && s.fresh(record) {
		return kept, nil
	}
	k, index, err := s.fetchSeries(ctx, line)
	switch {
	case err == nil && index.stale == "":
		return k, writeKernel(record, k)
	case err == nil:
		// Only a new list makes the record fresh.
		err = writeKernel(record, k)
		if err == nil {
			err = os.Chtimes(record, index.updated, index.updated)
		}
		k.Warnings = append(k.Warnings, index.stale)
		return k, err
	case keptErr == nil && ctx.Err() == nil && !env.IsDisk(env.Disk(err)):
		return s.fallBack(kept, err), nil
	}
	return Kernel{}, err
}

// fallBack returns a kernel of the cache that is used because of err.
func (s *Store) fallBack(kept Kernel, err error) Kernel {
	s.log("kernel %s: using %s from the cache: %v", kept.Name, kept.Release, err)
	kept.Warnings = append(kept.Warnings, fmt.Sprintf("%s is from the cache and may not be the newest: %s", cmp.Or(kept.Release, kept.Source()), oneLine(err)))
	return kept
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

// kept reads a record and checks its image: after a power failure or on a full
// disk it may be incomplete.
func (s *Store) kept(record string) (Kernel, error) {
	k, err := readKernel(record)
	if err != nil {
		return k, err
	}
	sum, err := files.SHA256(k.Image)
	if err == nil && sum != k.Digest {
		err = fmt.Errorf("%s is damaged", k.Image)
		s.log("kernel %s: %v; unpacking it again", k.Name, err)
	}
	return k, err
}

func writeKernel(meta string, k Kernel) error {
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return files.WriteAtomic(meta, append(b, '\n'))
}
