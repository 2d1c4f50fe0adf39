// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/vmtest/wire"
)

// openMailboxes maps the memory that this machine shares with the host, a PCI device (ivshmem) that needs no driver. It makes
// conn use it in both directions.
func openMailboxes(conn *wire.Conn) error {
	devices, err := filepath.Glob("/sys/bus/pci/devices/*")
	if err != nil {
		return err
	}
	for _, dir := range devices {
		if !attribute(dir, "vendor", "0x1af4") || !attribute(dir, "device", "0x1110") {
			continue
		}
		// Firmware may have left the device's memory disabled.
		if err := os.WriteFile(filepath.Join(dir, "enable"), []byte("1"), 0); err != nil {
			return fmt.Errorf("enable the device: %w", err)
		}
		f, err := os.OpenFile(filepath.Join(dir, "resource2"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		mem, err := unix.Mmap(int(f.Fd()), 0, wire.SharedSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map %s: %w", f.Name(), err)
		}
		conn.Writer.Use(wire.NewMailbox(mem[:wire.MailboxSize]))
		conn.Reader.Use(wire.NewMailbox(mem[wire.MailboxSize:]))
		return nil
	}
	return errors.New("no such device")
}

// attribute reports whether a device's attribute has the value.
func attribute(dir, name, value string) bool {
	b, err := os.ReadFile(filepath.Join(dir, name))
	return err == nil && strings.TrimSpace(string(b)) == value
}
