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

func TestAnExcerptIsOfOneCase(t *testing.T) {
	log := "boot\n[    1.0] " + wire.CaseLine + "a/1\n[    1.1] scap: hello\n[    1.2] scap: again\n[    1.3] " + wire.CaseLine + "a/10\n[    1.4] later\n"
	require.Equal(t, "[    1.1] scap: hello\n[    1.2] scap: again", CaseExcerpt(log, "a/1"))
	require.Equal(t, "[    1.4] later", CaseExcerpt(log, "a/10"))
	require.Empty(t, CaseExcerpt(log, "a/2"), "it never began")
	again := log + wire.CaseLine + "a/1\nsaid the second time\n"
	require.Equal(t, "said the second time", CaseExcerpt(again, "a/1"), "when it ran last")
	long := wire.CaseLine + "a/1\n" + strings.Repeat("line\n", 3*excerptLines) + "last\n"
	require.Equal(t, strings.Repeat("line\n", excerptLines-1)+"last", CaseExcerpt(long, "a/1"))
}

func TestTheNameOfACaseIsNoComplaint(t *testing.T) {
	require.Empty(t, Complaint("[    1.2] "+wire.CaseLine+"prctl/BUG: of old\nall is well\n"))
	require.Equal(t, "BUG: scheduling while atomic", Complaint("[    1.2] BUG: scheduling while atomic\n"))
	require.Empty(t, Complaint("[   42.0] rcu: INFO: rcu_sched self-detected stall on CPU\n[   42.1] Call Trace:\n[   42.1]  <IRQ>\n"), "the host was busy")
}
