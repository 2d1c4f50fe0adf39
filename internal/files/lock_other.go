// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package files

import (
	"context"
	"errors"
)

// Lock needs Unix.
func Lock(context.Context, string) (unlock func(), err error) {
	return nil, errors.New("file locks need a Unix system")
}
