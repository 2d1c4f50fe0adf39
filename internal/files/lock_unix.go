// SPDX-License-Identifier: Apache-2.0

//go:build unix

package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// lockPace is how often a lock is tried that another process has.
const lockPace = 50 * time.Millisecond

// Lock takes an exclusive lock, waiting for it as long as ctx lets it, and
// returns how to give it back.
func Lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		f, err := tryLock(name, os.O_RDWR)
		if err != nil {
			return nil, err
		}
		if f != nil {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPace):
		}
	}
}

// TemporaryLock is Lock with a file that is removed when the lock is given back.
func TemporaryLock(ctx context.Context, name string) (unlock func(), err error) {
	release, err := Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	return func() {
		os.Remove(name) // before the lock is free: who waits for this file tries again
		release()
	}, nil
}

// Slot takes one of n locks, the files 1 to n of dir, waiting for it as long as ctx lets it, and returns how to give it back. So
// n programs at most do something at once.
func Slot(ctx context.Context, dir string, n int) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for {
		for i := range n {
			f, err := tryLock(filepath.Join(dir, strconv.Itoa(i+1)), os.O_RDWR)
			if err != nil {
				return nil, err
			}
			if f != nil {
				return func() { f.Close() }, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPace):
		}
	}
}

// TryLock takes an exclusive lock if no other process has it. It reports whether it did. It does not keep the file system from
// being made read-only, as long as the lock may be held.
func TryLock(name string) (unlock func(), free bool, err error) {
	f, err := tryLock(name, os.O_RDONLY)
	if err != nil || f == nil {
		return nil, false, err
	}
	held.Store(f, true)
	return func() { held.Delete(f); f.Close() }, true, nil
}

// held keeps files from being closed by the garbage collector, which would give up their locks.
var held sync.Map

// tryLock takes an exclusive lock. It returns no file if another process has the lock.
func tryLock(name string, mode int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|mode, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		switch err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			if !isAt(f, name) {
				f.Close()
				return nil, nil
			}
			return f, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, nil
		default:
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// isAt reports whether the file of that name is still this one: who had the lock may have removed it.
func isAt(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(name)
	return err == nil && os.SameFile(mine, there)
}
