// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeApt puts an apt-get in PATH that serves dir: files named like packages,
// and an index per suite. A package that is listed and has no file is a 404.
func fakeApt(t *testing.T, dir string, packages map[string][]byte, listed ...string) {
	t.Helper()
	if _, err := archiveKeyring(); err != nil {
		t.Skip(err)
	}
	var index strings.Builder
	for nv, b := range packages {
		require.NoError(t, os.WriteFile(filepath.Join(dir, nv), b, 0o600))
	}
	for _, nv := range listed {
		name, version, ok := strings.Cut(nv, "=")
		require.True(t, ok)
		sum := strings.Repeat("0", 64)
		if b, ok := packages[nv]; ok {
			sum = sha256Hex(b)
		}
		fmt.Fprintf(&index, "Package: %s\nVersion: %s\nSHA256: %s\n\n", name, version, sum)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x_Packages"), []byte(index.String()), 0o600))
	script := `#!/bin/sh
dir='` + dir + `'
for last; do :; done
case "$*" in
*" update") echo update >> "$dir/log"
	[ -e "$APT_CONFIG" ] || { echo "E: no private configuration" >&2; exit 100; }
	[ ! -e "$dir/broken" ] || { echo "E: The repository has no Release file" >&2; exit 100; } ;;
*" indextargets "*) echo "$dir/x_Packages" ;;
*" install "*) cp "$dir/$last=1" "${APT_CONFIG%/*}/cache/archives/${last}_1%3a1_amd64.deb" ;;
*" download "*) echo "download $last" >> "$dir/log"
	[ -e "$dir/$last" ] || { echo "E: Failed to fetch $last 404 Not Found" >&2; exit 100; }
	cp "$dir/$last" "./${last%%=*}_x.deb" ;;
esac
`
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o700))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func aptLog(t *testing.T, dir string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "log")))
	return strings.Fields(string(b))
}

func TestTheNewestKernelThatCanBeFetchedIsTaken(t *testing.T) {
	dir := t.TempDir()
	image := func(release string) []byte {
		return deb(t, "xz", map[string]string{"./boot/vmlinuz-" + release: string(bzImage(t, "zst", tinyELF(t, "Xen", 18, ""), release))})
	}
	fakeApt(t, dir, map[string][]byte{
		"linux-image-6.1.0-9-x=6.1.9-1":   image("6.1.0-9-x"),
		"linux-image-6.1.0-20-x=6.1.20-1": deb(t, "xz", map[string]string{"./usr/share/doc/x/readme": "a package without a kernel"}),
		"linux-image-6.1.0-8-x=6.1.8-1":   image("6.1.0-8-x"),
		"linux-image-6.12.0-1-x=6.12.1-1": image("6.12.0-1-x"),
	},
		"linux-image-6.1.0-8-x=6.1.8-1", "linux-image-6.1.0-9-x=6.1.9-1",
		"linux-image-6.1.0-20-x=6.1.20-1", // holds no kernel
		"linux-image-6.1.0-30-x=6.1.30-1", // listed, but gone
		"linux-image-6.12.0-1-x=6.12.1-1",
		"linux-image-6.19.0-1-x=6.19.1-1", // the only one of its series, gone
	)
	var said strings.Builder
	s := &Store{
		Catalog: &Catalog{
			Series:   []Series{{"6.1", []string{"s"}}, {"6.12", []string{"s", "t"}}, {"6.19", []string{"s", "t"}}, {"7.0", []string{"s"}}},
			Packages: map[string][]string{"amd64": {"linux-image-{release}-x"}},
		},
		Cache: t.TempDir(), Arch: "amd64", Mirror: "file:/nowhere", MaxAge: time.Hour,
		Log: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) },
	}
	kernels, gone, err := s.Resolve(t.Context(), []Want{{Series: "6.1"}})
	require.NoError(t, err)
	require.Empty(t, gone)
	require.Equal(t, "6.1.0-9-x", kernels[0].Release)
	require.Equal(t, "linux-image-6.1.0-9-x 6.1.9-1", kernels[0].Source)
	require.True(t, kernels[0].PVH)
	require.Contains(t, said.String(), "404 Not Found; trying the next older one")
	require.Equal(t, strings.Fields("update download linux-image-6.1.0-30-x=6.1.30-1 download linux-image-6.1.0-20-x=6.1.20-1 download linux-image-6.1.0-9-x=6.1.9-1"), aptLog(t, dir))

	// What is gone is told, and does not stop the rest.
	kernels, gone, err = s.Resolve(t.Context(), []Want{{Series: "6.19"}, {Series: "7.0"}, {Newest: true}})
	require.NoError(t, err)
	require.Equal(t, "6.12", kernels[0].Name)
	require.Len(t, gone, 2)
	require.ErrorContains(t, gone[0].Reason, "404 Not Found")
	require.ErrorIs(t, gone[0].Reason, ErrNotInArchive)
	require.ErrorIs(t, gone[1].Reason, ErrNotInArchive)
	require.ErrorContains(t, gone[0].Reason, "of series 6.19 in s could be used")
	require.ErrorContains(t, gone[0].Reason, "of series 6.19 in t could be used", "the next suite is tried")
	require.ErrorContains(t, gone[1].Reason, "no package of series 7.0 in s")

	// Kept by hash: a new store with the same cache fetches nothing anew, even when it looks again.
	aptLog(t, dir)
	again := &Store{Catalog: s.Catalog, Cache: s.Cache, Arch: "amd64", Mirror: s.Mirror, Log: s.Log}
	kernels, _, err = again.Resolve(t.Context(), []Want{{Series: "6.12"}})
	require.NoError(t, err)
	require.Equal(t, "6.12.0-1-x", kernels[0].Release)
	require.Equal(t, []string{"update"}, aptLog(t, dir), "the first suite that has it is enough")

	// An archive that lost the suite: the last index, then, with a word.
	said.Reset()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken"), nil, 0o600))
	again = &Store{Catalog: s.Catalog, Cache: s.Cache, Arch: "amd64", Mirror: s.Mirror, Log: s.Log}
	kernels, _, err = again.Resolve(t.Context(), []Want{{Series: "6.1"}})
	require.NoError(t, err)
	require.Equal(t, "6.1.0-9-x", kernels[0].Release)
	require.Contains(t, said.String(), "The repository has no Release file; using the index of")

	again = &Store{Catalog: s.Catalog, Cache: t.TempDir(), Arch: "amd64", Mirror: s.Mirror, Log: s.Log}
	_, gone, err = again.Resolve(t.Context(), []Want{{Series: "6.1"}})
	require.NoError(t, err)
	require.ErrorContains(t, gone[0].Reason, "suite s: apt-get update: exit status 100: The repository has no Release file")
	require.NotErrorIs(t, gone[0].Reason, ErrNotInArchive, "who knows")
}

func TestWhatTheArchiveLacksIsToldFromWhatDoesNotWork(t *testing.T) {
	no := fromApt(errors.New("suite s: apt-get update: exit status 100: The repository 'u bullseye Release' does not have a Release file."))
	lost := fromApt(errors.New("fetch linux-a 1: apt-get download: exit status 100: Failed to fetch u  404  Not Found [IP: 10.0.0.1 80]"))
	down := fromApt(errors.New("suite t: apt-get update: exit status 100: Failed to fetch u  Could not connect to h:80 (10.0.0.1). - connect (111: Connection refused)"))
	require.ErrorIs(t, notInArchive([]error{no, lost, fmt.Errorf("6.1: %w", ErrNotInArchive)}), ErrNotInArchive)
	for _, errs := range [][]error{{down}, {no, down}, {fmt.Errorf("7.0: %w", ErrNotInArchive), down}} {
		err := notInArchive(errs)
		require.ErrorContains(t, err, "Connection refused")
		require.NotErrorIs(t, err, ErrNotInArchive)
		require.NotErrorIs(t, notInArchive([]error{err, lost}), ErrNotInArchive, "nor with another suite's word")
	}
}

func TestAPackageWithAnotherHashIsRefused(t *testing.T) {
	dir := t.TempDir()
	fakeApt(t, dir, map[string][]byte{"linux-a=1": []byte("what was signed")}, "linux-a=1")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "linux-a=1"), []byte("what came"), 0o600))
	cache := t.TempDir()
	suite, err := openSuite(cache, Mirror{Main: "file:/x", Keyring: "/k"}, "s", "amd64")
	require.NoError(t, err)
	require.NoError(t, suite.update(t.Context()))
	list, err := suite.packages(t.Context(), func(string) bool { return true })
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = list[0].fetch(t.Context(), cache)
	require.ErrorContains(t, err, "fetch linux-a 1: checksum is ")
	require.NoFileExists(t, debPath(cache, list[0]))

	// Nor is a damaged file in the cache taken for it.
	require.NoError(t, writeFileAtomic(debPath(cache, list[0]), []byte("damaged")))
	_, err = list[0].fetch(t.Context(), cache)
	require.ErrorContains(t, err, "checksum is ")
}

func TestThePrivateAptIsPrivate(t *testing.T) {
	cache := t.TempDir()
	s, err := openSuite(cache, Mirror{Main: "file:/main", Security: "file:/sec", Keyring: "/keys.gpg"}, "bookworm-security", "amd64")
	require.NoError(t, err)
	conf, err := os.ReadFile(filepath.Join(s.dir, "apt.conf"))
	require.NoError(t, err)
	for _, want := range []string{
		`Dir "` + s.dir + `";`, `Dir::State::status "` + s.dir + `/state/status";`, `Dir::Etc::parts "/etc/apt/apt.conf.d";`,
		`Dir::Etc::sourceparts "-";`, `APT::Architectures { "amd64"; };`, `Acquire::Retries "3";`,
	} {
		require.Contains(t, string(conf), want)
	}
	sources, err := os.ReadFile(filepath.Join(s.dir, "suite.sources"))
	require.NoError(t, err)
	require.Equal(t, "Types: deb\nURIs: file:/sec\nSuites: bookworm-security\nComponents: main\nArchitectures: amd64\nSigned-By: /keys.gpg\n", string(sources))
	require.NotContains(t, string(conf)+string(sources), "rusted: yes", "signatures are checked")

	other, err := openSuite(cache, Mirror{Main: "file:/other", Security: "file:/other-sec"}, "bookworm-security", "amd64")
	require.NoError(t, err)
	require.NotEqual(t, s.dir, other.dir, "two mirrors do not share an index")
}

func TestWaitingForAnotherRunCanBeInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), file)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPace)
	defer cancel()
	_, err = lockFile(ctx, file)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	time.AfterFunc(lockPace, unlock)
	unlock, err = lockFile(t.Context(), file)
	require.NoError(t, err, "it waits until the other is done")
	unlock()
}

// archive is a small signed archive for the real apt.
type archive struct {
	t   *testing.T
	dir string
	gpg string // home of its key
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	for _, program := range []string{"apt-get", "gpg", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	home, err := os.MkdirTemp("", "gpg") // short: it holds a socket
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		require.NoError(t, os.RemoveAll(home))
	})
	a := &archive{t, t.TempDir(), home}
	a.run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "archive@example.org", "ed25519", "sign")
	a.run("gpg", "--export", "--output", a.keyring(), "archive@example.org")
	return a
}

func (a *archive) run(name string, args ...string) {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+a.gpg)
	out, err := cmd.CombinedOutput()
	require.NoError(a.t, err, "%s", out)
}

func (a *archive) keyring() string { return filepath.Join(a.gpg, "archive.gpg") }

func (a *archive) write(name, text string) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	require.NoError(a.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(a.t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

// publish writes suite s with package linux-a 1, signed, as of the given time.
func (a *archive) publish(date time.Time) {
	a.t.Helper()
	const control = "Package: linux-a\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: a\n"
	a.write("tree/DEBIAN/control", control)
	deb := filepath.Join(a.dir, "linux-a_1_amd64.deb")
	a.run("dpkg-deb", "--build", "--root-owner-group", filepath.Join(a.dir, "tree"), deb)
	b, err := os.ReadFile(deb)
	require.NoError(a.t, err)
	index := control + fmt.Sprintf("Filename: ./linux-a_1_amd64.deb\nSize: %d\nSHA256: %s\n", len(b), sha256Hex(b))
	a.write("dists/s/main/binary-amd64/Packages", index)
	release := a.write("dists/s/Release", fmt.Sprintf("Origin: Debian\nSuite: s\nCodename: s\nDate: %s\nValid-Until: %s\n"+
		"Architectures: amd64\nComponents: main\nSHA256:\n %s %d main/binary-amd64/Packages\n",
		date.UTC().Format(time.RFC1123), date.Add(time.Hour).UTC().Format(time.RFC1123), sha256Hex([]byte(index)), len(index)))
	signed := filepath.Join(a.dir, "dists/s/InRelease")
	_ = os.Remove(signed)
	a.run("gpg", "--batch", "--yes", "--clearsign", "--output", signed, release)
	require.NoError(a.t, os.Remove(release))
}

func TestTheRealAptRefusesWhatIsNotSigned(t *testing.T) {
	// The worst that a machine's own configuration may say.
	etc := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(etc, "apt.conf.d"), 0o755))
	const careless = `Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true"; Acquire::AllowWeakRepositories "true";
APT::Default-Release "stable"; APT::Update::Post-Invoke { "exit 9"; }; Acquire::Retries "0"; Acquire::GzipIndexes "true";`
	require.NoError(t, os.WriteFile(filepath.Join(etc, "apt.conf.d", "99careless"), []byte(careless), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(etc, "apt.conf"), []byte(`Acquire::http::Proxy "socks5h://proxy:1";`), 0o600))

	good, other := newArchive(t), newArchive(t)
	signed := filepath.Join(good.dir, "dists/s/InRelease")
	now := time.Now().Add(-time.Minute)
	for name, row := range map[string]struct {
		change  func()
		keyring string
		want    string // error of the update, or of the fetch
	}{
		"as it should be": {func() {}, good.keyring(), ""},
		"index changed": {func() {
			good.write("dists/s/main/binary-amd64/Packages", "Package: linux-a\nVersion: 2\n")
		}, good.keyring(), "suite s: "},
		"package changed":       {func() { good.write("linux-a_1_amd64.deb", "!<arch>\n") }, good.keyring(), "fetch linux-a 1: "},
		"signature removed":     {func() { require.NoError(t, os.Rename(signed, filepath.Join(filepath.Dir(signed), "Release"))) }, good.keyring(), "is not signed"},
		"signed with other key": {func() {}, other.keyring(), "suite s: "},
		"expired":               {func() { good.publish(now.AddDate(-1, 0, 0)) }, good.keyring(), ""}, // suites that are maintained no more have
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(filepath.Dir(signed)))
			good.publish(now)
			row.change()
			cache := t.TempDir()
			s, err := openSuite(cache, Mirror{Main: "file:" + good.dir, Keyring: row.keyring}, "s", "amd64")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "apt.conf"), []byte(s.conf(etc)), 0o600))

			proxy, err := s.apt(t.Context(), "", "apt-config", "dump", "Acquire::http::Proxy")
			require.NoError(t, err)
			require.Contains(t, proxy, "socks5h://proxy:1", "the machine's proxy is used")

			err = s.update(t.Context())
			if err == nil {
				var list []debPackage
				list, err = s.packages(t.Context(), func(string) bool { return true })
				require.NoError(t, err)
				require.Len(t, list, 1)
				_, err = list[0].fetch(t.Context(), cache)
			}
			if row.want != "" {
				require.ErrorContains(t, err, row.want)
				return
			}
			require.NoError(t, err)
		})
	}
}
