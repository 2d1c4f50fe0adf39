// SPDX-License-Identifier: Apache-2.0

package subject

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Layout of the tables in modules of falcosecurity/libs, for 64-bit kernels: struct
// ppm_event_info and struct syscall_evt_pair of its driver/ppm_events_public.h.
const (
	eventTable = "g_event_info"
	callTable  = "g_syscall_table"

	nameSize    = 32
	eventParams = 32                       // places for params
	paramsAt    = nameSize + 4 + 4 + 4 + 4 // after name, category, flags, number of params, padding
	paramSize   = nameSize + 4 + 4 + 8 + 8 // name, type, format, info, number of infos with padding
	eventSize   = paramsAt + eventParams*paramSize
	callSize    = 4 * 4 // flags, enter event, exit event, code of the call
)

// ReadModule reads what a module file says of itself, and its tables, which modules of
// falcosecurity/libs have. origin is where the file is from.
func ReadModule(file, origin string) (*Subject, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := Modinfo(r)
	if err != nil {
		return nil, fmt.Errorf("%s is no kernel module: %w", file, err)
	}
	s := &Subject{Name: info["name"], Version: info["version"], API: info["api_version"], Schema: info["schema_version"], Origin: origin}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%s is no kernel module: %w", file, err)
	}
	if s.Tables, err = readTables(f); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// Modinfo returns what a module file says of itself: the texts key=value of its section .modinfo, in
// which there is a name. Of a key that comes several times, the first counts.
func Modinfo(r io.ReaderAt) (map[string]string, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("it has no section .modinfo")
	}
	text, err := section.Data()
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for field := range bytes.SplitSeq(text, []byte{0}) {
		key, value, _ := strings.Cut(string(field), "=")
		info[key] = cmp.Or(info[key], value)
	}
	if info["name"] == "" {
		return nil, errors.New("its .modinfo has no name")
	}
	return info, nil
}

// readTables returns nil if the module has no tables of these names.
func readTables(f *elf.File) (*Tables, error) {
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	events, err := symbolData(f, symbols, eventTable)
	if err != nil || events == nil {
		return nil, err
	}
	calls, err := symbolData(f, symbols, callTable)
	if err != nil || calls == nil {
		return nil, err
	}
	if len(events)%eventSize != 0 {
		return nil, fmt.Errorf("%s has %d bytes (want a multiple of %d, struct ppm_event_info)", eventTable, len(events), eventSize)
	}
	if len(calls)%callSize != 0 {
		return nil, fmt.Errorf("%s has %d bytes (want a multiple of %d, struct syscall_evt_pair)", callTable, len(calls), callSize)
	}
	t := &Tables{}
	for at := 0; at < len(events); at += eventSize {
		record := events[at : at+eventSize]
		n := f.ByteOrder.Uint32(record[nameSize+8:])
		if n > eventParams {
			return nil, fmt.Errorf("%s: event %d has %d params (want at most %d)", eventTable, len(t.Events), n, eventParams)
		}
		e := Event{Name: text(record)}
		for i := range int(n) {
			e.Params = append(e.Params, text(record[paramsAt+i*paramSize:]))
		}
		t.Events = append(t.Events, e)
	}
	for at := 0; at < len(calls); at += callSize {
		t.Calls = append(t.Calls, Call{Enter: code(f.ByteOrder, calls[at+4:]), Exit: code(f.ByteOrder, calls[at+8:])})
	}
	return t, nil
}

func text(b []byte) string {
	name, _, _ := bytes.Cut(b[:nameSize], []byte{0})
	return string(name)
}

func code(order binary.ByteOrder, b []byte) uint16 { return uint16(order.Uint32(b)) }

// symbolData returns the bytes of a variable, nil if the module has none of that name.
func symbolData(f *elf.File, symbols []elf.Symbol, name string) ([]byte, error) {
	for _, s := range symbols {
		if s.Name != name || s.Section == elf.SHN_UNDEF || int(s.Section) >= len(f.Sections) {
			continue
		}
		data, err := f.Sections[s.Section].Data()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if s.Value > uint64(len(data)) || s.Size > uint64(len(data))-s.Value {
			return nil, fmt.Errorf("%s is outside its section", name)
		}
		return data[s.Value : s.Value+s.Size], nil
	}
	return nil, nil
}
