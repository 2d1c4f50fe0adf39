// SPDX-License-Identifier: Apache-2.0

package tables

// Difference is a deliberate difference from the reference, in words. The zero value is none.
type Difference struct {
	Text string

	// Of says which drivers of the reference differ: "" its module, which can be judged
	// (scaplab matrix --driver kmod=...), OfEBPF only its eBPF driver, OfNewer only
	// versions after that of the module that was judged, OfUnmade those whose calls no case
	// can make.
	Of string
}

// What Difference.Of may be.
const (
	OfEBPF   = "ebpf"
	OfNewer  = "newer"
	OfUnmade = "unmade"
)

// differs reads the keys differs and differs_of.
func (m *mapping) differs() Difference {
	d := Difference{Text: m.text("differs"), Of: m.oneOf("differs_of", []string{OfEBPF, OfNewer, OfUnmade})}
	if d.Of != "" && d.Text == "" {
		m.errorf(m.byKey["differs_of"], "differs_of without differs (it says of which driver that is)")
	}
	return d
}
