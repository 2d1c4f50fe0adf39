// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
)

func TestIndexIsReadWhateverItsPacking(t *testing.T) {
	aa, bb, cc := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	index := []byte("Package: linux-image-6.1\nVersion: 6.1-1\nDescription: a\n kernel: with colon\nSize: 10\nSHA256: " + aa + "\n\n" +
		"Package: other\nVersion: 1\nSHA256: " + bb + "\n\nPackage: linux-no-sum\nVersion: 1\n\nPackage: linux-last\nVersion: 2\nSHA256: " + cc + "\n")
	match := func(n string) bool { return strings.HasPrefix(n, "linux-") }
	want := []Package{{Name: "linux-image-6.1", Version: "6.1-1", SHA256: aa, Size: "10"}, {Name: "linux-last", Version: "2", SHA256: cc}}
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
	_, err = readIndex(strings.NewReader("Package: linux-a\nVersion: 1\nSHA256: ../../x\n"), "x_Packages", match)
	require.ErrorContains(t, err, `package linux-a: SHA256 is "../../x"`, "it becomes the name of a file")
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

	// A damaged file in the cache is not used either.
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
		`Dir::Etc::sourceparts "-";`, `APT::Architectures { "amd64"; };`, `Acquire::Retries "0";`,
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

// publish writes suite s with package linux-a 1, dated as given.
func publish(a *kerneltest.Archive, date time.Time) {
	a.Publish(date, kerneltest.Package{Name: "linux-a=1", Data: []byte("a package")})
}

func TestTheRealAptRefusesWhatIsNotSigned(t *testing.T) {
	// The worst configuration that a machine may have.
	etc := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(etc, "apt.conf.d"), 0o755))
	const careless = `Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true"; Acquire::AllowWeakRepositories "true";
APT::Default-Release "stable"; APT::Update::Post-Invoke { "exit 9"; }; Acquire::Retries "0"; Acquire::GzipIndexes "true";`
	require.NoError(t, os.WriteFile(filepath.Join(etc, "apt.conf.d", "99careless"), []byte(careless), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(etc, "apt.conf"), []byte(`Acquire::http::Proxy "socks5h://proxy:1";`), 0o600))

	good, other := kerneltest.NewArchive(t), kerneltest.NewArchive(t)
	signed := filepath.Join(good.Dir, "dists/s/InRelease")
	now := time.Now().Add(-time.Minute)
	for name, row := range map[string]struct {
		change  func()
		keyring string
		want    string // error of the update or of the fetch
	}{
		"as it should be": {func() {}, good.Keyring(), ""},
		"index changed": {func() {
			good.Write("dists/s/main/binary-amd64/Packages", []byte("Package: linux-a\nVersion: 2\n"))
		}, good.Keyring(), "suite s: "},
		"package changed":       {func() { good.Write("linux-a_1_amd64.deb", []byte("!<arch>\n")) }, good.Keyring(), "fetch linux-a 1: "},
		"signature removed":     {func() { require.NoError(t, os.Rename(signed, filepath.Join(filepath.Dir(signed), "Release"))) }, good.Keyring(), "is not signed"},
		"signed with other key": {func() {}, other.Keyring(), "suite s: "},
		"expired":               {func() { publish(good, now.AddDate(-1, 0, 0)) }, good.Keyring(), "suite s: "},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(filepath.Dir(signed)))
			publish(good, now)
			row.change()
			cache := t.TempDir()
			s, err := Open(cache, Mirror{Main: "file:" + good.Dir, Keyring: row.keyring, Pace: time.Millisecond}, "s", "amd64")
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

func TestAnExpiredIndexIsForSuitesThatAreNoLongerMaintained(t *testing.T) {
	archive := kerneltest.NewArchive(t)
	publish(archive, time.Now().AddDate(-1, 0, 0))
	s, err := Open(t.TempDir(), Mirror{Main: "file:" + archive.Dir, Keyring: archive.Keyring(), Pace: time.Millisecond, Ended: []string{"s"}}, "s", "amd64")
	require.NoError(t, err)
	require.NoError(t, s.Update(t.Context()))
}

func TestAnIndexIsNotOlderThanTheOneSeenBefore(t *testing.T) {
	archive := kerneltest.NewArchive(t)
	now := time.Now().Add(-time.Minute)
	cache := t.TempDir()
	open := func() *Suite {
		s, err := Open(cache, Mirror{Main: "file:" + archive.Dir, Keyring: archive.Keyring(), Pace: time.Millisecond, Ended: []string{"s"}}, "s", "amd64")
		require.NoError(t, err)
		return s
	}
	update := func(date time.Time) error {
		require.NoError(t, os.RemoveAll(filepath.Join(archive.Dir, "dists")))
		publish(archive, date)
		s := open()
		require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "state"))) // apt itself then knows nothing
		s = open()
		return s.Update(t.Context())
	}
	require.NoError(t, update(now.AddDate(0, 0, -2)))
	require.NoError(t, update(now))
	require.NoError(t, update(now), "the same again")
	require.ErrorContains(t, update(now.AddDate(0, 0, -1)), "suite s: the index is of ")
	s := open()
	require.Equal(t, NeverUpdated, s.IndexAge(), "it is not used")
	found, err := s.Packages(t.Context(), func(string) bool { return true })
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, update(now.Add(time.Second)))
}
