// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// aptLimit bounds one run of apt, in case a mirror stops answering.
const aptLimit = 15 * time.Minute

// lockPace is how often a lock is tried that another process has.
const lockPace = 50 * time.Millisecond

// Mirror is where a Debian archive is fetched from.
type Mirror struct {
	Main     string // base URI of the main archive
	Security string // base URI of the security archive
	Keyring  string // file with the archive's keys
}

// ParseMirror reads the value of a --mirror flag: the main archive's base URI
// and, after a comma, the security archive's. Without it, the latter stands
// beside the former, as mirrors have it.
func ParseMirror(s string) (Mirror, error) {
	m := Mirror{}
	main, security, two := strings.Cut(s, ",")
	m.Main = strings.TrimRight(main, "/")
	m.Security = strings.TrimRight(security, "/")
	if !two {
		m.Security = m.Main + "-security"
	}
	for _, u := range []string{m.Main, m.Security} {
		if scheme, rest, ok := strings.Cut(u, ":"); !ok || scheme == "" || rest == "" || strings.ContainsAny(u, " \t\n") {
			return Mirror{}, fmt.Errorf("mirror %q: want URI or URI,SECURITY-URI", s)
		}
	}
	var err error
	m.Keyring, err = archiveKeyring()
	return m, err
}

// archiveKeyring is the installed file with the archive's keys.
func archiveKeyring() (string, error) {
	for _, ext := range []string{"gpg", "pgp"} {
		if f := "/usr/share/keyrings/debian-archive-keyring." + ext; fileExists(f) {
			return f, nil
		}
	}
	return "", &EnvError{"no keys to check Debian packages with", "install debian-archive-keyring, or give a kernel by file: --kernel FILE"}
}

// MachineMirror finds the archive the machine's own apt is set up for.
func MachineMirror(ctx context.Context) (Mirror, error) {
	const fix = "use --mirror URI, or give a kernel by file: --kernel FILE"
	if _, err := exec.LookPath("apt-get"); err != nil {
		return Mirror{}, &EnvError{"apt is not installed, so no kernel packages can be fetched", fix}
	}
	out, err := runApt(ctx, "", "apt-get", []string{"indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"})
	if err != nil {
		return Mirror{}, err
	}
	m, err := mirrorFromTargets(out, osRelease())
	if err != nil {
		return Mirror{}, &EnvError{err.Error(), fix}
	}
	m.Keyring, err = archiveKeyring()
	return m, err
}

// mirrorFromTargets picks the archives from apt's list of `URI release origin`
// lines: main is the one with the machine's own release, security the one whose
// release ends in -security. Other vendors use these names, too, but say who they
// are; the origin is not known (and stays as in the format) before an apt-get update.
func mirrorFromTargets(targets string, release map[string]string) (Mirror, error) {
	if release["ID"] != "debian" {
		return Mirror{}, fmt.Errorf("apt on %s is not set up for the Debian archive", orUnknown(release["ID"]))
	}
	own := map[string]bool{"stable": true, "oldstable": true, "testing": true, "unstable": true, "sid": true}
	if c := release["VERSION_CODENAME"]; c != "" {
		own[c] = true
	}
	var m Mirror
	for _, sure := range []bool{true, false} {
		for line := range strings.Lines(targets) {
			uri, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
			suite, origin, _ := strings.Cut(rest, " ")
			if unknown := origin == "" || strings.HasPrefix(origin, "$("); !ok || sure != (origin == "Debian") || !sure && !unknown {
				continue
			}
			uri = strings.TrimRight(uri, "/")
			base, isSecurity := strings.CutSuffix(suite, "-security")
			switch {
			case isSecurity && own[base] && m.Security == "":
				m.Security = uri
			case own[suite] && m.Main == "":
				m.Main = uri
			}
		}
	}
	switch {
	case m.Main == "":
		return Mirror{}, fmt.Errorf("apt is not set up for the Debian archive's %s", orUnknown(release["VERSION_CODENAME"]))
	case m.Security == "":
		m.Security = m.Main + "-security"
	}
	return m, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown system"
	}
	return s
}

// osRelease reads /etc/os-release; what is not there is empty.
func osRelease() map[string]string {
	m := map[string]string{}
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m[k] = strings.Trim(v, `"'`)
		}
	}
	return m
}

// base returns the archive that has the suite.
func (m Mirror) base(suite string) string {
	if strings.HasSuffix(suite, "-security") {
		return m.Security
	}
	return m.Main
}

// suiteDir is a private apt for one suite and architecture. Nothing of the
// machine's package state is touched and no privilege is needed; one suite
// that is gone or inconsistent spoils no other.
type suiteDir struct {
	dir   string
	suite string
	arch  string // Debian's name
}

// openSuite sets up the private apt for a suite.
func openSuite(cache string, m Mirror, suite, arch string) (*suiteDir, error) {
	sum := sha256.Sum256([]byte(m.base(suite)))
	s := &suiteDir{dir: filepath.Join(cache, "apt", arch+"-"+suite+"-"+hex.EncodeToString(sum[:4])), suite: suite, arch: arch}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "etc/apt/preferences.d", "download"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	sources := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: %s\nSigned-By: %s\n",
		m.base(suite), suite, arch, m.Keyring)
	for name, text := range map[string]string{"suite.sources": sources, "apt.conf": s.conf("/etc/apt"), "state/status": ""} {
		if err := writeFileAtomic(filepath.Join(s.dir, name), []byte(text)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// conf is the private configuration. Of the machine's, in etc, come proxies and
// passwords; what it says of releases, signatures and things to run does not hold here.
// An archive's index may have expired: those of suites that are maintained no more have.
func (s *suiteDir) conf(etc string) string {
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
Acquire::Check-Valid-Until "false";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "3";
`, s.dir, filepath.Join(s.dir, "state/status"), filepath.Join(s.dir, "suite.sources"), s.arch, etc)
}

// apt runs an apt program within the private directory.
func (s *suiteDir) apt(ctx context.Context, dir, program string, args ...string) (string, error) {
	// Read first it says where the rest is, read last it is what holds.
	conf := filepath.Join(s.dir, "apt.conf")
	return runApt(ctx, dir, program, append([]string{"-c", conf}, args...), "APT_CONFIG="+conf)
}

// neverUpdated is the age of an index that was never fetched.
const neverUpdated = time.Duration(math.MaxInt64)

// indexAge is the time since the index was last fetched.
func (s *suiteDir) indexAge() time.Duration {
	st, err := os.Stat(filepath.Join(s.dir, "updated"))
	if err != nil {
		return neverUpdated
	}
	return time.Since(st.ModTime())
}

// update fetches the suite's package index and checks its signature.
func (s *suiteDir) update(ctx context.Context) error {
	unlock, err := lockFile(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if out, err := s.apt(ctx, "", "apt-get", "update"); err != nil {
		return fmt.Errorf("suite %s: %w", s.suite, explainApt(out, err))
	}
	return writeFileAtomic(filepath.Join(s.dir, "updated"), nil)
}

// debPackage is one package of an index.
type debPackage struct {
	Name    string
	Version string
	SHA256  string
	Size    string
	Depends string
	suite   *suiteDir
}

// packages reads the packages of the fetched index whose names match.
func (s *suiteDir) packages(ctx context.Context, match func(name string) bool) ([]debPackage, error) {
	out, err := s.apt(ctx, "", "apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages")
	if err != nil {
		return nil, fmt.Errorf("suite %s: %w", s.suite, err)
	}
	var found []debPackage
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

// readIndex reads the stanzas of a Packages file, which may be compressed.
func readIndex(r io.Reader, name string, match func(string) bool) ([]debPackage, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	ext := filepath.Ext(name)
	if strings.HasSuffix(name, "_Packages") || ext == "" {
		ext = ".tar" // as it is
	}
	in, err := decompressor("index"+ext, br)
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	var found []debPackage
	var p debPackage
	flush := func() {
		if p.Name != "" && p.Version != "" && p.SHA256 != "" && match(p.Name) {
			found = append(found, p)
		}
		p = debPackage{}
	}
	sc := bufio.NewScanner(in)
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
	return found, nil
}

// debPath is where the cache keeps a package.
func debPath(cache string, p debPackage) string {
	return filepath.Join(cache, "deb", p.SHA256+".deb")
}

// fetch returns the package's file, from the cache or the mirror.
func (p debPackage) fetch(ctx context.Context, cache string) (string, error) {
	file := debPath(cache, p)
	if sum, err := fileSHA256(file); err == nil && sum == p.SHA256 {
		return file, nil
	}
	s := p.suite
	unlock, err := lockFile(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "download"), "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if out, err := s.apt(ctx, dir, "apt-get", "download", p.Name+"="+p.Version); err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, explainApt(out, err))
	}
	got, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("fetch %s %s: apt left %d files", p.Name, p.Version, len(got))
	}
	// apt has compared it with the signed index; this is against damage on the way into the cache.
	sum, err := fileSHA256(got[0])
	if err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, err)
	}
	if sum != p.SHA256 {
		return "", fmt.Errorf("fetch %s %s: checksum is %s, index says %s", p.Name, p.Version, sum, p.SHA256)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return file, os.Rename(got[0], file)
}

// runApt runs an apt program with env added and returns its standard output.
func runApt(ctx context.Context, dir, program string, args []string, env ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, aptLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"), env...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", &EnvError{program + " is not installed", "install apt, or give a kernel by file: --kernel FILE"}
		}
		return stdout.String() + stderr.String(), fmt.Errorf("%s %s: %w", program, args[len(args)-1], err)
	}
	return stdout.String(), nil
}

// explainApt adds apt's own error lines to err.
func explainApt(out string, err error) error {
	var lines []string
	for l := range strings.Lines(out) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "E: ") || strings.HasPrefix(l, "Err:") {
			lines = append(lines, strings.TrimPrefix(l, "E: "))
		}
	}
	if len(lines) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(lines, "; "))
}

func fileExists(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

func fileSHA256(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
