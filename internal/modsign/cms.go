// SPDX-License-Identifier: Apache-2.0

package modsign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that modules are signed with
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// contentInfo, signedData and signerInfo are the ASN.1 types of RFC 5652, sections 3, 5.1 and 5.3.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	Content      content
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	Revoked      asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

type content struct {
	Type asn1.ObjectIdentifier
	Data asn1.RawValue `asn1:"optional,explicit,tag:0"`
}

type signerInfo struct {
	Version   int
	Signer    asn1.RawValue // issuerAndSerial, or a subject key identifier as [0]
	Digest    pkix.AlgorithmIdentifier
	Signed    asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
	Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

type algorithm struct {
	hash       crypto.Hash
	oid, ecdsa asn1.ObjectIdentifier
}

// algorithms are the hashes that the kernel knows for modules, and the signatures of each with the kinds of
// keys. RSA has one name for all; its parameters are NULL.
var algorithms = []algorithm{
	{crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
	{crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}},
	{crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}},
}

func digest(h crypto.Hash, data []byte) []byte {
	w := h.New()
	w.Write(data) // cannot fail
	return w.Sum(nil)
}

// message returns the PKCS#7 message that signs data. Its bytes are those of
// `openssl cms -sign -binary -noattr -nocerts -outform DER`.
func (k *Key) message(data []byte) ([]byte, error) {
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.hash == k.Hash })
	if i < 0 {
		return nil, fmt.Errorf("hash %v is none that modules are signed with (known: SHA-256, SHA-384, SHA-512)", k.Hash)
	}
	a := algorithms[i]
	kind := pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
	if _, ok := k.signer.Public().(*ecdsa.PublicKey); ok {
		kind = pkix.AlgorithmIdentifier{Algorithm: a.ecdsa}
	}
	// Without a source of randomness, ECDSA makes the deterministic signature of RFC 6979. That of RSA needs none.
	signature, err := k.signer.Sign(nil, digest(a.hash, data), a.hash)
	if err != nil {
		return nil, err
	}
	signer, err := asn1.Marshal(issuerAndSerial{asn1.RawValue{FullBytes: k.Certificate.RawIssuer}, k.Certificate.SerialNumber})
	if err != nil {
		return nil, err
	}
	hashed := pkix.AlgorithmIdentifier{Algorithm: a.oid}
	return asn1.Marshal(contentInfo{oidSignedData, signedData{
		Version: 1,
		Digests: []pkix.AlgorithmIdentifier{hashed},
		Content: content{Type: oidData},
		Signers: []signerInfo{{Version: 1, Signer: asn1.RawValue{FullBytes: signer}, Digest: hashed, Algorithm: kind, Signature: signature}},
	}})
}

// signature is a parsed PKCS#7 message.
type signature struct {
	signer issuerAndSerial
	keyID  []byte // instead of signer
	hash   crypto.Hash
	ecdsa  bool
	value  []byte
}

// parse reads a PKCS#7 message. It accepts no more than the kernel does of a module (pkcs7_verify in
// crypto/asymmetric_keys, VERIFYING_MODULE_SIGNATURE), and less in what sign-file never writes: several
// signers, and fields that say the same thing in two ways.
func parse(message []byte) (*signature, error) {
	var info contentInfo
	switch rest, err := asn1.Unmarshal(message, &info); {
	case err != nil:
		return nil, fmt.Errorf("signature: not a PKCS#7 message: %w", err)
	case len(rest) > 0:
		return nil, fmt.Errorf("signature: %d bytes follow the PKCS#7 message (want none)", len(rest))
	}
	// The decoder is lax about lengths of explicit tags.
	if again, err := asn1.Marshal(info); err != nil || !bytes.Equal(again, message) {
		return nil, errors.New("signature: the PKCS#7 message is not in DER")
	}
	data := &info.Content
	switch {
	case !info.Type.Equal(oidSignedData) || !data.Content.Type.Equal(oidData):
		return nil, errors.New("signature: the PKCS#7 message is not signed data")
	case len(data.Content.Data.FullBytes) > 0:
		return nil, errors.New("signature: the PKCS#7 message has content of its own (want that of the module)")
	case len(data.Signers) != 1:
		return nil, fmt.Errorf("signature: has %d signers (want 1)", len(data.Signers))
	}
	by := &data.Signers[0]
	switch {
	case len(by.Signed.FullBytes) > 0:
		return nil, errors.New("signature: has signed attributes (want none in a module)")
	case len(data.Digests) != 1 || !data.Digests[0].Algorithm.Equal(by.Digest.Algorithm):
		return nil, errors.New("signature: the PKCS#7 message and its signer name different hashes")
	}
	s := &signature{value: by.Signature}
	for _, a := range algorithms {
		if by.Digest.Algorithm.Equal(a.oid) {
			s.hash, s.ecdsa = a.hash, by.Algorithm.Algorithm.Equal(a.ecdsa)
		}
	}
	switch {
	case s.hash == 0:
		return nil, fmt.Errorf("signature: unknown hash %v (known: SHA-256, SHA-384, SHA-512)", by.Digest.Algorithm)
	case !s.ecdsa && !by.Algorithm.Algorithm.Equal(oidRSA):
		return nil, fmt.Errorf("signature: unknown algorithm %v (known: RSA, and ECDSA of the same hash)", by.Algorithm.Algorithm)
	}
	for _, a := range []pkix.AlgorithmIdentifier{data.Digests[0], by.Digest, by.Algorithm} {
		if len(a.Parameters.FullBytes) > 0 && !bytes.Equal(a.Parameters.FullBytes, asn1.NullBytes) {
			return nil, fmt.Errorf("signature: algorithm %v has parameters (want none, or NULL)", a.Algorithm)
		}
	}
	version := 1
	if by.Signer.Class == asn1.ClassContextSpecific && by.Signer.Tag == 0 && !by.Signer.IsCompound {
		s.keyID, version = by.Signer.Bytes, 3
	} else if rest, err := asn1.Unmarshal(by.Signer.FullBytes, &s.signer); err != nil || len(rest) > 0 {
		return nil, errors.New("signature: its signer is neither an issuer with a number nor a subject key identifier")
	}
	if data.Version != version || by.Version != version {
		return nil, fmt.Errorf("signature: the PKCS#7 message has versions %d and %d (want %d and %[3]d)", data.Version, by.Version, version)
	}
	return s, nil
}

func (s *signature) info() *Signature {
	i := &Signature{Hash: s.hash, Key: "RSA", KeyID: s.keyID}
	if s.ecdsa {
		i.Key = "ECDSA"
	}
	if s.keyID != nil {
		return i
	}
	i.Serial = fmt.Sprintf("%x", s.signer.Serial)
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(s.signer.Issuer.FullBytes, &name); err == nil {
		i.Signer = name.String()
	}
	return i
}

// verify returns an error if the signature is not one of the certificate's key over data.
func (s *signature) verify(data []byte, cert *x509.Certificate) error {
	own := s.keyID != nil && bytes.Equal(s.keyID, cert.SubjectKeyId) ||
		s.keyID == nil && bytes.Equal(s.signer.Issuer.FullBytes, cert.RawIssuer) && s.signer.Serial.Cmp(cert.SerialNumber) == 0
	if !own {
		return fmt.Errorf("signature: is by %v (want %q, certificate %x)", s.info(), cert.Issuer, cert.SerialNumber)
	}
	sum := digest(s.hash, data)
	ok := false
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		ok = !s.ecdsa && rsa.VerifyPKCS1v15(key, s.hash, sum, s.value) == nil
	case *ecdsa.PublicKey:
		ok = s.ecdsa && ecdsa.VerifyASN1(key, sum, s.value)
	default:
		return unknownKey(key)
	}
	if !ok {
		return fmt.Errorf("signature: does not match the module (was either changed after %v signed it?)", s.info())
	}
	return nil
}
