// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	lib "aead.dev/minisign"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/modsign/modsigntest"
)

func TestVerifyTellsWhatIsWrongWithARelease(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	verify := func(args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), append([]string{"verify", dir}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	code, _, errs := verify()
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, errs, "is no release")

	// A release without drivers. Package verify has tests of whole ones.
	sums := ""
	for name, text := range map[string]string{
		"manifest.json": `{"format": 1}`, "provenance.intoto.json": `{"_type": "https://in-toto.io/Statement/v1"}`, "bad\x1b[2J": "",
	} {
		write(name, text)
		sums += fmt.Sprintf("%s  %s\n", files.Sum([]byte(text)), name)
	}
	write("SHA256SUMS", sums)
	code, out, errs := verify()
	require.Equal(t, cli.ExitFine, code, "%s%s", out, errs)
	require.Equal(t, dir+": 3 files, 0 of them modules and 0 eBPF objects, are as listed\nThe files are not signed.\n", out)

	public, _, err := lib.GenerateKey(nil)
	require.NoError(t, err)
	text, err := public.MarshalText()
	require.NoError(t, err)
	pub := filepath.Join(t.TempDir(), "minisign.pub")
	require.NoError(t, os.WriteFile(pub, text, 0o600))
	code, out, _ = verify("--minisign-pub", pub)
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, out, fmt.Sprintf("SHA256SUMS: signature: not signed (want SHA256SUMS.minisig by key %016X)\n", public.ID()))

	write("bad\x1b[2J", "changed")
	code, out, errs = verify()
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, out, "bad.[2J: sha256: is ")
	require.Contains(t, out, dir+": 1 wrong\n")
	require.NotContains(t, out+errs, "\x1b")

	_, keyFile, certFile := modsigntest.Key(t, "modules")
	for want, args := range map[string][]string{
		"--minisign-pub: " + certFile + ": not a public key of minisign": {"--minisign-pub", certFile},
		"--module-cert: " + keyFile + ": no certificate in it":           {"--module-cert", keyFile},
	} {
		code, _, errs = verify(args...)
		require.Equal(t, cli.ExitUsage, code)
		require.Contains(t, errs, want)
	}
	code, _, errs = verify("--module-cert", "none")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Contains(t, errs, "none: no such file or directory")
}
