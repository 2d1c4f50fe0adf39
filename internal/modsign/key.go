// SPDX-License-Identifier: Apache-2.0

package modsign

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Key is a private key and its certificate.
type Key struct {
	Certificate *x509.Certificate
	Hash        crypto.Hash // that modules are signed with: SHA-256, which every kernel that checks signatures has, SHA-384 or SHA-512
	signer      crypto.Signer
}

// LoadKey reads a private key (PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted; RSA or ECDSA, of a size that kernels take) and its X.509 certificate (PEM
// or DER). If certFile is "", the certificate is in keyFile, too, as in certs/signing_key.pem of a kernel tree.
func LoadKey(keyFile, certFile string) (*Key, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	cert, err := LoadCertificate(cmp.Or(certFile, keyFile))
	if err != nil {
		return nil, err
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s: is not the certificate of the key in %s (%q, number %x)", cmp.Or(certFile, keyFile), keyFile, cert.Subject, cert.SerialNumber)
	}
	return &Key{Certificate: cert, Hash: crypto.SHA256, signer: signer}, nil
}

// LoadCertificate reads an X.509 certificate, PEM or DER: the first of the file, which may have other things.
func LoadCertificate(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	der := text
	if bytes.Contains(text, []byte("-----BEGIN ")) {
		block := find(text, func(kind string) bool { return kind == "CERTIFICATE" })
		if block == nil {
			return nil, fmt.Errorf("%s: no certificate in it (want a PEM block CERTIFICATE)", file)
		}
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: not an X.509 certificate, PEM or DER: %w", file, err)
	}
	return cert, nil
}

// find returns the first PEM block of a kind, or nil.
func find(text []byte, wanted func(kind string) bool) *pem.Block {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil || wanted(block.Type) {
			return block
		}
	}
}

func parseKey(text []byte) (crypto.Signer, error) {
	parsers := map[string]func([]byte) (any, error){
		"PRIVATE KEY":     x509.ParsePKCS8PrivateKey,
		"RSA PRIVATE KEY": func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		"EC PRIVATE KEY":  func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
		"ENCRYPTED PRIVATE KEY": func([]byte) (any, error) {
			return nil, errors.New("the private key is encrypted (want it in the clear: openssl pkey -in FILE -out FILE)")
		},
	}
	block := find(text, func(kind string) bool { return parsers[kind] != nil })
	if block == nil {
		return nil, errors.New("no private key in it (want a PEM block PRIVATE KEY)")
	}
	if block.Headers["DEK-Info"] != "" { // encrypted in the old way
		block.Type = "ENCRYPTED PRIVATE KEY"
	}
	key, err := parsers[block.Type](block.Bytes)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		switch bits := key.N.BitLen(); bits {
		case 2048, 3072, 4096: // rsa_check_key_length in crypto/rsa.c
			return key, nil
		default:
			return nil, fmt.Errorf("an RSA key of %d bits, which kernels do not take or is too short (want 2048, 3072 or 4096)", bits)
		}
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() {
			return key, nil
		}
		return nil, fmt.Errorf("an ECDSA key on curve %s, which not every kernel that has ECDSA takes (want P-256 or P-384)", key.Curve.Params().Name)
	}
	return nil, unknownKey(key)
}

func unknownKey(key any) error {
	return fmt.Errorf("a key of type %T is none that modules are signed with (known: RSA, ECDSA)", key)
}
