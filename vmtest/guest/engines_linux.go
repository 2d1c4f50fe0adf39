// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"io"
	"iter"
	"maps"
	"time"

	"github.com/scaplab/scaplab/vmtest/wire"
)

// engines open the drivers. They are attached and select nothing but marks.
var engines = map[Driver]func() (engine, error){}

// readTimeout is the time that a read waits for an event. The event that ends a case
// was already made when the read begins.
const readTimeout = 5 * time.Millisecond

func engineNames() iter.Seq[Driver] { return maps.Keys(engines) }

func newConn(rw io.ReadWriter) *wire.Conn { return wire.NewConn(rw) }

func isGarbled(err error) bool {
	var g *wire.GarbledError
	return errors.As(err, &g)
}
