// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
)

func TestIndexIsReadWhateverItsPacking(t *testing.T) {
	index := []byte("Package: linux-image-6.1\nVersion: 6.1-1\nDescription: a\n kernel: with colon\nSize: 10\nSHA256: aa\n\n" +
		"Package: other\nVersion: 1\nSHA256: bb\n\nPackage: linux-no-sum\nVersion: 1\n\nPackage: linux-last\nVersion: 2\nSHA256: cc\n")
	match := func(n string) bool { return strings.HasPrefix(n, "linux-") }
	want := []Package{{Name: "linux-image-6.1", Version: "6.1-1", SHA256: "aa", Size: "10"}, {Name: "linux-last", Version: "2", SHA256: "cc"}}
	for _, method := range []string{"", "gz", "xz", "zst"} {
		name := "dists_main_binary-amd64_Packages"
		if method != "" {
			name += "." + method
		}
		got, err := readIndex(bytes.NewReader(kerneltest.Compressed(t, method, index)), name, match)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	_, err := readIndex(bytes.NewReader([]byte("no gzip")), "x_Packages.gz", match)
	require.ErrorContains(t, err, "read index: ")
}

func TestAptErrorsAreShort(t *testing.T) {
	err := explain("Hit:1 x\nE: Unable to locate package y\nErr:2 z 404\nW: noise\n", os.ErrInvalid)
	require.ErrorIs(t, err, os.ErrInvalid)
	require.EqualError(t, err, "invalid argument: Unable to locate package y; Err:2 z 404")
	require.Equal(t, os.ErrInvalid, explain("", os.ErrInvalid))
}

func TestAPackageWithAnotherHashIsRefused(t *testing.T) {
	dir := t.TempDir()
	kerneltest.FakeApt(t, dir, map[string][]byte{"linux-a=1": []byte("what was signed")}, "linux-a=1")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "linux-a=1"), []byte("what came"), 0o600))
	cache := t.TempDir()
	suite, err := Open(cache, Mirror{Main: "file:/x", Keyring: "/k"}, "s", "amd64")
	require.NoError(t, err)
	require.NoError(t, suite.Update(t.Context()))
	list, err := suite.Packages(t.Context(), func(string) bool { return true })
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = list[0].Fetch(t.Context(), cache)
	require.ErrorContains(t, err, "fetch linux-a 1: checksum is ")
	require.NoFileExists(t, Path(cache, list[0]))

	// Nor is a damaged file in the cache taken for it.
	require.NoError(t, files.WriteAtomic(Path(cache, list[0]), []byte("damaged")))
	_, err = list[0].Fetch(t.Context(), cache)
	require.ErrorContains(t, err, "checksum is ")
}

func TestThePrivateAptIsPrivate(t *testing.T) {
	cache := t.TempDir()
	s, err := Open(cache, Mirror{Main: "file:/main", Security: "file:/sec", Keyring: "/keys.gpg"}, "bookworm-security", "amd64")
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

	other, err := Open(cache, Mirror{Main: "file:/other", Security: "file:/other-sec"}, "bookworm-security", "amd64")
	require.NoError(t, err)
	require.NotEqual(t, s.dir, other.dir, "two mirrors do not share an index")
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
	index := control + fmt.Sprintf("Filename: ./linux-a_1_amd64.deb\nSize: %d\nSHA256: %s\n", len(b), files.Sum(b))
	a.write("dists/s/main/binary-amd64/Packages", index)
	release := a.write("dists/s/Release", fmt.Sprintf("Origin: Debian\nSuite: s\nCodename: s\nDate: %s\nValid-Until: %s\n"+
		"Architectures: amd64\nComponents: main\nSHA256:\n %s %d main/binary-amd64/Packages\n",
		date.UTC().Format(time.RFC1123), date.Add(time.Hour).UTC().Format(time.RFC1123), files.Sum([]byte(index)), len(index)))
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
			s, err := Open(cache, Mirror{Main: "file:" + good.dir, Keyring: row.keyring}, "s", "amd64")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "apt.conf"), []byte(s.conf(etc)), 0o600))

			proxy, err := s.apt(t.Context(), "", "apt-config", "dump", "Acquire::http::Proxy")
			require.NoError(t, err)
			require.Contains(t, proxy, "socks5h://proxy:1", "the machine's proxy is used")

			err = s.Update(t.Context())
			if err == nil {
				var list []Package
				list, err = s.Packages(t.Context(), func(string) bool { return true })
				require.NoError(t, err)
				require.Len(t, list, 1)
				_, err = list[0].Fetch(t.Context(), cache)
			}
			if row.want != "" {
				require.ErrorContains(t, err, row.want)
				return
			}
			require.NoError(t, err)
		})
	}
}
