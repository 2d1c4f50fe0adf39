// SPDX-License-Identifier: Apache-2.0

package kerneltest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
)

// Archive is a small signed archive for the real apt. It is a directory, Dir, and is served on loopback at URL.
type Archive struct {
	Dir, URL string

	tb     testing.TB
	gpg    string // home of gpg, with the archive's key
	mu     sync.Mutex
	answer map[string]http.HandlerFunc // by the end of the path; other requests get the file
	asked  []string                    // paths requested since the last call of Asked
}

// Package is a package of an archive, named NAME=VERSION.
type Package struct {
	Name string
	Data []byte
}

// NewArchive makes an archive with its own key. Publish fills it.
func NewArchive(tb testing.TB) *Archive {
	tb.Helper()
	for _, program := range []string{"apt-get", "gpg"} {
		if _, err := exec.LookPath(program); err != nil {
			tb.Skip(err)
		}
	}
	home, err := os.MkdirTemp("", "gpg") // short, because gpg has a socket in it
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		require.NoError(tb, os.RemoveAll(home))
	})
	a := &Archive{Dir: tb.TempDir(), tb: tb, gpg: home, answer: map[string]http.HandlerFunc{}}
	a.run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "archive@example.org", "ed25519", "sign")
	a.run("gpg", "--export", "--output", a.Keyring(), "archive@example.org")
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	tb.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

func (a *Archive) run(name string, args ...string) {
	a.tb.Helper()
	cmd := exec.CommandContext(a.tb.Context(), name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+a.gpg)
	out, err := cmd.CombinedOutput()
	require.NoError(a.tb, err, "%s", out)
}

// Keyring returns the file with the archive's key.
func (a *Archive) Keyring() string { return filepath.Join(a.gpg, "archive.gpg") }

// Write writes a file of the archive.
func (a *Archive) Write(name string, data []byte) string {
	a.tb.Helper()
	file := filepath.Join(a.Dir, name)
	require.NoError(a.tb, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(a.tb, os.WriteFile(file, data, 0o644))
	return file
}

// Publish writes suite s with the packages, signed and dated.
func (a *Archive) Publish(date time.Time, packages ...Package) {
	a.tb.Helper()
	var index strings.Builder
	for _, p := range packages {
		name, version, ok := strings.Cut(p.Name, "=")
		require.True(a.tb, ok, p.Name)
		file := name + "_" + version + "_amd64.deb"
		a.Write(file, p.Data)
		fmt.Fprintf(&index, "Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: a\nFilename: ./%s\nSize: %d\nSHA256: %s\n\n",
			name, version, file, len(p.Data), files.Sum(p.Data))
	}
	a.Write("dists/s/main/binary-amd64/Packages", []byte(index.String()))
	release := a.Write("dists/s/Release", fmt.Appendf(nil, "Origin: Debian\nSuite: s\nCodename: s\nDate: %s\nValid-Until: %s\n"+
		"Architectures: amd64\nComponents: main\nSHA256:\n %s %d main/binary-amd64/Packages\n",
		date.UTC().Format(time.RFC1123), date.Add(time.Hour).UTC().Format(time.RFC1123), files.Sum([]byte(index.String())), index.Len()))
	signed := filepath.Join(a.Dir, "dists/s/InRelease")
	a.run("gpg", "--batch", "--yes", "--clearsign", "--output", signed, release)
	require.NoError(a.tb, os.Remove(release))
	require.NoError(a.tb, os.Chtimes(signed, date, date)) // apt asks whether the file is newer than its copy
}

// Answer makes the archive answer requests for paths with this end in a special way; nil restores the usual answer.
func (a *Archive) Answer(end string, how http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer[end] = how
}

// Asked returns the names of the files requested since its last call, with repetitions
// and without indices.
func (a *Archive) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

func (a *Archive) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	how := http.FileServer(http.Dir(a.Dir)).ServeHTTP
	for end, f := range a.answer {
		if f != nil && strings.HasSuffix(r.URL.Path, end) {
			how = f
		}
	}
	if strings.HasSuffix(r.URL.Path, ".deb") {
		a.asked = append(a.asked, filepath.Base(r.URL.Path))
	}
	a.mu.Unlock()
	how(w, r)
}

// Reset is an [Archive.Answer]: the connection is reset in the middle of a file.
func (a *Archive) Reset(w http.ResponseWriter, r *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return // the client closed the connection first
	}
	defer conn.Close()
	b, err := os.ReadFile(filepath.Join(a.Dir, filepath.Clean(r.URL.Path)))
	if err != nil {
		a.tb.Error(err)
		return
	}
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b), b[:len(b)/2])
	_ = conn.(*net.TCPConn).SetLinger(0)
}
