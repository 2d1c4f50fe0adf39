// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// netTable has the sockets of one network namespace by inode.
type netTable struct {
	once    sync.Once
	sockets map[uint64]FD
}

// named gives a socket without a tuple the name that its link in /proc has.
func named(fd FD) FD {
	if fd.Type == FDNetlink || fd.Type == FDUnsupported {
		fd.Name = "socket:[" + strconv.FormatUint(fd.Ino, 10) + "]"
	}
	return fd
}

// netTable returns the sockets of the process's network namespace.
func (p *fdReader) netTable() *netTable {
	if p.net == nil {
		p.net, _ = p.worker.netTable(p.dir)
	}
	return p.net
}

// netTable returns the sockets of the network namespace of the process whose directory is dir, and whether this call read them.
func (w *worker) netTable(dir int) (n *netTable, read bool) {
	ns := string(w.readLink(dir, "ns/net"))
	w.s.mu.Lock()
	n = w.s.nets[ns]
	if n == nil {
		n = &netTable{}
		w.s.nets[ns] = n
	}
	w.s.mu.Unlock()
	n.once.Do(func() {
		n.sockets = w.readSockets(dir)
		connectUnix(n.sockets, unixPeers(dir))
		read = true
	})
	return n, read
}

func (w *worker) readSockets(dir int) map[uint64]FD {
	sockets := map[uint64]FD{}
	file := func(name string) []byte {
		if b := w.readText(dir, "net/"+name); b != nil {
			return b
		}
		return w.s.rootFile("proc/net/" + name)
	}
	for _, f := range []struct {
		name string
		l4   uint8
	}{
		{"raw", L4Raw}, {"raw6", L4Raw}, {"icmp", L4ICMP}, {"icmp6", L4ICMP}, {"udplite", L4UDP}, {"udplite6", L4UDP},
		{"udp", L4UDP}, {"udp6", L4UDP}, {"tcp", L4TCP}, {"tcp6", L4TCP},
	} {
		parseInet(sockets, file(f.name), f.l4)
	}
	parseUnix(sockets, file("unix"))
	parseNetlink(sockets, file("netlink"))
	parsePacket(sockets, file("packet"))
	return sockets
}

// otherSockets looks up the sockets that are not of their process's own network namespace: a process keeps its sockets when
// it moves, and gets others by unix sockets. An inode belongs to one socket of the whole machine.
func (s *scanner) otherSockets(all []process) {
	var tables []*netTable
	for _, n := range s.nets {
		tables = append(tables, n)
	}
	left := 0
	look := func() {
		left = 0
		for i := range all {
			left += all[i].lookUp(tables)
		}
	}
	look()
	w := newWorker(s)
	for i := 0; i < len(all) && left > 0 && !s.stop(); i++ {
		dir, err := w.open(all[i].pid)
		if err != nil {
			continue
		}
		if n, read := w.netTable(dir); read {
			tables = []*netTable{n}
			look()
		}
		unix.Close(dir)
	}
}

// lookUp replaces the sockets of p that are in one of the tables, and returns how many it left.
func (p *process) lookUp(tables []*netTable) int {
	left := p.sockets[:0]
	for _, i := range p.sockets {
		old := &p.thread.FDs[i]
		found := false
		for _, n := range tables {
			if fd, ok := n.sockets[old.Ino]; ok {
				fd.Num, fd.CloseOnExec = old.Num, old.CloseOnExec
				*old, found = named(fd), true
				break
			}
		}
		if !found {
			left = append(left, i)
		}
	}
	p.sockets = left
	return len(left)
}
