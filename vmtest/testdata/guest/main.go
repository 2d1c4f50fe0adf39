// SPDX-License-Identifier: Apache-2.0

// Command guest is an init for tests of the harness. It misbehaves on request: a case
// named panic crashes the kernel, hang stops answering, and so on.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/wire"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

func run() error {
	for _, m := range []string{"proc", "devtmpfs"} {
		dir := map[string]string{"proc": "/proc", "devtmpfs": "/dev"}[m]
		if err := unix.Mount(m, dir, m, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m, err)
		}
	}
	fd, err := unix.Open(os.Getenv("scaplab_port"), unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("open port: %w", err)
	}
	t := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200}
	t.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &t); err != nil {
		return fmt.Errorf("set raw mode: %w", err)
	}
	port := os.NewFile(uintptr(fd), "port")
	conn := wire.NewConn(port)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	if err := conn.Send(guest.KindHello, guest.Hello{Release: unix.ByteSliceToString(u.Release[:]), Arch: "amd64", Init: true, CPUs: 1}); err != nil {
		return err
	}
	for {
		kind, body, err := conn.Receive()
		if err != nil {
			return err
		}
		switch kind {
		case guest.KindPing:
			err = conn.Send(guest.KindPong, body)
		case guest.KindRun:
			var req guest.RunRequest
			if err = json.Unmarshal(body, &req); err == nil {
				err = serve(conn, port, &req)
			}
		case guest.KindQuit:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func serve(conn *wire.Conn, port *os.File, req *guest.RunRequest) error {
	for _, id := range req.Cases {
		if err := os.WriteFile("/dev/kmsg", []byte("<4>"+wire.CaseLine+id), 0); err != nil {
			return err
		}
		if err := conn.Send(guest.KindStarted, guest.Started{Case: id}); err != nil {
			return err
		}
		if err := unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1); err != nil { // until the record is sent
			return fmt.Errorf("drain: %w", err)
		}
		switch id {
		case "test/panic":
			if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
				return err
			}
		case "test/warn":
			if err := os.WriteFile("/dev/kmsg", []byte("<4>WARNING: possible recursive locking detected"), 0); err != nil {
				return err
			}
		case "test/exit":
			os.Exit(3)
		case "test/gopanic":
			panic("a bug in the guest")
		case "test/hang":
			for {
				time.Sleep(time.Hour)
			}
		case "test/garble":
			if _, err := port.WriteString("text where records belong\n"); err != nil {
				return err
			}
		}
		res := guest.CaseResult{Case: id, Outcome: guest.Ran}
		if id == "test/big" {
			res.Events = [][]byte{make([]byte, 100<<10)}
		}
		if err := conn.Send(guest.KindResult, res); err != nil {
			return err
		}
	}
	return conn.Send(guest.KindDone, guest.Done{Cases: len(req.Cases)})
}
