// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
)

// Special rounds. In noValues all params of variable size are empty (numbers keep
// their values: sysdig and tshark do not accept all empty numbers, and drivers do not
// send any). In highest plain numbers have their highest bit set.
const (
	noValues = 3
	highest  = 4
)

// makeCapture writes several events, with different values, of every type that libs
// 0.23 shows.
func makeCapture(path string) error {
	state := &proc.State{
		Machine: proc.Machine{NumCPUs: 4, Memory: 1 << 33, Hostname: "made", BootTime: 1_699_999_000e9},
		Threads: []proc.Thread{{TID: 100, PID: 100, SID: 100, VPGID: 100, PGID: 100, VTID: 100, VPID: 100, Comm: "made", Exe: "made", CWD: "/", FDLimit: 1024}},
	}
	w, err := savefile.Create(path, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: state}})
	if err != nil {
		return err
	}
	ts := uint64(1_700_000_000e9)
	var b event.Builder
	for info := range event.All() {
		if info.Flags&(event.Unused|event.OldVersion) != 0 || info.Code >= sysdigTypes || info.Source&(event.SourceSyscall|event.SourceTracepoint) == 0 {
			continue
		}
		for round := range highest + 1 {
			ts += 1001
			b.Begin(info.Code, ts, 100, len(info.Params))
			for i := range info.Params {
				b.Add(value(&info.Params[i], i, round))
			}
			raw, err := b.End()
			if err != nil {
				return err
			}
			var ev event.Event
			if err := ev.Reset(raw, round); err != nil {
				return err
			}
			if err := w.Write(&ev); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// value returns a param's value: small numbers that differ, so that a wrong order of
// params is visible.
func value(p *event.ParamInfo, i, round int) []byte {
	n := uint64(10*i + round)
	if p.Names != nil && len(p.Names.Values) > 0 {
		n = uint64(p.Names.Values[(i+round*3)%len(p.Names.Values)].Value)
	}
	if size, fixed := p.Type.Size(); fixed {
		if round == highest && p.Type <= event.ParamUint64 {
			n |= 1 << (8*size - 1)
		}
		if round == 1 && i == 0 && (p.Type == event.ParamErrno || p.Type == event.ParamFD || p.Type == event.ParamPID) {
			n = ^uint64(1) // -2: ENOENT
		}
		if round == 2 && size == 8 {
			n += 1 << 33 // does not fit a smaller type
		}
		v := binary.LittleEndian.AppendUint64(nil, n)
		return append(v, make([]byte, 8)...)[:size]
	}
	if p.Name == "comm" {
		return []byte("made\x00") // every process has a name
	}
	if round == noValues {
		return nil
	}
	round %= noValues
	switch p.Type {
	case event.ParamSockaddr:
		return [][]byte{
			{2, 192, 0, 2, 7, 0x50, 0}, append([]byte{10, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0x51, 0), append([]byte{1}, "/run/x\x00"...),
		}[round]
	case event.ParamSocktuple:
		return [][]byte{
			{2, 192, 0, 2, 7, 0x50, 0, 198, 51, 100, 1, 0xbb, 1},
			append([]byte{10, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x51, 0}, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x52, 0),
			append(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte{1}, 0xffff888000000800), 0xffff888000000900), "/run/x\x00"...),
		}[round]
	case event.ParamFDList:
		return [][]byte{{0, 0}, {1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0}, {2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0}}[round]
	case event.ParamDyn:
		at := round % len(p.Dyn)
		size, fixed := p.Dyn[at].Type.Size()
		if !fixed {
			return append([]byte{byte(at)}, "bytes"...)
		}
		return append([]byte{byte(at), byte(n)}, make([]byte, size-1)...)
	case event.ParamBytebuf:
		return [][]byte{[]byte("data of it"), {1, 2, 'x', 0xff, 0}, []byte("a\x00b\x00")}[round]
	}
	return append([]byte([]string{"/a/path", "name", ""}[round]), 0)
}
