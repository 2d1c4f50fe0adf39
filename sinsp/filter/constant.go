// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/scaplab/scaplab/sinsp/field"
)

// parseInt reads a signed number, decimal or hexadecimal with 0x.
func parseInt(text string) (int64, error) {
	s, base := number(text)
	n, err := strconv.ParseInt(s, base, 64)
	return n, numberError(err, text, "from -9223372036854775808 to 9223372036854775807")
}

// parseUint reads an unsigned number.
func parseUint(text string) (uint64, error) {
	s, base := number(text)
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), base, 64)
	if err != nil && strings.HasPrefix(s, "-") {
		if _, err := strconv.ParseInt(s, base, 64); err == nil {
			return 0, fmt.Errorf("%q is below 0, the values never are", text)
		}
	}
	return n, numberError(err, text, "from 0 to 18446744073709551615")
}

// number returns the digits, with their sign, and their base.
func number(text string) (digits string, base int) {
	s := strings.TrimLeft(text, " \t")
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return "", 10
	}
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		return sign + s[2:], 16
	}
	return sign + s, 10
}

func numberError(err error, text, limits string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is out of range (%s)", text, limits)
	}
	return fmt.Errorf("%q is not a number (such as 42 or 0x2a)", text)
}

// parseDouble reads a decimal number.
func parseDouble(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimLeft(text, " \t"), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number (such as 1.5)", text)
	}
	return n, nil
}

// parseTime reads ns, or a number with a unit.
func parseTime(text string) (uint64, error) {
	n, err := parseUint(text)
	if err == nil {
		return n, nil
	}
	if d, derr := time.ParseDuration(text); derr == nil {
		if d < 0 {
			return 0, fmt.Errorf("%q is below 0, the values never are", text)
		}
		return uint64(d), nil
	}
	if text != "" && (text[0] < '0' || text[0] > '9') {
		return 0, fmt.Errorf("%q is not a time (ns, or a number with a unit such as 10ms)", text)
	}
	return 0, err
}

// parsePort reads a number or the name of a service.
func parsePort(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := parseUint(text); err == nil {
		if n > 65535 {
			return 0, fmt.Errorf("%s is not a port (from 0 to 65535)", text)
		}
		return n, nil
	}
	for _, proto := range []string{"tcp", "udp"} {
		if n, err := net.LookupPort(proto, text); err == nil && text[0] != '-' && text[0] != '+' {
			return uint64(n), nil
		}
	}
	return 0, fmt.Errorf("%q is neither a port nor the name of a service", text)
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err == nil && a.Zone() == "":
		return a.Unmap(), nil
	case strings.Contains(text, "/"):
		return a, fmt.Errorf("%q is a network (fields for networks are fd.net, fd.snet and so on)", text)
	}
	return a, fmt.Errorf("%q is not an IP address", text)
}

func parseNet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if _, aerr := netip.ParseAddr(text); aerr == nil {
			return p, fmt.Errorf("%q is an address (write the length of the network, such as /24)", text)
		}
		return p, fmt.Errorf("%q is not a network (such as 10.0.0.0/8)", text)
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p, nil
}

// resolve returns the addresses of a host.
var resolve = func(name string) ([]netip.Addr, error) {
	texts, err := net.LookupHost(name)
	if err != nil {
		return nil, fmt.Errorf("%q has no address: %v", name, err)
	}
	var addrs []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			addrs = append(addrs, a.WithZone("").Unmap())
		}
	}
	return addrs, nil
}

// values are the constants of a check, parsed for its type.
type values struct {
	texts []string
	nums  []uint64 // Double: as float64 bits
	addrs []netip.Addr
	nets  []netip.Prefix
	hosts []string // whose addresses are not known yet

	lazy bool // see Scope.LazyHosts
}

// parse adds a constant for an operator.
func (v *values) parse(typ field.Type, o op, text string) error {
	var n uint64
	switch typ {
	case field.String, field.Bytes:
		if o == opBContains || o == opBStartsWith {
			raw, err := hex.DecodeString(text)
			if err != nil {
				return fmt.Errorf("%q is not bytes in hexadecimal (such as cafe01)", text)
			}
			text = string(raw)
		}
		v.texts = append(v.texts, text)
		return nil
	case field.Int:
		i, err := parseInt(text)
		if err != nil {
			return err
		}
		n = uint64(i)
	case field.Double:
		f, err := parseDouble(text)
		if err != nil {
			return err
		}
		var fv field.Value
		fv.SetDouble(f)
		n = fv.Num
	case field.Bool:
		switch text {
		case "true":
			n = 1
		case "false":
		default:
			return fmt.Errorf("%q is not a truth value (true or false)", text)
		}
	case field.IP:
		a, err := parseAddr(text)
		v.addrs = append(v.addrs, a)
		return err
	case field.Net:
		p, err := parseNet(text)
		v.nets = append(v.nets, p)
		return err
	case field.Host:
		if a, err := netip.ParseAddr(text); v.lazy && err != nil {
			v.hosts = append(v.hosts, text)
			return nil
		} else if v.lazy {
			v.addrs = append(v.addrs, a.WithZone("").Unmap())
			return nil
		}
		addrs, err := resolve(text)
		v.addrs = append(v.addrs, addrs...)
		return err
	default:
		var err error
		switch typ {
		case field.Port:
			n, err = parsePort(text)
		case field.RelTime, field.AbsTime:
			n, err = parseTime(text)
		default:
			n, err = parseUint(text)
		}
		if err != nil {
			return err
		}
	}
	v.nums = append(v.nums, n)
	return nil
}

// member returns a test that holds for a value that is equal to one of v.
func (v *values) member(typ field.Type) test {
	switch typ {
	case field.String, field.Bytes:
		if len(v.texts) == 1 {
			return textEqual(v.texts[0])
		}
		return newStringSet(v.texts)
	case field.IP, field.Host:
		if v.hosts != nil {
			return newHostSet(v.hosts, v.addrs)
		}
		if len(v.addrs) == 1 {
			return addrEqual(v.addrs[0])
		}
		set := addrSet{}
		for _, a := range v.addrs {
			set[a] = struct{}{}
		}
		return set
	case field.Net:
		return newNetSet(v.nets)
	case field.Double:
		var set doubleSet
		for _, n := range v.nums {
			fv := field.Value{Num: n}
			set = append(set, fv.Float())
		}
		return set
	}
	if len(v.nums) == 1 {
		return numberEqual(v.nums[0])
	}
	set := numberSet{}
	for _, n := range v.nums {
		set[n] = struct{}{}
	}
	return set
}

// single returns the test of an operator for the one constant that v has.
func (v *values) single(typ field.Type, o op) (test, error) {
	switch o {
	case opEqual:
		return v.member(typ), nil
	case opNotEqual:
		return not{v.member(typ)}, nil
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return &numberOrder{typ, o, field.Value{Num: v.nums[0]}}, nil
	}
	text := v.texts[0]
	switch o {
	case opContains, opBContains:
		return textContains(text), nil
	case opIContains:
		folded, _ := lower([]byte(text), nil)
		return textContainsFold(folded), nil
	case opStartsWith, opBStartsWith:
		return textPrefix(text), nil
	case opEndsWith:
		return textSuffix(text), nil
	case opGlob, opIGlob:
		return compileGlob(text, o == opIGlob)
	case opRegex:
		return compileRegex(text)
	}
	panic("operator without a test")
}
