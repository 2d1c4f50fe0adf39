// SPDX-License-Identifier: Apache-2.0

// Package kernels finds kernels to boot and to build modules for, fetches them from a
// Debian archive and keeps them.
package kernels

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/files"
)

// Series is one line of kernels.yaml.
type Series struct {
	Series string   `yaml:"series"`
	Suites []string `yaml:"suites"`
}

// Catalog is kernels.yaml.
type Catalog struct {
	Schema   int                 `yaml:"schema"`
	Default  []string            `yaml:"default"`
	Packages map[string][]string `yaml:"packages"`
	Series   []Series            `yaml:"series"`
	Ended    []string            `yaml:"ended"` // suites that are no longer maintained
}

//go:embed kernels.yaml
var kernelsYAML []byte

// LoadCatalog returns the kernels that this build knows, oldest first.
func LoadCatalog() (*Catalog, error) { return parseCatalog(kernelsYAML) }

func parseCatalog(b []byte) (*Catalog, error) {
	c := new(Catalog)
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("kernels.yaml: %w", err)
	}
	if c.Schema != 1 {
		return nil, fmt.Errorf("kernels.yaml: schema %d (want 1)", c.Schema)
	}
	seen := map[string]bool{}
	for _, s := range c.Series {
		if _, ok := seriesNumbers(s.Series); !ok || seen[s.Series] || len(s.Suites) == 0 {
			return nil, fmt.Errorf("kernels.yaml: series %q: want a version such as 6.1, once, with suites", s.Series)
		}
		seen[s.Series] = true
	}
	for arch, patterns := range c.Packages {
		for _, p := range patterns {
			if strings.Count(p, "{release}") != 1 {
				return nil, fmt.Errorf("kernels.yaml: packages: %s: %q: want {release} once", arch, p)
			}
		}
	}
	slices.SortFunc(c.Series, func(a, b Series) int { return compareSeries(a.Series, b.Series) })
	return c, nil
}

func seriesNumbers(s string) (n [2]int, ok bool) {
	major, minor, ok := strings.Cut(s, ".")
	var err1, err2 error
	n[0], err1 = strconv.Atoi(major)
	n[1], err2 = strconv.Atoi(minor)
	return n, ok && err1 == nil && err2 == nil
}

func compareSeries(a, b string) int {
	x, _ := seriesNumbers(a)
	y, _ := seriesNumbers(b)
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
}

// Request is one kernel that was asked for.
type Request struct {
	Series string // of the catalog, or ""
	Newest bool   // the highest series that is available
	File   string // an image or package, or ""
}

func (w Request) String() string {
	switch {
	case w.Newest:
		return "newest"
	case w.File != "":
		return w.File
	}
	return w.Series
}

// ParseRequests reads the names of kernels: series, `all`, `newest` and files.
// Without names it returns the catalog's default.
func (c *Catalog) ParseRequests(names ...string) ([]Request, error) {
	items := names
	if len(items) == 0 {
		items = c.Default
	}
	var requests []Request
	add := func(w Request) {
		if !slices.Contains(requests, w) {
			requests = append(requests, w)
		}
	}
	for _, item := range items {
		item = strings.TrimSpace(item)
		known := slices.ContainsFunc(c.Series, func(s Series) bool { return s.Series == item })
		switch {
		case item == "":
		case item == "all":
			for _, s := range c.Series {
				add(Request{Series: s.Series})
			}
		case item == "newest":
			add(Request{Newest: true})
		case known:
			add(Request{Series: item})
		case strings.ContainsRune(item, filepath.Separator) || files.Exists(item):
			add(Request{File: item})
		default:
			var names []string
			for _, s := range c.Series {
				names = append(names, s.Series)
			}
			return nil, fmt.Errorf("unknown kernel %q (known: %s, newest, all, or a file)", item, strings.Join(names, ", "))
		}
	}
	if len(requests) == 0 {
		return nil, errors.New("no kernel is named")
	}
	return requests, nil
}
