// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package kerneltest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/modsign/modsigntest"
)

// root is a certificate authority that a kernel trusts.
type root struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// trust returns an unpacked kernel (vmlinux) with the first of its built-in certificates replaced by one with a new key. Those are
// loaded into the keyring .builtin_trusted_keys at boot (certs/system_keyring.c). The kernel is not a byte longer: the new
// certificate is padded with a comment.
func trust(t *testing.T, image []byte, template *x509.Certificate) ([]byte, root) {
	at, old := builtin(image)
	require.NotNil(t, old, "the kernel has no built-in certificate")
	length := len(old.Raw)
	// A kernel knows the kind of key that it has, and may know no other.
	var key crypto.Signer = modsigntest.RSA(t)
	if old.PublicKeyAlgorithm == x509.ECDSA {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
	}
	template.IsCA, template.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
	pad, der := 1, []byte(nil)
	// The length of an ECDSA signature varies by some bytes, so this ends soon.
	for range 10000 {
		comment, err := asn1.MarshalWithParams(string(bytes.Repeat([]byte{'x'}, max(pad, 1))), "ia5")
		require.NoError(t, err)
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 16, 840, 1, 113730, 1, 13}, Value: comment}} // nsComment
		der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		if len(der) == length {
			break
		}
		pad += length - len(der)
	}
	require.Len(t, der, length, "a certificate does not fit into the place of the built-in one")
	image = bytes.Clone(image)
	copy(image[at:], der)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return image, root{key, cert}
}

// builtin returns the place of the first certificate in a kernel. The kernel wants each to begin with 30 82 (a SEQUENCE
// with a length of two bytes) and to have more than 256 bytes.
func builtin(image []byte) (at int, cert *x509.Certificate) {
	for at := 0; ; at++ {
		next := bytes.Index(image[at:], []byte{0x30, 0x82})
		if next < 0 || at+next+4 > len(image) {
			return 0, nil
		}
		at += next
		length := 4 + int(binary.BigEndian.Uint16(image[at+2:]))
		if length > len(image)-at {
			continue
		}
		if cert, err := x509.ParseCertificate(image[at : at+length]); err == nil {
			return at, cert
		}
	}
}

// issue returns a certificate for a key, DER.
func (r root) issue(t *testing.T, template *x509.Certificate, public any) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, r.cert, public, r.key)
	require.NoError(t, err)
	return der
}
