// SPDX-License-Identifier: Apache-2.0

package minisign_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	lib "aead.dev/minisign"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/testutil"
)

// unasked is the password of a key that has none.
func unasked() ([]byte, error) { return nil, errors.New("nobody should ask") }

// mustKey makes a secret key without a password, and its files.
func mustKey(tb testing.TB) (key *minisign.Key, secret, public string) {
	tb.Helper()
	pub, private, err := lib.GenerateKey(nil)
	require.NoError(tb, err)
	write := func(name string, v interface{ MarshalText() ([]byte, error) }) string {
		text, err := v.MarshalText()
		require.NoError(tb, err)
		file := filepath.Join(tb.TempDir(), name)
		require.NoError(tb, os.WriteFile(file, text, 0o600))
		return file
	}
	secret, public = write("minisign.key", private), write("minisign.pub", pub)
	key, err = minisign.LoadKey(secret, unasked)
	require.NoError(tb, err)
	return key, secret, public
}

func TestASignatureVerifiesWithItsKeyDataAndComment(t *testing.T) {
	key, _, public := mustKey(t)
	pub, err := minisign.LoadPublicKey(public)
	require.NoError(t, err)
	require.True(t, pub.Equal(key.Public()))
	data := []byte("sums\n")
	sig := key.Sign(data, "scaplab 1.2.3")
	require.Equal(t, string(sig), string(key.Sign(data, "scaplab 1.2.3")))
	require.NoError(t, minisign.Verify(pub, data, sig))
	require.ErrorContains(t, minisign.Verify(pub, []byte("sums"), sig), "does not match")
	require.ErrorContains(t, minisign.Verify(pub, data, bytes.Replace(sig, []byte("1.2.3"), []byte("1.2.4"), 1)), "does not match")
	require.ErrorContains(t, minisign.Verify(pub, data, sig[:len(sig)/2]), "not a signature of minisign")
	require.ErrorContains(t, minisign.Verify(pub, data, nil), "not a signature of minisign")
	other, _, _ := mustKey(t)
	require.ErrorContains(t, minisign.Verify(other.Public(), data, sig), "signed with key ")
	require.Panics(t, func() { key.Sign(data, "two\nlines") })
}

func TestFilesThatAreNoKeysAreNamed(t *testing.T) {
	_, secret, public := mustKey(t)
	_, err := minisign.LoadKey(public, unasked)
	require.ErrorContains(t, err, "minisign.pub: not a secret key of minisign: ")
	_, err = minisign.LoadPublicKey(secret)
	require.ErrorContains(t, err, "minisign.key: not a public key of minisign: ")
	_, err = minisign.LoadPublicKey("none")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = minisign.LoadKey("none", unasked)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestThePasswordIsOfTheEnvironment(t *testing.T) {
	t.Setenv("MINISIGN_PASSWORD", "open sesame")
	p, err := minisign.Password()
	require.NoError(t, err)
	require.Equal(t, "open sesame", string(p))
}

func TestTheProgramMinisignAgrees(t *testing.T) {
	program, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("minisign is not installed")
	}
	testutil.SkipIfShort(t, "derives keys from passwords, each with 1 GB of memory")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	mustRun := func(stdin string, args ...string) string {
		cmd := exec.Command(program, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	data := []byte("sums\n")
	require.NoError(t, os.WriteFile(in("SHA256SUMS"), data, 0o600))
	const password = "open sesame"
	typed := func() ([]byte, error) { return []byte(password), nil }
	for name, args := range map[string][]string{"plain": {"-W"}, "encrypted": nil} {
		mustRun(password+"\n"+password+"\n", append([]string{"-G", "-p", in(name + ".pub"), "-s", in(name + ".key")}, args...)...)
		ask := typed
		if name == "plain" {
			ask = unasked
		}
		key, err := minisign.LoadKey(in(name+".key"), ask)
		require.NoError(t, err)
		pub, err := minisign.LoadPublicKey(in(name + ".pub"))
		require.NoError(t, err)
		require.True(t, pub.Equal(key.Public()))

		require.NoError(t, os.WriteFile(in("SHA256SUMS"+minisign.Suffix), key.Sign(data, "scaplab 1.2.3"), 0o600))
		require.Contains(t, mustRun("", "-V", "-H", "-m", in("SHA256SUMS"), "-p", in(name+".pub")), "Trusted comment: scaplab 1.2.3")
		mustRun(password+"\n", "-S", "-m", in("SHA256SUMS"), "-s", in(name+".key"))
		theirs, err := os.ReadFile(in("SHA256SUMS" + minisign.Suffix))
		require.NoError(t, err)
		require.NoError(t, minisign.Verify(pub, data, theirs))
	}
	_, err = minisign.LoadKey(in("encrypted.key"), func() ([]byte, error) { return []byte("wrong"), nil })
	require.ErrorContains(t, err, "encrypted.key: the password does not decrypt this secret key")
	lacks := env.Lacks("no terminal", "set it")
	_, err = minisign.LoadKey(in("encrypted.key"), func() ([]byte, error) { return nil, lacks })
	require.ErrorIs(t, err, lacks)
}

func FuzzVerify(f *testing.F) {
	key, _, _ := mustKey(f)
	data := []byte("sums\n")
	f.Add(key.Sign(data, "scaplab 1.2.3"))
	f.Add(key.Sign(data, ""))
	f.Add([]byte("untrusted comment: \n\ntrusted comment: \n"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		if minisign.Verify(key.Public(), data, sig) == nil {
			require.Error(t, minisign.Verify(key.Public(), []byte("other"), sig))
		}
	})
}
