// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest/wire"
)

func TestConsoleTellsWhyAGuestDied(t *testing.T) {
	text := "[    0.1] booting\n[    1.0] <mod>\n[   12.3][  T77] BUG: kernel NULL pointer dereference, address: 0\n[   12.4] #PF: supervisor\nlast\n"
	require.Equal(t, "BUG: kernel NULL pointer dereference, address: 0", Headline(text))
	require.Equal(t, "[   12.3][  T77] BUG: kernel NULL pointer dereference, address: 0\n[   12.4] #PF: supervisor", excerpt(text, 2))
	require.Empty(t, Headline("all is well\n"))
	require.Equal(t, "b\nc", excerpt("a\nb\nc\n", 2), "without a complaint the last lines")
	require.Equal(t, "plain\ttext\n", cleanConsole([]byte("\x1b[2J\x1b[1;1H\x1bcplain\ttext\r\n\x00\x07")))
}

func TestConsoleKeepsBothEnds(t *testing.T) {
	c := &Console{died: make(chan struct{})}
	c.add([]byte("first line\n"))
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 3 * consoleLimit / len(line) {
		c.add(line)
	}
	c.add([]byte("Kernel panic - not syncing: te"))
	select {
	case <-c.died:
		t.Fatal("the line is not over")
	default:
	}
	c.add([]byte("st\n"))
	<-c.died
	text := c.Text()
	require.True(t, strings.HasPrefix(text, "first line\n"))
	require.True(t, strings.HasSuffix(text, "test\n"))
	require.LessOrEqual(t, len(text), 2*consoleLimit)
}

func TestTheNameOfACaseIsNoComplaint(t *testing.T) {
	require.Empty(t, Complaint("[    1.2] "+wire.CaseLine+"prctl/BUG: of old\nall is well\n"))
	require.Equal(t, "BUG: scheduling while atomic", Complaint("[    1.2] BUG: scheduling while atomic\n"))
	require.Empty(t, Complaint("[   42.0] rcu: INFO: rcu_sched self-detected stall on CPU\n[   42.1] Call Trace:\n[   42.1]  <IRQ>\n"), "the host was busy")
}
