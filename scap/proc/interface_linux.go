// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// interfaces returns the addresses of all interfaces, IPv4 first. Below another root
// they are the addresses that its first process sees.
func (s *scanner) interfaces() []Interface {
	if s.root != "/" {
		return append(s.interfaces4(), s.interfaces6()...)
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var v4, v6 []Interface
	for _, nif := range all {
		addrs, _ := nif.Addrs()
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			in := interfaceOf(nif.Name, prefix, nif.Flags&net.FlagBroadcast != 0)
			in.Speed = s.speed(nif.Name)
			if in.Addr.Is4() {
				v4 = append(v4, in)
			} else {
				v6 = append(v6, in)
			}
		}
	}
	return append(v4, v6...)
}

// speed returns the speed that the driver reports, in Mbit/s; 0 if it is not known.
func (s *scanner) speed(name string) uint64 {
	v, err := strconv.ParseInt(strings.TrimSpace(string(s.rootFile("sys/class/net/"+name+"/speed"))), 10, 64)
	if err != nil || v < 0 {
		return 0
	}
	return uint64(v)
}

func interfaceOf(name string, prefix netip.Prefix, broadcasts bool) Interface {
	size := prefix.Addr().BitLen() / 8
	mask := net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())
	in := Interface{Name: name, Addr: prefix.Addr().WithZone("")}
	in.Netmask, _ = netip.AddrFromSlice(mask)
	broadcast := make([]byte, size)
	if size == 4 && broadcasts {
		for i, b := range in.Addr.AsSlice() {
			broadcast[i] = b | ^mask[i]
		}
	}
	in.Broadcast, _ = netip.AddrFromSlice(broadcast)
	return in
}

func (s *scanner) initNet(name string) []byte {
	if b := s.rootFile("proc/1/net/" + name); b != nil {
		return b
	}
	return s.rootFile("proc/net/" + name)
}

// interfaces6 reads if_inet6: address, index, prefix length, scope, flags, name.
func (s *scanner) interfaces6() (out []Interface) {
	for _, l := range strings.Split(string(s.initNet("if_inet6")), "\n") {
		f := strings.Fields(l)
		if len(f) < 6 {
			continue
		}
		raw, err := hex.DecodeString(f[0])
		bits, err2 := strconv.ParseUint(f[2], 16, 8)
		addr, ok := netip.AddrFromSlice(raw)
		if err != nil || err2 != nil || !ok || bits > 128 {
			continue
		}
		in := interfaceOf(f[5], netip.PrefixFrom(addr, int(bits)), false)
		in.Speed = s.speed(f[5])
		out = append(out, in)
	}
	return out
}

// interfaces4 finds the local addresses in the routing tables, which do not name
// interfaces, and assigns each to the interface whose network contains it.
func (s *scanner) interfaces4() (out []Interface) {
	type route struct {
		name   string
		prefix netip.Prefix
	}
	routes := []route{{"lo", netip.MustParsePrefix("127.0.0.0/8")}}
	for _, l := range strings.Split(string(s.initNet("route")), "\n") {
		f := strings.Fields(l)
		if len(f) < 8 {
			continue
		}
		dest, ok1 := hexAddr([]byte(f[1] + ":0"))
		mask, ok2 := hexAddr([]byte(f[7] + ":0"))
		if !ok1 || !ok2 || mask.Addr().IsUnspecified() {
			continue
		}
		ones, _ := net.IPMask(mask.Addr().AsSlice()).Size()
		routes = append(routes, route{f[0], netip.PrefixFrom(dest.Addr(), ones)})
	}
	seen := map[netip.Addr]bool{}
	addr := netip.Addr{}
	for _, l := range strings.Split(string(s.initNet("fib_trie")), "\n") {
		l = strings.TrimSpace(l)
		if rest, ok := strings.CutPrefix(l, "|-- "); ok {
			addr, _ = netip.ParseAddr(rest)
			continue
		}
		if !strings.HasPrefix(l, "/32 host LOCAL") || !addr.Is4() || seen[addr] {
			continue
		}
		seen[addr] = true
		for _, r := range routes {
			if r.prefix.Contains(addr) {
				in := interfaceOf(r.name, netip.PrefixFrom(addr, r.prefix.Bits()), r.name != "lo")
				in.Speed = s.speed(r.name)
				out = append(out, in)
				break
			}
		}
	}
	return out
}
