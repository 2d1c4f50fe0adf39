// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"strings"
)

// Driver is the name of what captures events.
type Driver string

const (
	EBPF Driver = "ebpf"
	Kmod Driver = "kmod"
)

// Drivers is one driver, or two that capture the same calls at once to be compared.
type Drivers struct{ A, B Driver } // B is "" for one

// The drivers that results can be of.
var (
	OnlyEBPF = Drivers{A: EBPF}
	OnlyKmod = Drivers{A: Kmod}
	Both     = Drivers{EBPF, Kmod}
)

// pairMark stands between the names of two drivers.
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

// Pair reports whether there are two.
func (d Drivers) Pair() bool { return d.B != "" }

// All lists them.
func (d Drivers) All() []Driver {
	switch {
	case d.Pair():
		return []Driver{d.A, d.B}
	case d.A != "":
		return []Driver{d.A}
	}
	return nil
}

// Has reports whether x is one of them.
func (d Drivers) Has(x Driver) bool { return x != "" && (d.A == x || d.B == x) }

func (d Drivers) String() string {
	if d.Pair() {
		return string(d.A) + pairMark + string(d.B)
	}
	return string(d.A)
}

// MarshalText implements encoding.TextMarshaler.
func (d Drivers) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The names may be any; those of no
// driver are refused by who is to use them.
func (d *Drivers) UnmarshalText(b []byte) error {
	a, second, _ := strings.Cut(string(b), pairMark)
	*d = Drivers{Driver(a), Driver(second)}
	return nil
}
