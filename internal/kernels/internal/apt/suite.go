// SPDX-License-Identifier: Apache-2.0

// Package apt fetches packages of a Debian archive. Each suite has an apt configuration of
// its own: the machine's package state is neither used nor changed.
package apt

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	kept "github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/packed"
)

// Suite is a private apt for one suite and architecture. It needs no privilege, and
// does not use the machine's package state. A suite that is gone or inconsistent does not
// affect the others.
type Suite struct {
	dir   string
	suite string
	arch  string // Debian's name
	pace  time.Duration
	ended bool // it is no longer maintained
}

// tries is how often an operation is tried while the network fails.
const tries = 4

// Open sets up the private apt for a suite.
func Open(cache string, m Mirror, suite, arch string) (*Suite, error) {
	sum := sha256.Sum256([]byte(m.base(suite)))
	s := &Suite{dir: filepath.Join(cache, "apt", arch+"-"+suite+"-"+hex.EncodeToString(sum[:4])), suite: suite, arch: arch, pace: cmp.Or(m.Pace, time.Second), ended: slices.Contains(m.Ended, suite)}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "etc/apt/preferences.d", "download"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	sources := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: %s\nSigned-By: %s\n",
		m.base(suite), suite, arch, m.Keyring)
	for name, text := range map[string]string{"suite.sources": sources, "apt.conf": s.conf("/etc/apt"), "state/status": ""} {
		if err := files.WriteAtomic(filepath.Join(s.dir, name), []byte(text)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// conf returns the private configuration. Only proxies and passwords come from the machine's
// configuration in etc: its releases, signatures and programs to run are overridden. An
// expired index is accepted of suites that are no longer maintained; of others only if the
// machine's configuration says so.
// This package decides which errors are worth a further try, because apt also tries again
// on a full disk. Addresses of this machine are fetched without a proxy.
func (s *Suite) conf(etc string) string {
	expiry := ""
	if s.ended {
		expiry = "Acquire::Check-Valid-Until \"false\";\n"
	}
	return fmt.Sprintf(`#clear APT::Architectures;
#clear APT::Update;
Dir %[1]q;
Dir::State "state";
Dir::State::status %[2]q;
Dir::Cache "cache";
Dir::Etc::sourcelist %[3]q;
Dir::Etc::sourceparts "-";
Dir::Etc::main "%[5]s/apt.conf";
Dir::Etc::parts "%[5]s/apt.conf.d";
Dir::Etc::netrc "%[5]s/auth.conf";
Dir::Etc::netrcparts "%[5]s/auth.conf.d";
APT::Architecture %[4]q;
APT::Architectures { %[4]q; };
APT::Default-Release "";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
%[6]sAcquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Proxy::localhost "DIRECT";
Acquire::http::Proxy::127.0.0.1 "DIRECT";
`, s.dir, filepath.Join(s.dir, "state/status"), filepath.Join(s.dir, "suite.sources"), s.arch, etc, expiry)
}

// apt runs an apt program within the private directory.
func (s *Suite) apt(ctx context.Context, dir, program string, args ...string) (string, error) {
	// The first setting names the other configuration files; the last one overrides theirs.
	conf := filepath.Join(s.dir, "apt.conf")
	return run(ctx, dir, program, append([]string{"-c", conf}, args...), "APT_CONFIG="+conf)
}

// fetch runs apt-get within the private directory, and again while the network fails.
func (s *Suite) fetch(ctx context.Context, dir string, again error, args ...string) error {
	wait := s.pace
	for try := 1; ; try++ {
		out, err := s.apt(ctx, dir, "apt-get", args...)
		if err == nil {
			return nil
		}
		if err = explain(out, err); ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, errPassing) && !errors.Is(err, again) {
			return err
		}
		if try == tries {
			return fmt.Errorf("tried %d times: %w", tries, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}

// NeverUpdated is the age of an index that was not fetched yet.
const NeverUpdated = time.Duration(math.MaxInt64)

// IndexAge is the time since the index was last fetched.
func (s *Suite) IndexAge() time.Duration {
	st, err := os.Stat(filepath.Join(s.dir, "updated"))
	if err != nil {
		return NeverUpdated
	}
	return time.Since(st.ModTime())
}

// Update fetches the suite's package index and checks its signature.
func (s *Suite) Update(ctx context.Context) error {
	unlock, err := files.Lock(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	// While a mirror is updated, its index and its lists of packages may differ in age.
	if err := s.fetch(ctx, "", ErrDamaged, "update"); err != nil {
		return fmt.Errorf("suite %s: %w", s.suite, err)
	}
	if err := s.advance(); err != nil {
		return fmt.Errorf("suite %s: %w", s.suite, err)
	}
	return files.WriteAtomic(filepath.Join(s.dir, "updated"), nil)
}

// advance refuses an index that is older than one seen before. Its signature is good, but
// it may list packages that were replaced because of their defects.
func (s *Suite) advance() error {
	lists := filepath.Join(s.dir, "state/lists")
	found, err := filepath.Glob(filepath.Join(lists, "*Release"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt left %d release files", len(found))
	}
	date, err := releaseDate(found[0])
	if err != nil {
		return err
	}
	record := filepath.Join(s.dir, "newest")
	text, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if seen, err := time.Parse(time.RFC3339, string(text)); err == nil && date.Before(seen) {
		// The index that apt has now must not be used.
		for _, name := range []string{lists, filepath.Join(s.dir, "updated")} {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
		return fmt.Errorf("the index is of %s, older than that of %s seen before", date.Format(time.RFC3339), seen.Format(time.RFC3339))
	}
	return files.WriteAtomic(record, []byte(date.Format(time.RFC3339)))
}

// releaseDate returns the date of an InRelease or Release file.
func releaseDate(name string) (time.Time, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "Date:"); ok {
			date, err := time.Parse(time.RFC1123, strings.TrimSpace(value))
			return date.UTC(), err
		}
	}
	return time.Time{}, fmt.Errorf("%s has no date", filepath.Base(name))
}

// Package is one package of an index.
type Package struct {
	Name    string
	Version string
	SHA256  string
	Size    string
	Depends string
	suite   *Suite
}

// Packages reads the packages of the fetched index whose names match.
func (s *Suite) Packages(ctx context.Context, match func(name string) bool) ([]Package, error) {
	out, err := s.apt(ctx, "", "apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages")
	if err != nil {
		return nil, fmt.Errorf("suite %s: %w", s.suite, err)
	}
	var found []Package
	for name := range strings.Lines(out) {
		f, err := os.Open(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("suite %s: open index: %w", s.suite, err)
		}
		p, err := readIndex(f, strings.TrimSpace(name), match)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("suite %s: %w", s.suite, err)
		}
		found = append(found, p...)
	}
	for i := range found {
		found[i].suite = s
	}
	return found, nil
}

// maxIndex bounds an unpacked index. Debian's largest has 60 MB.
const maxIndex = 512 << 20

var sha256RE = regexp.MustCompile("^[0-9a-f]{64}$")

// readIndex reads the stanzas of a Packages file, which may be compressed.
func readIndex(r io.Reader, name string, match func(string) bool) ([]Package, error) {
	method := strings.TrimPrefix(filepath.Ext(name), ".")
	if strings.HasSuffix(name, "_Packages") {
		method = ""
	}
	in, err := packed.Reader(method, bufio.NewReaderSize(r, 256<<10))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	defer in.Close()
	left := &io.LimitedReader{R: in, N: maxIndex}
	var found []Package
	var p Package
	flush := func() {
		if p.Name != "" && p.Version != "" && p.SHA256 != "" && match(p.Name) {
			found = append(found, p)
		}
		p = Package{}
	}
	sc := bufio.NewScanner(left)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Bytes()
		if len(line) == 0 {
			flush()
			continue
		}
		key, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			continue
		}
		switch string(key) {
		case "Package":
			p.Name = string(value)
		case "Version":
			p.Version = string(value)
		case "SHA256":
			if !sha256RE.Match(value) { // it becomes a file name
				return nil, fmt.Errorf("read index: package %s: SHA256 is %q", p.Name, value)
			}
			p.SHA256 = string(value)
		case "Size":
			p.Size = string(value)
		case "Depends":
			p.Depends = string(value)
		}
	}
	flush()
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if left.N == 0 {
		return nil, fmt.Errorf("read index: it has more than %d bytes", maxIndex)
	}
	return found, nil
}

// Path returns the cache directory of a package.
func Path(cache string, p Package) string {
	return filepath.Join(cache, "deb", p.SHA256+".deb")
}

// Fetch returns the package's file, from the cache or the mirror.
func (p Package) Fetch(ctx context.Context, cache string) (string, error) {
	file := Path(cache, p)
	if sum, err := files.SHA256(file); err == nil && sum == p.SHA256 {
		kept.Used(file)
		return file, nil
	}
	s := p.suite
	unlock, err := files.Lock(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "download"), "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := s.fetch(ctx, dir, errPassing, "download", p.Name+"="+p.Version); err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, err)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("fetch %s %s: apt left %d files", p.Name, p.Version, len(got))
	}
	// apt has compared it with the signed index. This detects damage on the way into the cache.
	sum, err := files.SHA256(got[0])
	if err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, err)
	}
	if sum != p.SHA256 {
		return "", OfKind(fmt.Errorf("fetch %s %s: checksum is %s, index says %s", p.Name, p.Version, sum, p.SHA256), ErrDamaged)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return file, os.Rename(got[0], file)
}

// Closure fetches packages of the suite and everything that they depend on.
func (s *Suite) Closure(ctx context.Context, cache string, names ...string) ([]Package, error) {
	unlock, err := files.Lock(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	archives := filepath.Join(s.dir, "cache", "archives")
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
	if err := s.fetch(ctx, "", errPassing, args...); err != nil {
		return nil, fmt.Errorf("fetch %s with dependencies from %s: %w", strings.Join(names, ", "), s.suite, err)
	}
	fetched, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return nil, err
	}
	var got []Package
	for _, f := range fetched { // sorted by Glob
		sum, err := files.SHA256(f)
		if err != nil {
			return nil, err
		}
		name, rest, _ := strings.Cut(filepath.Base(f), "_")
		version, _, _ := strings.Cut(rest, "_")
		p := Package{Name: name, Version: strings.ReplaceAll(version, "%3a", ":"), SHA256: sum}
		file := Path(cache, p)
		// This directory is not shared: another run empties its own before it fetches.
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.Rename(f, file); err != nil {
			return nil, err
		}
		got = append(got, p)
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("fetch %s from %s: apt fetched nothing", strings.Join(names, ", "), s.suite)
	}
	return got, nil
}
