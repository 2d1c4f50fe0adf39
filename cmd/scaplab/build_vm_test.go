// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	lib "aead.dev/minisign"
	"github.com/google/rpmpack"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/modsign/modsigntest"
	"github.com/scaplab/scaplab/internal/release"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/internal/version"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// kernelDevel writes a package as other distributions have them, one directory for all of a kernel's headers and programs, from
// Debian's three packages.
func kernelDevel(t *testing.T, src, release, file string) {
	t.Helper()
	p, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "kernel-devel", Version: "1", Release: "1", Arch: "x86_64", Compressor: "zstd"})
	require.NoError(t, err)
	all := map[string]rpmpack.RPMFile{}
	add := func(dir string, left ...string) {
		require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			rel, err := filepath.Rel(dir, name)
			require.NoError(t, err)
			if slices.Contains(left, rel) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.IsDir() {
				return nil
			}
			f := rpmpack.RPMFile{Name: filepath.Join("/usr/src/kernels", release, rel), Mode: 0o100644}
			if d.Type()&fs.ModeSymlink != 0 {
				to, err := os.Readlink(name)
				require.NoError(t, err)
				f.Body, f.Mode = []byte(to), 0o120777
			} else {
				st, err := d.Info()
				require.NoError(t, err)
				f.Mode |= uint(st.Mode().Perm())
				f.Body, err = os.ReadFile(name)
				require.NoError(t, err)
			}
			all[f.Name] = f
			return nil
		}))
	}
	one := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(src, pattern))
		require.NoError(t, err)
		require.Len(t, found, 1, pattern)
		return found[0]
	}
	add(one("linux-headers-*-common"), "scripts", "tools")
	add(one("linux-headers-"+release), "scripts", "tools", "Makefile")
	add(one("../lib/linux-kbuild-*"))
	for _, f := range all {
		p.AddFile(f)
	}
	w, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, p.Write(w))
	require.NoError(t, w.Close())
}

// checksOfThePage returns the commands that docs/releases.md shows to check a release.
func checksOfThePage(t *testing.T) (commands []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/releases.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "\n## Check one\n")
	require.True(t, found)
	text, _, found := strings.Cut(rest, "\n### Build it again\n")
	require.True(t, found)
	for i, block := range strings.Split(text, "\n```") {
		if i%2 == 1 {
			block = strings.ReplaceAll(strings.TrimPrefix(block, "sh\n"), "\\\n", "")
			commands = append(commands, strings.Split(block, "\n")...)
		}
	}
	return commands
}

// A release for a kernel that is given by file, with the headers of an .rpm, from the keys to the machine, and what others then do with it.
func TestARelease(t *testing.T) {
	testutil.SkipIfShort(t, "builds a module and boots a kernel")
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	store := &kernels.Store{Catalog: catalog, MaxAge: 1 << 62, Log: t.Logf}
	requests, err := catalog.ParseRequests("6.12")
	require.NoError(t, err)
	found, gone, err := store.Resolve(t.Context(), requests)
	skipIfLacking := func(err error) {
		if lacks, ok := errors.AsType[*env.Error](err); ok {
			t.Skip(lacks)
		}
		require.NoError(t, err)
	}
	skipIfLacking(err)
	if len(gone) > 0 {
		t.Skipf("kernel %s is not available: %v", gone[0].Request, gone[0].Reason)
	}
	k := found[0]
	builder := &kmodbuild.Builder{Store: store, Log: t.Logf}
	headers, err := builder.Headers(t.Context(), k)
	skipIfLacking(err)
	_, _, err = builder.Tools(t.Context(), k.Arch)
	skipIfLacking(err)

	dir := t.TempDir()
	rpm := filepath.Join(dir, "kernel-devel.rpm")
	kernelDevel(t, headers, k.Release, rpm)
	_, keyFile, certFile := modsigntest.Key(t, "a test")
	public, private, err := lib.GenerateKey(nil)
	require.NoError(t, err)
	secret, err := private.MarshalText()
	require.NoError(t, err)
	minisignKey := filepath.Join(dir, "minisign.key")
	require.NoError(t, os.WriteFile(minisignKey, secret, 0o600))
	guest, remove, err := buildGuest(t.Context(), runtime.GOARCH)
	require.NoError(t, err)
	defer remove()

	withoutImage(t, k, rpm)
	out, oci := filepath.Join(dir, "out/release"), filepath.Join(dir, "out/release.oci")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{
		"build", "release", "--kernel", k.Image, "--headers", rpm, "--guest", guest, "--sign-key", keyFile, "--sign-cert", certFile,
		"--minisign-key", minisignKey, "--out", out, "--oci", oci,
	}, &stdout, &stderr)
	require.Equal(t, cli.ExitFine, code, "%s%s", stdout.String(), stderr.String())
	require.Equal(t, k.Image+"\t"+k.Release+"\tbuilt, load test passed\n", stdout.String())

	m, err := release.Read(out)
	require.NoError(t, err)
	require.Len(t, m.Kernels, 1)
	got := m.Kernels[0]
	require.Empty(t, got.Series)
	require.Regexp(t, "^"+regexp.QuoteMeta(version.Number)+`\+driver/x86_64/scap_debian_6\.12\.\d+-\d+-cloud-amd64_1\.ko$`, got.Module.File)
	require.Equal(t, k.Digest, got.Image)
	require.NotEmpty(t, got.Config)
	require.Equal(t, "kernel-devel.rpm", got.Module.Inputs.Headers[0].Name)
	require.Len(t, got.Tests, 3)
	for _, test := range got.Tests {
		require.Equal(t, release.Passed, test.Verdict)
		require.Positive(t, test.Passed)
	}
	require.Greater(t, got.Tests[0].Programs, 300)

	module, err := os.ReadFile(filepath.Join(out, got.Module.File))
	require.NoError(t, err)
	require.Equal(t, got.Module.SHA256, files.Sum(module))
	require.Equal(t, got.Module.Unsigned, files.Sum(modsign.Strip(module)))
	text, err := os.ReadFile(certFile)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	require.Equal(t, m.SignedBy, files.Sum(block.Bytes))
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.NoError(t, modsign.Verify(module, cert))
	for _, name := range []string{release.SumsFile, release.ProvenanceFile} {
		text, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		sig, err := os.ReadFile(filepath.Join(out, name+release.Minisig))
		require.NoError(t, err)
		require.NoError(t, minisign.Verify(public, text, sig))
	}
	require.FileExists(t, filepath.Join(oci, "index.json"))

	// What the page says others do with it.
	keys := filepath.Join(dir, "out/release.keys")
	require.NoError(t, os.Mkdir(keys, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(keys, "modules.pem"), text, 0o644))
	secret, err = public.MarshalText()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(keys, "minisign.pub"), secret, 0o644))
	checks := checksOfThePage(t)
	require.Len(t, checks, 6)
	for _, check := range checks {
		t.Run(check, func(t *testing.T) {
			for _, program := range []string{"minisign", "modinfo", "openssl"} {
				if _, err := exec.LookPath(program); err != nil && strings.Contains(check, program+" ") {
					t.Skip(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", check)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(guest)+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}

	// matrix takes the module from there.
	stdout.Reset()
	stderr.Reset()
	code = run(t.Context(), []string{"matrix", "--kernel", "6.12", "--max-age", "1000000h", "--driver", "kmod", "--syscall", "getppid", "--modules", out, "--guest", guest}, &stdout, &stderr)
	require.Equal(t, cli.ExitFine, code, "%s%s", stdout.String(), stderr.String())
	require.Contains(t, stdout.String(), "6.12 kmod: 1 passed, 0 failed, 0 skipped")
}

// withoutImage builds against headers alone: what cannot be loaded is said to be untested.
func withoutImage(t *testing.T, k kernels.Kernel, headers string) {
	out := filepath.Join(t.TempDir(), "out")
	var stdout, stderr bytes.Buffer
	args := []string{"build", "kmod", "--headers", headers, "--out", out}
	require.Equal(t, cli.ExitUsage, run(t.Context(), args, &stdout, &stderr))
	require.Contains(t, stderr.String(), "without it the module cannot be load-tested, which --allow-untested permits")
	require.Equal(t, cli.ExitFine, run(t.Context(), append(args, "--allow-untested", "--name", "falco", "--target", "rocky"), &stdout, &stderr), stderr.String())
	require.Equal(t, k.Release+"\t"+k.Release+"\tbuilt, NOT LOAD-TESTED: there is no image of this kernel (name it with --kernel FILE)\n", stdout.String())
	m, err := release.Read(out)
	require.NoError(t, err)
	require.Equal(t, "falco_rocky_"+k.Release+"_1.ko", filepath.Base(m.Kernels[0].Module.File), "its headers have its version")
	require.Equal(t, release.Test{Driver: "kmod", Verdict: release.NotDone, Reason: "there is no image of this kernel"}, m.Kernels[0].Tests[0])
	require.Empty(t, m.SignedBy)
	require.Equal(t, m.Kernels[0].Module.SHA256, m.Kernels[0].Module.Unsigned)
}
