// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// installed writes the tiny program to a path, with the folders above it, and returns its inode.
func installed(path string) (ino int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, tinyELF(), 0o755); err != nil {
		return 0, err
	}
	var st unix.Stat_t
	err = unix.Stat(path, &st)
	return int64(st.Ino), err
}

// inNewRoot executes /program in a process that enter gives another root.
func inNewRoot(root string, enter func() error, fields map[string]any) (any, error) {
	ino, err := installed(filepath.Join(root, "program"))
	if err != nil {
		return nil, err
	}
	pid, err := ran(func() error {
		if err := enter(); err != nil {
			return err
		}
		return execute("/program", "program")
	})
	fields["ino"], fields["inside"], fields["path"] = ino, "/program", filepath.Join(root, "program")
	return executed(pid, err, fields)
}

// execChroot executes a program below a root of its own.
func execChroot(c *Maker, _ []any) (any, error) {
	root := filepath.Join(c.Dir, "root")
	return inNewRoot(root, func() error { return errors.Join(unix.Chroot(root), unix.Chdir("/")) }, map[string]any{})
}

// execPivot executes a program in a mount namespace whose root is another file system.
func execPivot(c *Maker, _ []any) (any, error) {
	outer := filepath.Join(c.Dir, "outer") // the first root of a machine, rootfs, cannot be left: pivot_root leaves this one
	root := filepath.Join(outer, "root")
	for _, dir := range []string{outer, root} {
		if err := errors.Join(os.Mkdir(dir, 0o755), syscall.Mount("tmpfs", dir, "tmpfs", 0, "")); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(root, "old"), 0o755); err != nil {
		return nil, err
	}
	return inNewRoot(root, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := errors.Join(unix.Chroot(outer), unix.Chdir("/")); err != nil {
			return fmt.Errorf("chroot: %w", err)
		}
		if err := unix.PivotRoot("/root", "/root/old"); err != nil {
			return fmt.Errorf("pivot_root: %w", err)
		}
		return errors.Join(unix.Chdir("/"), unix.Unmount("/old", unix.MNT_DETACH))
	}, map[string]any{})
}

// execBind executes a program by the path of a bind mount over an innocent one.
func execBind(c *Maker, _ []any) (any, error) {
	guilty, innocent := filepath.Join(c.Dir, "guilty"), filepath.Join(c.Dir, "bin", "innocent")
	ino, err := installed(guilty)
	if err != nil {
		return nil, err
	}
	if _, err := installed(innocent); err != nil {
		return nil, err
	}
	if err := unix.Mount(guilty, innocent, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	pid, err := ran(func() error { return execute(innocent, "innocent") })
	return executed(pid, err, map[string]any{"ino": ino, "path": innocent})
}

// overlay mounts an overlay of the case's directory, with a program in its lower layer.
func (c *Maker) overlay() (merged string, err error) {
	dir := func(name string) string { return filepath.Join(c.Dir, name) }
	if err := syscall.Mount("tmpfs", c.Dir, "tmpfs", 0, ""); err != nil { // an overlay cannot have one as its upper layer
		return "", err
	}
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(dir(name), 0o755); err != nil {
			return "", err
		}
	}
	if _, err := installed(filepath.Join(dir("lower"), "program")); err != nil {
		return "", err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir("lower"), dir("upper"), dir("work"))
	if err := syscall.Mount("overlay", dir("merged"), "overlay", 0, options); err != nil {
		return "", fmt.Errorf("overlay: %w", err)
	}
	return dir("merged"), nil
}

// execLower executes a program that an image brought, execUpper one that was written to the container.
func execLower(c *Maker, _ []any) (any, error) { return c.execOverlay("program") }
func execUpper(c *Maker, _ []any) (any, error) { return c.execOverlay("dropped") }

func (c *Maker) execOverlay(name string) (any, error) {
	merged, err := c.overlay()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(merged, name)
	if name != "program" {
		if _, err := installed(path); err != nil {
			return nil, err
		}
	}
	pid, err := ran(func() error { return execute(path, name) })
	return executed(pid, err, map[string]any{"path": path})
}

// openUpper opens for writing what an image brought, which copies it up.
func openUpper(c *Maker, _ []any) (any, error) {
	merged, err := c.overlay()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(merged, "program")
	at, err := textAddr(path)
	if err != nil {
		return nil, err
	}
	res, err := sysValue(unix.SYS_OPENAT, dirCWD, at, unix.O_RDWR)
	return acted(map[string]any{"res": res, "path": path}), err
}
