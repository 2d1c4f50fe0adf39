// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"strings"
)

// Driver is the name of a driver.
type Driver string

const (
	EBPF Driver = "ebpf"
	Kmod Driver = "kmod"

	Captured Driver = "capture" // whatever made a capture file
)

// Drivers is one driver, or two that capture the same calls to be compared.
type Drivers struct{ A, B Driver } // B is "" if there is one

// The drivers that results may have.
var (
	OnlyEBPF = Drivers{A: EBPF}
	OnlyKmod = Drivers{A: Kmod}
	Both     = Drivers{EBPF, Kmod}

	OnlyCaptured = Drivers{A: Captured}
)

// pairMark separates the names of two drivers.
const pairMark = "="

// ParseDrivers reads "ebpf", "kmod" or "ebpf=kmod".
func ParseDrivers(s string) (Drivers, error) {
	for _, d := range []Drivers{OnlyEBPF, OnlyKmod, Both} {
		if d.String() == s {
			return d, nil
		}
	}
	return Drivers{}, fmt.Errorf("unknown driver %q (known: %s, %s, %s)", s, OnlyEBPF, OnlyKmod, Both)
}

// Pair reports whether there are two drivers.
func (d Drivers) Pair() bool { return d.B != "" }

// All returns the drivers.
func (d Drivers) All() []Driver {
	switch {
	case d.Pair():
		return []Driver{d.A, d.B}
	case d.A != "":
		return []Driver{d.A}
	}
	return nil
}

// Has reports whether x is one of the drivers.
func (d Drivers) Has(x Driver) bool { return x != "" && (d.A == x || d.B == x) }

func (d Drivers) String() string {
	if d.Pair() {
		return string(d.A) + pairMark + string(d.B)
	}
	return string(d.A)
}

// MarshalText implements encoding.TextMarshaler.
func (d Drivers) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It accepts any names; the
// caller rejects unknown ones.
func (d *Drivers) UnmarshalText(b []byte) error {
	a, second, _ := strings.Cut(string(b), pairMark)
	*d = Drivers{Driver(a), Driver(second)}
	return nil
}
