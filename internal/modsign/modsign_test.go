// SPDX-License-Identifier: Apache-2.0

package modsign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/modsign/modsigntest"
)

// plain is enough of a module to be signed.
var plain = append([]byte("\x7fELF"), bytes.Repeat([]byte{1, 2, 3}, 1000)...)

const (
	mark    = "~Module signature appended~\n"
	trailer = 12
)

// messageOf returns the PKCS#7 message of a signed module.
func messageOf(signed []byte) []byte {
	return signed[len(plain) : len(signed)-trailer-len(mark)]
}

// withMessage returns a module with a PKCS#7 message.
func withMessage(message []byte) []byte {
	info := []byte{0, 0, 2, 0, 0, 0, 0, 0}
	info = binary.BigEndian.AppendUint32(info, uint32(len(message)))
	return bytes.Join([][]byte{plain, message, info, []byte(mark)}, nil)
}

func curve(tb testing.TB, c elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	require.NoError(tb, err)
	return key
}

func mustRSA(tb testing.TB, bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(tb, err)
	return key
}

func TestASignedModuleVerifiesWithItsCertificateOnly(t *testing.T) {
	for name, signer := range map[string]crypto.Signer{"RSA": modsigntest.RSA(t), "ECDSA": curve(t, elliptic.P256())} {
		for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			t.Run(name+" "+hash.String(), func(t *testing.T) {
				key, err := modsign.LoadKey(modsigntest.Files(t, signer, modsigntest.Template("release", 0x4711)))
				require.NoError(t, err)
				key.Hash = hash
				signed, err := key.Sign(plain)
				require.NoError(t, err)
				again, err := key.Sign(signed)
				require.NoError(t, err)
				require.True(t, bytes.Equal(signed, again), "signing twice is signing once, with the same bytes")
				require.True(t, bytes.Equal(plain, modsign.Strip(signed)))
				require.NoError(t, modsign.Verify(signed, key.Certificate))

				info, err := modsign.Info(signed)
				require.NoError(t, err)
				require.Equal(t, &modsign.Signature{Signer: "CN=release", Serial: "4711", Hash: hash, Key: name}, info)

				other, _, _ := modsigntest.Key(t, "other")
				require.ErrorContains(t, modsign.Verify(signed, other.Certificate), `is by "CN=release", certificate 4711 with `+name)
				require.ErrorContains(t, modsign.Verify(signed, other.Certificate), `(want "CN=other", certificate 4711)`)
				// One that says that it is the same, with another key.
				twin, err := modsign.LoadKey(modsigntest.Files(t, modsigntest.RSA(t), modsigntest.Template("release", 0x4711)))
				require.NoError(t, err)
				require.ErrorContains(t, modsign.Verify(signed, twin.Certificate), "does not match the module")
			})
		}
	}
}

func TestEveryChangedByteIsFound(t *testing.T) {
	key, _, _ := modsigntest.Key(t, "release")
	signed, err := key.Sign(plain)
	require.NoError(t, err)
	for i := range signed {
		if i > 40 && i < len(plain)-40 {
			continue // as those before and behind
		}
		bad := bytes.Clone(signed)
		bad[i] ^= 1
		require.Error(t, modsign.Verify(bad, key.Certificate), "byte %d of %d", i, len(signed))
	}
	for _, cut := range []int{1, len(mark), len(mark) + 1, len(signed) - len(plain)} {
		require.Error(t, modsign.Verify(signed[:len(signed)-cut], key.Certificate), "%d bytes less", cut)
		require.Error(t, modsign.Verify(signed[cut:], key.Certificate), "%d bytes less in front", cut)
	}
}

func TestWhatIsNoSignatureIsSaid(t *testing.T) {
	key, _, _ := modsigntest.Key(t, "release")
	signed, err := key.Sign(plain)
	require.NoError(t, err)
	info := len(signed) - len(mark) - trailer
	change := func(at int, b byte) []byte {
		bad := bytes.Clone(signed)
		bad[at] = b
		return bad
	}
	for want, module := range map[string][]byte{
		"not signed": plain,
		"the module ends within its description (want 12 bytes before the mark)": []byte("\x7fELF" + mark),
		"is of type 1 (want 2, PKCS#7)":                                          change(info+2, 1),
		"is described by 00 00 02 01 00 00 00 00 (want 00 00 02 00 00 00 00 00)": change(info+3, 1),
		fmt.Sprintf("(want less than the %d before it)", info):                   change(info+8, 0xff),
		"not a PKCS#7 message":                                                   withMessage([]byte("nonsense")),
		"1 bytes follow the PKCS#7 message (want none)":                          withMessage(append(bytes.Clone(messageOf(signed)), 0)),
	} {
		require.ErrorContains(t, modsign.Verify(module, key.Certificate), want)
		_, err := modsign.Info(module)
		require.ErrorContains(t, err, want)
	}
	for name, module := range map[string][]byte{"none": plain, "another type": change(info+2, 1), "too long": change(info+8, 0xff)} {
		require.True(t, bytes.Equal(module, modsign.Strip(module)), name)
	}
	require.ErrorIs(t, modsign.Verify(plain, key.Certificate), modsign.ErrNotSigned)
	_, err = key.Sign(change(info+2, 1))
	require.ErrorContains(t, err, "is of type 1", "a broken signature is not buried under another one")
	_, err = key.Sign([]byte("\xfd7zXZ\x00"))
	require.ErrorContains(t, err, "a module is signed before it is compressed")
	key.Hash = crypto.MD5
	_, err = key.Sign(plain)
	require.ErrorContains(t, err, "known: SHA-256, SHA-384, SHA-512")
}

// openssl runs openssl in a directory of its own.
type openssl struct{ dir string }

func mustOpenSSL(t *testing.T) openssl {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	return openssl{t.TempDir()}
}

func (o openssl) run(args ...string) (string, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (o openssl) write(t *testing.T, name string, data []byte) string {
	file := filepath.Join(o.dir, name)
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

func TestOpenSSLMakesTheSameSignature(t *testing.T) {
	o := mustOpenSSL(t)
	key, keyFile, certFile := modsigntest.Key(t, "release")
	o.write(t, "module", plain)
	for hash, name := range map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA512: "sha512"} {
		key.Hash = hash
		signed, err := key.Sign(plain)
		require.NoError(t, err)
		sign := []string{"cms", "-sign", "-binary", "-noattr", "-nocerts", "-md", name, "-outform", "DER", "-in", "module", "-out", "theirs",
			"-signer", certFile, "-inkey", keyFile}
		out, err := o.run(sign...)
		require.NoError(t, err, out)
		theirs, err := os.ReadFile(filepath.Join(o.dir, "theirs"))
		require.NoError(t, err)
		require.Equal(t, theirs, messageOf(signed))
		// The other way to name the signer, which we read only.
		out, err = o.run(append(sign, "-keyid")...)
		require.NoError(t, err, out)
		theirs, err = os.ReadFile(filepath.Join(o.dir, "theirs"))
		require.NoError(t, err)
		require.NoError(t, modsign.Verify(withMessage(theirs), key.Certificate))
		info, err := modsign.Info(withMessage(theirs))
		require.NoError(t, err)
		require.Equal(t, key.Certificate.SubjectKeyId, info.KeyID)
	}
}

func TestOpenSSLVerifiesASignature(t *testing.T) {
	o := mustOpenSSL(t)
	for name, signer := range map[string]crypto.Signer{"RSA": modsigntest.RSA(t), "P-256": curve(t, elliptic.P256()), "P-384": curve(t, elliptic.P384())} {
		keyFile, certFile := modsigntest.Files(t, signer, modsigntest.Template("release", 1))
		key, err := modsign.LoadKey(keyFile, certFile)
		require.NoError(t, err)
		signed, err := key.Sign(plain)
		require.NoError(t, err)
		o.write(t, "signature", messageOf(signed))
		verify := []string{"-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "module", "-certfile", certFile, "-CAfile", certFile,
			"-purpose", "any", "-out", os.DevNull}
		o.write(t, "module", plain)
		for _, program := range []string{"cms", "smime"} {
			out, err := o.run(append([]string{program}, verify...)...)
			require.NoError(t, err, "%s: %s: %s", name, program, out)
		}
		o.write(t, "module", plain[1:])
		out, err := o.run(append([]string{"cms"}, verify...)...)
		require.Error(t, err, out)
	}
}

func TestMessagesThatTheKernelRefusesAreRefused(t *testing.T) {
	o := mustOpenSSL(t)
	key, keyFile, certFile := modsigntest.Key(t, "release")
	_, keyFile2, certFile2 := modsigntest.Key(t, "another")
	o.write(t, "module", plain)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"signed attributes": {[]string{"-nocerts"}, "has signed attributes"},
		"content":           {[]string{"-nocerts", "-noattr", "-nodetach"}, "has content of its own"},
		"two signers":       {[]string{"-nocerts", "-noattr", "-signer", certFile2, "-inkey", keyFile2}, "has 2 signers (want 1)"},
		"an old hash":       {[]string{"-nocerts", "-noattr", "-md", "sha1"}, "unknown hash"},
		"another padding":   {[]string{"-nocerts", "-noattr", "-keyopt", "rsa_padding_mode:pss"}, "unknown algorithm"},
		"a certificate":     {[]string{"-noattr"}, ""},
	} {
		out, err := o.run(append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-in", "module", "-out", "theirs",
			"-signer", certFile, "-inkey", keyFile}, tt.args...)...)
		require.NoError(t, err, "%s: %s", name, out)
		theirs, err := os.ReadFile(filepath.Join(o.dir, "theirs"))
		require.NoError(t, err)
		err = modsign.Verify(withMessage(theirs), key.Certificate)
		if tt.want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, tt.want, name)
		}
	}
}

func TestKeysAreReadInEveryUsualForm(t *testing.T) {
	o := mustOpenSSL(t)
	key, keyFile, certFile := modsigntest.Key(t, "release")
	signed, err := key.Sign(plain)
	require.NoError(t, err)
	read := func(file string) []byte {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		return b
	}
	both := o.write(t, "signing_key.pem", append(read(keyFile), read(certFile)...))
	for _, args := range [][]string{
		{"rsa", "-traditional", "-in", keyFile, "-out", "pkcs1.pem"},
		{"x509", "-in", certFile, "-outform", "DER", "-out", "cert.der"},
		{"rsa", "-aes128", "-passout", "pass:x", "-in", keyFile, "-out", "encrypted.pem"},
		{"rsa", "-aes128", "-passout", "pass:x", "-traditional", "-in", keyFile, "-out", "encrypted1.pem"},
	} {
		out, err := o.run(args...)
		require.NoError(t, err, out)
	}
	in := func(name string) string { return filepath.Join(o.dir, name) }
	for _, files := range [][2]string{{keyFile, certFile}, {both, ""}, {both, both}, {in("pkcs1.pem"), certFile}, {keyFile, in("cert.der")}} {
		key, err := modsign.LoadKey(files[0], files[1])
		require.NoError(t, err)
		again, err := key.Sign(plain)
		require.NoError(t, err)
		require.True(t, bytes.Equal(signed, again))
	}

	_, otherFile, _ := modsigntest.Key(t, "another")
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	edKey, edCert := modsigntest.Files(t, private, modsigntest.Template("ed25519", 1))
	oddFile, _ := modsigntest.Files(t, mustRSA(t, 2560), modsigntest.Template("odd", 1))
	p521File, _ := modsigntest.Files(t, curve(t, elliptic.P521()), modsigntest.Template("P-521", 1))
	garbage := o.write(t, "garbage.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	for want, files := range map[string][2]string{
		"no such file":            {in("none"), certFile},
		"no certificate in it":    {keyFile, ""},
		"no private key in it":    {certFile, certFile},
		"not an X.509":            {keyFile, garbage},
		"encrypted.pem: the priv": {in("encrypted.pem"), certFile},
		"encrypted1.pem: the pri": {in("encrypted1.pem"), certFile},
		"is not the certificate":  {otherFile, certFile},
		"ed25519.PrivateKey is":   {edKey, edCert},
		"an RSA key of 2560 bits": {oddFile, certFile},
		"on curve P-521, which":   {p521File, certFile},
	} {
		_, err := modsign.LoadKey(files[0], files[1])
		require.ErrorContains(t, err, want)
	}
}

// Whatever bytes follow a module: no panic, and what is accepted is the module that was signed.
func FuzzVerify(f *testing.F) {
	key, _, _ := modsigntest.Key(f, "release")
	signed, err := key.Sign(plain)
	require.NoError(f, err)
	message := messageOf(signed)
	f.Add(message)
	f.Add(message[:len(message)-1])
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		module := withMessage(message)
		if modsign.Verify(module, key.Certificate) == nil {
			require.True(t, bytes.Equal(plain, modsign.Strip(module)))
			info, err := modsign.Info(module)
			require.NoError(t, err)
			require.Equal(t, "4711", info.Serial)
		}
		_, _ = modsign.Info(message)
		require.LessOrEqual(t, len(modsign.Strip(message)), len(message))
	})
}
