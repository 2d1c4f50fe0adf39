// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Address families, as the kernel numbers them everywhere.
const (
	familyUnix = 1
	familyIPv4 = 2
	familyIPv6 = 10
)

// Address is a socket address in the table's notation: "1.2.3.4:5",
// "[::1]:5", "unix:/path", "unix:@name".
type Address struct {
	Family   int
	IP       []byte // 4 or 16
	Port     uint16
	Path     string // unix; an abstract name has no @
	Abstract bool
}

// ParseAddress parses an address.
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		name, abstract := strings.CutPrefix(path, "@")
		return Address{Family: familyUnix, Path: name, Abstract: abstract}, nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return Address{}, fmt.Errorf("bad socket address %q (want 1.2.3.4:5, [::1]:5, unix:/path or unix:@name)", text)
	}
	family := familyIPv4
	if ap.Addr().Is6() {
		family = familyIPv6
	}
	return Address{Family: family, IP: ap.Addr().AsSlice(), Port: ap.Port()}, nil
}

// Wire returns the address as sockaddr params carry it; empty for other families.
func (a Address) Wire() []byte {
	switch a.Family {
	case familyIPv4, familyIPv6:
		b := append([]byte{byte(a.Family)}, a.IP...)
		return binary.NativeEndian.AppendUint16(b, a.Port)
	case familyUnix:
		b := append([]byte{byte(a.Family)}, a.Path...)
		return append(b, 0)
	}
	return []byte{}
}

// patternByte returns the i-th byte of pattern(n). The bytes do not repeat with a page
// or a power of two, and are never 0.
func patternByte(i int) byte { return byte(i%251 + 1) }
