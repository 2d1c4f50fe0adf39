// SPDX-License-Identifier: Apache-2.0

package field

import (
	"net/netip"
	"strconv"

	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
)

// endOf returns an end of the IP socket that a call is about.
type endOf func(ev *sinsp.Event, fd *sinsp.FD) (netip.AddrPort, bool)

// end makes an extract about an end of an IP socket.
func end(find endOf, set func(netip.AddrPort, *Value) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		fd := ev.FD()
		if fd == nil || !fd.IP() {
			return false
		}
		addr, ok := find(ev, fd)
		return ok && set(addr, v)
	}
}

// ends makes an extract about both ends of a connection, or the one of a server.
func ends(set func(netip.AddrPort, *Value) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		v.Clear()
		fd := ev.FD()
		if fd == nil || !fd.IP() {
			return false
		}
		for _, addr := range [...]netip.AddrPort{fd.Src, fd.Dst} {
			if addr.IsValid() && !set(addr, v.Add()) {
				v.drop()
			}
		}
		return len(v.List) > 0
	}
}

func setAddr(a netip.AddrPort, v *Value) bool { return v.SetIP(a.Addr()) }
func setPort(a netip.AddrPort, v *Value) bool { return v.SetUint(uint64(a.Port())) }

// setPortText sets the number: names of services are those of another host.
func setPortText(a netip.AddrPort, v *Value) bool {
	return v.SetScratch(strconv.AppendUint(v.Scratch(), uint64(a.Port()), 10))
}

func client(_ *sinsp.Event, fd *sinsp.FD) (netip.AddrPort, bool) { return fd.Client() }
func server(_ *sinsp.Event, fd *sinsp.FD) (netip.AddrPort, bool) { return fd.Server() }

// connection returns both ends of a connection.
func connection(fd *sinsp.FD) (src, dst netip.AddrPort, ok bool) {
	if src, ok = fd.Client(); !ok {
		return src, dst, false
	}
	dst, ok = fd.Server()
	return src, dst, ok
}

// local returns the client's end if it is on this host, else the server's.
func local(ev *sinsp.Event, fd *sinsp.FD) (netip.AddrPort, bool) {
	src, dst, ok := connection(fd)
	if ok && !onHost(ev, src) {
		return dst, true
	}
	return src, ok
}

func remote(ev *sinsp.Event, fd *sinsp.FD) (netip.AddrPort, bool) {
	src, dst, ok := connection(fd)
	if ok && !onHost(ev, src) {
		return src, true
	}
	return dst, ok
}

func onHost(ev *sinsp.Event, a netip.AddrPort) bool {
	return a.IsValid() && ev.Local(a.Addr())
}

func extractIsServer(ev *sinsp.Event, _ *Arg, v *Value) bool {
	fd := ev.FD()
	if fd == nil {
		return false
	}
	switch fd.Type {
	case proc.FDIPv4Server, proc.FDIPv6Server:
		return v.SetBool(true)
	case proc.FDIPv4, proc.FDIPv6:
		return v.SetBool(onHost(ev, fd.Dst))
	}
	return v.SetBool(false)
}

var l4Names = [...]string{proc.L4TCP: "tcp", proc.L4UDP: "udp", proc.L4ICMP: "icmp", proc.L4Raw: "raw"}

// transport returns the name of an IP socket's transport: that of connections and
// servers, of raw sockets from the start; "" for others.
func transport(fd *sinsp.FD) string {
	if !fd.IP() || int(fd.L4) >= len(l4Names) || fd.Role == sinsp.RoleNone && fd.L4 != proc.L4Raw {
		return ""
	}
	return l4Names[fd.L4]
}

func l4proto(fd *sinsp.FD, v *Value) bool {
	if name := transport(fd); name != "" {
		return v.SetString(name)
	}
	return v.SetString(unavailable)
}

func sockFamily(fd *sinsp.FD, v *Value) bool {
	switch {
	case fd.IP():
		return v.SetString("ip")
	case fd.Type == proc.FDUnix:
		return v.SetString("unix")
	}
	return false
}
