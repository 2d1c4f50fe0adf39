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
	"syscall"
	"time"
)

// lockPace is how often a lock is tried that another process has.
const lockPace = 50 * time.Millisecond

// Lock takes an exclusive lock, waiting for it as long as ctx lets it, and
// returns how to give it back.
func Lock(ctx context.Context, name string) (unlock func(), err error) {
	return lock(ctx, name, syscall.LOCK_EX)
}

func lock(ctx context.Context, name string, how int) (unlock func(), err error) {
	for {
		f, err := tryLock(name, how)
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

// Slot takes one of n locks, the files 1 to n of dir, waiting for it as long as ctx lets it, and returns how to give it back. So
// n programs at most do something at once.
func Slot(ctx context.Context, dir string, n int) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for {
		for i := range n {
			f, err := tryLock(filepath.Join(dir, strconv.Itoa(i+1)), syscall.LOCK_EX)
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

// tryLock takes a lock, shared or exclusive. It returns no file if another process has the lock.
func tryLock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		switch err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
		case err == nil:
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
