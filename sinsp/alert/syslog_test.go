// SPDX-License-Identifier: Apache-2.0

//go:build !windows && !plan9

package alert

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/sinsp/rule"
)

func TestSyslogHasThePriorityOfTheRule(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	sink, err := Syslog("udp", server.LocalAddr().String())
	require.NoError(t, err)
	require.Equal(t, "syslog udp:"+server.LocalAddr().String(), sink.Name())
	require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Minute)))
	buf := make([]byte, 1<<16)
	for p := rule.Emergency; p <= rule.Debug; p++ {
		require.NoError(t, sink.Deliver(t.Context(), &Alert{Rule: &rule.Rule{Priority: p}, Line: []byte("an alert")}))
		n, _, err := server.ReadFrom(buf)
		require.NoError(t, err)
		const user = 1 // the facility
		require.Regexp(t, fmt.Sprintf(`^<%d>.* an alert\n$`, 8*user+int(p)), string(buf[:n]))
	}
	require.NoError(t, sink.Close())
}
