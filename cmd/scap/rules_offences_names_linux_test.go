// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Addresses that the name server has for names of the rules.
const (
	clusterAddr = "203.0.113.2"
	poolAddr    = "203.0.113.3"
)

var hosts = map[string]string{"kubernetes.default.svc.cluster.local": clusterAddr, "pool.minexmr.com": poolAddr}

// nameServer lets this process ask a name server on loopback, which knows two hosts.
func nameServer(t *testing.T) {
	t.Helper()
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", s.LocalAddr().String())
	}}
	ended := make(chan struct{})
	t.Cleanup(func() {
		net.DefaultResolver = before
		s.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for b := make([]byte, 1500); ; {
			n, from, err := s.ReadFromUDPAddrPort(b)
			if err != nil {
				return // closed
			}
			if a := answer(b[:n]); a != nil {
				_, _ = s.WriteToUDPAddrPort(a, from)
			}
		}
	}()
}

// answer returns the answer to a question (RFC 1035, 4.1).
func answer(question []byte) []byte {
	const header = 12
	if len(question) < header {
		return nil
	}
	var labels []string
	at := header
	for at < len(question) && question[at] != 0 {
		end := at + 1 + int(question[at])
		if end > len(question) {
			return nil
		}
		labels = append(labels, string(question[at+1:end]))
		at = end
	}
	end := at + 5 // the empty label, type and class
	if end > len(question) {
		return nil
	}
	a := append([]byte(nil), question[:end]...)
	for _, count := range []int{6, 8, 10} { // answers, authorities, more
		binary.BigEndian.PutUint16(a[count:], 0)
	}
	a[2], a[3] = 0x81, 0x80 // an answer without error
	addr, known := hosts[strings.ToLower(strings.Join(labels, "."))]
	const typeA = 1
	switch {
	case !known:
		a[3] |= 3 // no such name
	case binary.BigEndian.Uint16(question[at+1:]) == typeA:
		a[7] = 1
		a = append(a, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4) // the name of the question, IN, 60 s, 4 bytes
		a = append(a, netip.MustParseAddr(addr).AsSlice()...)
	}
	return a
}
