// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// A block is its type, length L, body, up to 3 zero bytes, and L again. L is 12 plus
// the body's length, rounded up to a multiple of 4.
const (
	blockOverhead = 12

	sectionHeader = 0x0a0d0d0a
	byteOrder     = 0x1a2b3c4d
	majorVersion  = 1
	minorVersion  = 2

	machineInfo   = 0x201
	procListV1    = 0x202
	fdListV1      = 0x203
	eventV1       = 0x204
	interfacesV1  = 0x205
	usersV1       = 0x206
	procListV2    = 0x207
	eventFlagsV1  = 0x208
	procListV3    = 0x209
	procListV4    = 0x210
	procListV5    = 0x211
	procListV6    = 0x212
	procListV7    = 0x213
	procListV8    = 0x214
	procListV9    = 0x215
	eventV2       = 0x216
	eventFlagsV2  = 0x217
	fdListV2      = 0x218
	interfacesV2  = 0x219
	usersV2       = 0x220
	eventLarge    = 0x221
	eventFlgLarge = 0x222

	// The limit for blocks that are not of a large kind, without type and length.
	maxSmallBlock = 1 << 16
	// The limit for event blocks of a large kind. Plugins send what they like, some
	// hundred kilobytes.
	maxLargeBlock = 32 << 20
	// Dump flag: the event only updates the state and is not to be shown.
	flagHidden = 1 << 0
)

// aliases are the codes that captures had before the first public release.
var aliases = map[uint32]uint32{
	0x8002abcd: machineInfo,
	0x8000abcd: procListV1,
	0x8001abcd: fdListV1,
	0x8010abcd: eventV1,
	0x8011abcd: interfacesV1,
	0x8012abcd: usersV1,
	0x8013abcd: procListV2,
	0x8014abcd: procListV3,
}

func canonical(t uint32) uint32 {
	if t>>31 != 0 {
		if c, ok := aliases[t]; ok {
			return c
		}
	}
	return t
}

func isEvent(t uint32) bool {
	switch t {
	case eventV1, eventFlagsV1, eventV2, eventFlagsV2, eventLarge, eventFlgLarge:
		return true
	}
	return false
}

var blockNames = map[uint32]string{
	sectionHeader: "section header", machineInfo: "machine info",
	interfacesV1: "interface list v1", interfacesV2: "interface list v2", usersV1: "user list v1", usersV2: "user list v2",
	procListV1: "process list v1", procListV2: "process list v2", procListV3: "process list v3",
	procListV4: "process list v4", procListV5: "process list v5", procListV6: "process list v6",
	procListV7: "process list v7", procListV8: "process list v8", procListV9: "process list v9",
	fdListV1: "fd list v1", fdListV2: "fd list v2",
	eventV1: "event v1", eventFlagsV1: "event with flags v1", eventV2: "event v2", eventFlagsV2: "event with flags v2",
	eventLarge: "large event v2", eventFlgLarge: "large event with flags v2",
}

// blockName returns the name of a block for messages.
func blockName(t uint32) string {
	if name, ok := blockNames[canonical(t)]; ok {
		return name + " block"
	}
	return fmt.Sprintf("block of unknown type %#x", t)
}

// What the section header of a native capture says of its writer: an option of pcapng (shb_userappl, section 4.1 of the
// format), with the version of the schema of all events.
const (
	optionApplication = 4
	schemaPrefix      = "scaplab schema "
	maxOptions        = 4096 // bytes of a section header whose options are looked at
)

// schemaOption returns the options of a section header that state the version of the schema.
func schemaOption(o binary.AppendByteOrder) []byte {
	const text = schemaPrefix + event.OwnSchemaVersion
	b := o.AppendUint16(nil, optionApplication)
	b = o.AppendUint16(b, uint16(len(text)))
	b = append(b, text...)
	b = append(b, make([]byte, -len(text)&3)...)
	return o.AppendUint32(b, 0) // the end of the options
}

var versionRE = regexp.MustCompile(`^[0-9]{1,5}(\.[0-9]{1,5}){2}$`)

// writerSchema returns the version of the schema that options of a section header state; "" if none does.
func writerSchema(options []byte, o binary.ByteOrder) string {
	for len(options) >= 4 {
		code, size := o.Uint16(options), int(o.Uint16(options[2:]))
		options = options[4:]
		if code == 0 || size > len(options) {
			return ""
		}
		if text, ok := strings.CutPrefix(string(options[:size]), schemaPrefix); ok && code == optionApplication {
			if versionRE.MatchString(text) {
				return text
			}
			return ""
		}
		options = options[min(len(options), (size+3)&^3):]
	}
	return ""
}
