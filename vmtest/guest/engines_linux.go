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

// engines open the drivers, each attached and with nothing of interest but marks.
var engines = map[Driver]func() (engine, error){}

// readTimeout is how long a read waits for an event: the one that ends a case
// is on its way when it is asked for.
const readTimeout = 5 * time.Millisecond

func engineNames() iter.Seq[Driver] { return maps.Keys(engines) }

func newConn(rw io.ReadWriter) Conn { return wire.NewConn(rw) }

func isGarbled(err error) bool {
	var g *wire.GarbledError
	return errors.As(err, &g)
}
