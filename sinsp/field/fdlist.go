// SPDX-License-Identifier: Apache-2.0

package field

import (
	"net/netip"
	"strconv"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var fdlistClass = &Class{
	Name: "fdlist",
	Desc: "the files that a call waits for, such as poll; separated by commas",
	Fields: []Field{
		{Name: "fdlist.nums", Type: String, Format: event.FormatID,
			Desc: "numbers of the descriptors",
			Extract: polled(func(dst []byte, num event.FD, _ *sinsp.FD) ([]byte, bool) {
				return strconv.AppendInt(dst, int64(num), 10), true
			}), Codes: pollCodes},
		{Name: "fdlist.names", Type: String,
			Desc: "fd.name of the descriptors, <NA> for those that are not known or have none",
			Extract: polled(func(dst []byte, _ event.FD, fd *sinsp.FD) ([]byte, bool) {
				n := len(dst)
				if fd != nil {
					dst = fd.AppendName(dst)
				}
				if len(dst) == n {
					dst = append(dst, unavailable...)
				}
				return dst, true
			}), Codes: pollCodes},
		{Name: "fdlist.cips", Type: String,
			Desc:    "addresses of the clients of IP sockets",
			Extract: polled(polledEnd((*sinsp.FD).Client, appendAddr)), Codes: pollCodes},
		{Name: "fdlist.sips", Type: String,
			Desc:    "addresses of the servers of IP sockets",
			Extract: polled(polledEnd((*sinsp.FD).Server, appendAddr)), Codes: pollCodes},
		{Name: "fdlist.cports", Type: String, Format: event.FormatDec,
			Desc:    "ports of the clients of IP sockets",
			Extract: polled(polledEnd((*sinsp.FD).Client, appendPort)), Codes: pollCodes},
		{Name: "fdlist.sports", Type: String, Format: event.FormatDec,
			Desc:    "ports of the servers of IP sockets",
			Extract: polled(polledEnd((*sinsp.FD).Server, appendPort)), Codes: pollCodes},
	},
}

var pollCodes = codes(func(r *roles) bool { return r.polled >= 0 })

// polled makes an extract of what add appends for each file; files for which it
// appends nothing are left out. If all are, the field is missing.
func polled(add func(dst []byte, num event.FD, fd *sinsp.FD) ([]byte, bool)) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		at := rolesOf(ev.Type()).polled
		if at < 0 {
			return false
		}
		list := event.FDList(ev.Param(int(at)))
		b := v.Scratch()
		for i := range list.Len() {
			num, _ := list.At(i)
			n := len(b)
			if n > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = add(b, num, threadFD(ev, num)); !ok {
				b = b[:n]
			}
		}
		return v.SetScratch(b) && len(b) > 0
	}
}

// polledEnd makes an add of [polled] of one end of an IP socket.
func polledEnd(end func(*sinsp.FD) (netip.AddrPort, bool), add func([]byte, netip.AddrPort) []byte) func([]byte, event.FD, *sinsp.FD) ([]byte, bool) {
	return func(dst []byte, _ event.FD, fd *sinsp.FD) ([]byte, bool) {
		if fd == nil || !fd.IP() {
			return dst, false
		}
		addr, ok := end(fd)
		if !ok || !addr.IsValid() {
			return dst, false
		}
		return add(dst, addr), true
	}
}

func appendAddr(dst []byte, a netip.AddrPort) []byte { return a.Addr().AppendTo(dst) }

func appendPort(dst []byte, a netip.AddrPort) []byte {
	return strconv.AppendUint(dst, uint64(a.Port()), 10)
}
