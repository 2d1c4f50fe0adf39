// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/scaplab/scaplab/sinsp/field"
)

// hostSet is the addresses of hosts that have names. They are asked for when the first
// event needs them, in the background, and again after hostAge: until the first answer no
// address is in the set.
type hostSet struct {
	names  []string
	fixed  []netip.Addr
	addrs  atomic.Pointer[addrSet]
	expire atomic.Int64 // in ns of the clock
	busy   atomic.Bool
}

const hostAge = 5 * time.Minute

func newHostSet(names []string, fixed []netip.Addr) *hostSet {
	s := &hostSet{names: names, fixed: fixed}
	s.store(nil)
	return s
}

func (s *hostSet) store(addrs []netip.Addr) {
	set := addrSet{}
	for _, list := range [][]netip.Addr{s.fixed, addrs} {
		for _, a := range list {
			set[a] = struct{}{}
		}
	}
	s.addrs.Store(&set)
}

func (s *hostSet) match(v *field.Value) bool {
	if now := time.Now().UnixNano(); now >= s.expire.Load() && s.busy.CompareAndSwap(false, true) {
		go s.ask()
	}
	return s.addrs.Load().match(v)
}

// ask asks for the addresses. Those of a host that nobody knows are none.
func (s *hostSet) ask() {
	defer s.busy.Store(false)
	var all []netip.Addr
	for _, name := range s.names {
		if addrs, err := resolve(name); err == nil {
			all = append(all, addrs...)
		}
	}
	s.store(all)
	s.expire.Store(time.Now().Add(hostAge).UnixNano())
}
