// SPDX-License-Identifier: Apache-2.0

// Package modsigntest makes keys for tests of signed modules.
package modsigntest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/modsign"
)

// Template returns a certificate of a name as modules are signed with, without a key: as in the kernel's own
// certs/default_x509.genkey.
func Template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(serial),
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
}

// RSA returns a new key with 2048 bits.
func RSA(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(tb, err)
	return key
}

// Files writes a key and its self-signed certificate into files, PEM.
func Files(tb testing.TB, key crypto.Signer, template *x509.Certificate) (keyFile, certFile string) {
	tb.Helper()
	dir := tb.TempDir()
	write := func(name, kind string, der []byte, err error) string {
		require.NoError(tb, err)
		file := filepath.Join(dir, name)
		require.NoError(tb, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	keyFile = write("key.pem", "PRIVATE KEY", der, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(tb, err)
	id := sha256.Sum256(public)
	template.SubjectKeyId = id[:20]
	der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return keyFile, write("cert.pem", "CERTIFICATE", der, err)
}

// Key returns a new key for modules, of a name, and the files it is in.
func Key(tb testing.TB, name string) (key *modsign.Key, keyFile, certFile string) {
	tb.Helper()
	keyFile, certFile = Files(tb, RSA(tb), Template(name, 0x4711))
	key, err := modsign.LoadKey(keyFile, certFile)
	require.NoError(tb, err)
	return key, keyFile, certFile
}
