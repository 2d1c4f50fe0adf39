// SPDX-License-Identifier: Apache-2.0

// Package modsign signs kernel modules in the kernel's own format, and checks such signatures.
//
// A signed module is the module and, behind it, a signature, 12 bytes that describe that, and a
// mark (Documentation/admin-guide/module-signing.rst, scripts/sign-file.c, struct module_signature):
//
//	module | PKCS#7 message, DER | 0, 0, 2, 0, 0, 0, 0, 0, length of the message (32 bits, big-endian) | "~Module signature appended~\n"
//
// The message is a SignedData (RFC 5652) without content, certificates and signed attributes: it is
// over the bytes of the module itself.
package modsign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

// The end of a signed module.
const (
	mark      = "~Module signature appended~\n"
	trailer   = 12 // struct module_signature
	atIDType  = 2  // in it
	atLength  = 8
	idTypeCMS = 2 // PKEY_ID_PKCS7
)

// ErrNotSigned says that a module has no signature.
var ErrNotSigned = errors.New("not signed")

// split returns a module without its signature, and the PKCS#7 message. The error wraps
// [ErrNotSigned] if there is none.
func split(module []byte) (unsigned, message []byte, err error) {
	rest, ok := bytes.CutSuffix(module, []byte(mark))
	if !ok {
		return nil, nil, ErrNotSigned
	}
	if len(rest) < trailer {
		return nil, nil, fmt.Errorf("signature: the module ends within its description (want %d bytes before the mark)", trailer)
	}
	rest, info := rest[:len(rest)-trailer], rest[len(rest)-trailer:]
	length := binary.BigEndian.Uint32(info[atLength:])
	if info[atIDType] != idTypeCMS {
		return nil, nil, fmt.Errorf("signature: is of type %d (want %d, PKCS#7)", info[atIDType], idTypeCMS)
	}
	if want := [atLength]byte{atIDType: idTypeCMS}; !bytes.Equal(info[:atLength], want[:]) {
		return nil, nil, fmt.Errorf("signature: is described by % x (want % x)", info[:atLength], want)
	}
	if uint64(length) >= uint64(len(rest)) {
		return nil, nil, fmt.Errorf("signature: has %d bytes (want less than the %d before it)", length, len(rest))
	}
	at := len(rest) - int(length)
	return rest[:at:at], rest[at:], nil
}

// Strip returns a module without its signature. A module that has none, or one that the kernel
// would not find, is returned as it is.
func Strip(module []byte) []byte {
	unsigned, _, err := split(module)
	if err != nil {
		return module
	}
	return unsigned
}

// Sign returns the module with a signature by the key. It replaces one that the module has. Equal
// modules get equal signatures.
func (k *Key) Sign(module []byte) ([]byte, error) {
	unsigned, _, err := split(module)
	switch {
	case errors.Is(err, ErrNotSigned):
		unsigned = module
	case err != nil:
		return nil, err
	}
	if !bytes.HasPrefix(unsigned, []byte("\x7fELF")) {
		return nil, errors.New("not a module: not an ELF file (a module is signed before it is compressed)")
	}
	message, err := k.message(unsigned)
	if err != nil {
		return nil, err
	}
	var info [trailer]byte
	info[atIDType] = idTypeCMS
	binary.BigEndian.PutUint32(info[atLength:], uint32(len(message)))
	return bytes.Join([][]byte{unsigned, message, info[:], []byte(mark)}, nil), nil
}

// Verify returns an error if a module is not signed with the key of the certificate, in a way that the
// kernel accepts. It wraps [ErrNotSigned] if there is no signature. As in the kernel, the
// certificate's dates and uses do not matter.
func Verify(module []byte, cert *x509.Certificate) error {
	unsigned, message, err := split(module)
	if err != nil {
		return err
	}
	s, err := parse(message)
	if err != nil {
		return err
	}
	return s.verify(unsigned, cert)
}

// Signature is what a module's signature says of itself.
type Signature struct {
	Signer string      // the issuer of the signer's certificate, as an RFC 2253 name; "" if KeyID names the signer
	Serial string      // number of the certificate, in hex
	KeyID  []byte      // subject key identifier of the certificate, instead of Signer and Serial
	Hash   crypto.Hash // SHA-256, SHA-384 or SHA-512
	Key    string      // kind of the key: RSA or ECDSA
}

func (s *Signature) String() string {
	who := fmt.Sprintf("%q, certificate %s", s.Signer, s.Serial)
	if s.KeyID != nil {
		who = fmt.Sprintf("key %x", s.KeyID)
	}
	return fmt.Sprintf("%s with %s and %v", who, s.Key, s.Hash)
}

// Info returns what the signature of a module says of itself; it verifies nothing. The error wraps
// [ErrNotSigned] if there is none.
func Info(module []byte) (*Signature, error) {
	_, message, err := split(module)
	if err != nil {
		return nil, err
	}
	s, err := parse(message)
	if err != nil {
		return nil, err
	}
	return s.info(), nil
}
