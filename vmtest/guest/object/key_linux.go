// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import "golang.org/x/sys/unix"

// Keys of the process's own keyring are removed with it.

func newKey(_ *Maker, args []any) (any, error) {
	description, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	payload, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	id, err := unix.AddKey("user", description, payload, unix.KEY_SPEC_PROCESS_KEYRING)
	return int64(id), err
}

func newKeyring(_ *Maker, args []any) (any, error) {
	description, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	id, err := unix.AddKey("keyring", description, nil, unix.KEY_SPEC_PROCESS_KEYRING)
	return int64(id), err
}
