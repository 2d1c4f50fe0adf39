// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slack is how far the wall clock may drift from the boot clock before a Watch reports it: ntpd slews it all the time.
	slack = 10 * time.Millisecond
	// period is how often a Watch looks for drift.
	period = time.Second
)

// Watch reports changes of the wall clock until it is closed.
type Watch struct {
	timer *os.File
	done  sync.WaitGroup
}

// NewWatch calls changed, from a goroutine of its own, whenever the wall clock has moved against the boot clock: at once when
// somebody sets it, and when it has drifted by 10 ms. offset is the new [BootOffset], by how far the clock moved.
func NewWatch(changed func(offset uint64, by time.Duration)) (*Watch, error) {
	last, err := BootOffset()
	if err != nil {
		return nil, err
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the clock: %w", err)
	}
	w := &Watch{timer: os.NewFile(uintptr(fd), "timerfd")} // not blocking: the runtime polls it, and Close ends a read
	w.done.Go(func() {
		tick := make([]byte, 8)
		for {
			if err := w.arm(); err != nil {
				return
			}
			// A read is canceled when the clock is set: timerfd_create(2).
			if _, err := w.timer.Read(tick); err != nil && !errors.Is(err, unix.ECANCELED) {
				return
			}
			now, err := BootOffset()
			if err != nil {
				return
			}
			if by := time.Duration(now - last); by <= -slack || by >= slack {
				last = now
				changed(now, by)
			}
		}
	})
	return w, nil
}

func (w *Watch) arm() error {
	raw, err := w.timer.SyscallConn()
	if err != nil {
		return err
	}
	next := unix.NsecToTimespec(time.Now().Add(period).UnixNano())
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &unix.ItimerSpec{Value: next}, nil)
	})
	return errors.Join(err, set)
}

// Close ends the watch. changed is not called any more when it returns.
func (w *Watch) Close() error {
	err := w.timer.Close()
	w.done.Wait()
	return err
}
