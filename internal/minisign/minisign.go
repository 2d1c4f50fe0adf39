// SPDX-License-Identifier: Apache-2.0

// Package minisign signs and verifies files as the minisign program does
// (https://jedisct1.github.io/minisign): Ed25519 over the BLAKE2b-512 hash of a file.
package minisign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"aead.dev/minisign"
	"golang.org/x/term"

	"github.com/scaplab/scaplab/internal/env"
)

// Suffix is what minisign appends to the name of a file for that of its signature.
const Suffix = ".minisig"

// PublicKey verifies signatures. It is text in minisign's format.
type PublicKey = minisign.PublicKey

// Key is a secret key.
type Key struct{ private minisign.PrivateKey }

// LoadKey reads a secret key that minisign -G made. If it is encrypted, password is called; see [Password].
func LoadKey(file string, password func() ([]byte, error)) (*Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	k := new(Key)
	if !minisign.IsEncrypted(text) {
		if err := k.private.UnmarshalText(text); err != nil {
			return nil, fmt.Errorf("%s: not a secret key of minisign: %s", file, reason(err))
		}
		return k, nil
	}
	secret, err := password()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if k.private, err = minisign.DecryptKey(string(secret), text); err != nil {
		return nil, fmt.Errorf("%s: the password does not decrypt this secret key", file)
	}
	return k, nil
}

// reason returns an error's text without the library's name in front.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "minisign: ") }

// passwordVariable is the environment variable with the password of a secret key.
const passwordVariable = "MINISIGN_PASSWORD"

// Password returns the password of a secret key: that in the environment variable MINISIGN_PASSWORD, or what the user
// types on the terminal. The error is an [env.Error] if there is neither.
func Password() ([]byte, error) {
	if p, ok := os.LookupEnv(passwordVariable); ok {
		return []byte(p), nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, env.Lacks("the secret key is encrypted, and there is no terminal to ask for its password on", "set "+passwordVariable)
	}
	defer tty.Close()
	fmt.Fprint(tty, "Password of the minisign key: ")
	defer fmt.Fprintln(tty)
	return term.ReadPassword(int(tty.Fd()))
}

// Public returns the key that verifies what k signs.
func (k *Key) Public() PublicKey { return k.private.Public().(PublicKey) }

// Sign returns the signature of a file's data, to be written beside it with [Suffix]. The comment is one line that
// the signature covers. Equal data and comments get equal signatures.
func (k *Key) Sign(data []byte, trustedComment string) []byte {
	if strings.ContainsAny(trustedComment, "\r\n") {
		panic(fmt.Sprintf("minisign: trusted comment %q is not one line", trustedComment))
	}
	r := minisign.NewReader(bytes.NewReader(data))
	if _, err := bytes.NewBuffer(nil).ReadFrom(r); err != nil {
		panic(err) // memory cannot fail
	}
	return r.SignWithComments(k.private, trustedComment, fmt.Sprintf("signature from minisign key %016X", k.private.ID()))
}

// LoadPublicKey reads a public key: minisign's file minisign.pub, or its second line alone.
func LoadPublicKey(file string) (PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return PublicKey{}, err
	}
	var key PublicKey
	if err := key.UnmarshalText(text); err != nil {
		return PublicKey{}, fmt.Errorf("%s: not a public key of minisign: %s", file, reason(err))
	}
	return key, nil
}

// Verify returns an error if sig is not a signature of data by the key. What the comment that is not trusted says does not matter.
func Verify(key PublicKey, data, sig []byte) error {
	var s minisign.Signature
	if err := s.UnmarshalText(sig); err != nil {
		return fmt.Errorf("not a signature of minisign: %s", strings.TrimPrefix(reason(err), "invalid signature: "))
	}
	if s.KeyID != key.ID() {
		return fmt.Errorf("signed with key %016X (want %016X)", s.KeyID, key.ID())
	}
	if !minisign.Verify(key, data, sig) {
		return errors.New("the signature does not match (was the data, or its trusted comment, changed after signing?)")
	}
	return nil
}
