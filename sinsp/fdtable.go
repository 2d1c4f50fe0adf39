// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"iter"
	"slices"

	"github.com/scaplab/scaplab/scap/event"
)

// fdTable has the descriptors of a process. Threads, and processes made with
// CLONE_FILES, share one.
type fdTable struct {
	low  []slot             // by number
	high map[event.FD]*slot // numbers that would make low sparse
	n    int
	refs int

	// noIP tells of the first descriptors that they are known, and no IP sockets: most
	// events ask no more. It is right as long as epoch is that of files.
	noIP  uint64
	epoch uint64
}

// slot is a descriptor. Descriptors, also of several processes, may refer to the same
// file.
type slot struct {
	fd      *FD // nil: none
	cloexec bool
}

// files allocates tables and files, and takes them back.
type files struct {
	freeFDs    []*FD
	freeTables []*fdTable
	freeFS     []*fsInfo
	spare      FD // that no descriptor refers to

	epoch uint64 // how often a file became an IP socket that was none before
}

// becameIP notes that a file, which descriptors refer to, became an IP socket.
func (f *files) becameIP() { f.epoch++ }

// noteNoIP notes that num is a descriptor of the table, and no IP socket.
func (f *files) noteNoIP(t *fdTable, num event.FD) {
	if t.epoch != f.epoch {
		t.noIP, t.epoch = 0, f.epoch
	}
	t.noIP |= 1 << uint64(num) // nothing from 64 on
}

// isNoIP reports whether noteNoIP was called for num and is still right.
func (f *files) isNoIP(t *fdTable, num event.FD) bool {
	return uint64(num) < 64 && t.noIP>>uint64(num)&1 != 0 && t.epoch == f.epoch
}

// changed forgets what is known of the file that num refers to.
func (t *fdTable) changed(num event.FD) { t.noIP &^= 1 << uint64(num) }

// maxFree bounds how many objects of a kind are kept for reuse.
const maxFree = 1 << 12

func recycle[T any](list *[]*T, v *T) {
	if len(*list) < maxFree {
		*list = append(*list, v)
	}
}

func take[T any](list *[]*T) *T {
	if n := len(*list); n > 0 {
		v := (*list)[n-1]
		*list = (*list)[:n-1]
		return v
	}
	return new(T)
}

func (t *fdTable) slot(num event.FD) *slot {
	if t == nil {
		return nil
	}
	if num >= 0 && num < event.FD(len(t.low)) {
		if sl := &t.low[num]; sl.fd != nil {
			return sl
		}
	}
	if t.high != nil {
		return t.high[num]
	}
	return nil
}

func (t *fdTable) get(num event.FD) (fd *FD, cloexec bool) {
	if sl := t.slot(num); sl != nil {
		return sl.fd, sl.cloexec
	}
	return nil, false
}

func (t *fdTable) setCloexec(num event.FD, cloexec bool) {
	if sl := t.slot(num); sl != nil {
		sl.cloexec = cloexec
	}
}

func (t *fdTable) len() int {
	if t == nil {
		return 0
	}
	return t.n
}

// all ranges over the descriptors in the order of their numbers. The loop may remove
// the one that it has.
func (t *fdTable) all() iter.Seq2[event.FD, *FD] {
	return func(yield func(event.FD, *FD) bool) {
		if t == nil {
			return
		}
		if len(t.high) == 0 {
			for i := range t.low {
				if fd := t.low[i].fd; fd != nil && !yield(event.FD(i), fd) {
					return
				}
			}
			return
		}
		nums := make([]event.FD, 0, t.n)
		for i := range t.low {
			if t.low[i].fd != nil {
				nums = append(nums, event.FD(i))
			}
		}
		for num := range t.high {
			nums = append(nums, num)
		}
		slices.Sort(nums)
		for _, num := range nums {
			if fd, _ := t.get(num); fd != nil && !yield(num, fd) {
				return
			}
		}
	}
}

// set makes num refer to fd, and takes a reference.
func (s *state) setFD(t *fdTable, num event.FD, fd *FD, cloexec bool) bool {
	fd.refs++
	t.changed(num)
	if sl := t.slot(num); sl != nil {
		old := sl.fd
		sl.fd, sl.cloexec = fd, cloexec
		s.releaseFD(old)
		return true
	}
	if num < 0 || t.n >= s.limits.FDs || s.stats.FDs >= s.limits.AllFDs {
		s.stats.DroppedFDs++
		s.releaseFD(fd)
		return false
	}
	t.n++
	s.stats.FDs++
	switch n := event.FD(len(t.low)); {
	case num < n:
		t.low[num] = slot{fd, cloexec}
	case num < event.FD(2*t.n+16): // at least half of low is used, but for small tables
		if c := event.FD(cap(t.low)); num < c {
			t.low = t.low[:num+1]
			clear(t.low[n:])
		} else {
			t.low = append(t.low, make([]slot, num+1-n)...)
		}
		t.low[num] = slot{fd, cloexec}
	default:
		if t.high == nil {
			t.high = map[event.FD]*slot{}
		}
		t.high[num] = &slot{fd, cloexec}
	}
	return true
}

// newFD makes num a new file, which the caller fills. It returns a file even when the
// table is full, so that the caller need not care.
func (s *state) newFD(t *fdTable, num event.FD, cloexec bool) *FD {
	fd := take(&s.files.freeFDs)
	if t.slot(num) != nil {
		s.stats.ReusedFDs++
	}
	if s.setFD(t, num, fd, cloexec) {
		return fd
	}
	spare := &s.files.spare
	s.dropText(&spare.Path)
	s.dropText(&spare.RawPath)
	*spare = FD{}
	return spare
}

func (s *state) removeFD(t *fdTable, num event.FD) {
	sl := t.slot(num)
	if sl == nil {
		return
	}
	t.changed(num)
	s.releaseFD(sl.fd)
	sl.fd = nil
	if t.high != nil && t.high[num] == sl {
		delete(t.high, num)
	}
	t.n--
	s.stats.FDs--
}

func (s *state) releaseFD(fd *FD) {
	if fd.refs--; fd.refs > 0 {
		return
	}
	s.dropText(&fd.Path)
	s.dropText(&fd.RawPath)
	*fd = FD{}
	recycle(&s.files.freeFDs, fd)
}

func (s *state) newTable() *fdTable {
	t := take(&s.files.freeTables)
	t.refs = 1
	return t
}

// copyTable returns a table with the same descriptors.
func (s *state) copyTable(from *fdTable) *fdTable {
	t := s.newTable()
	if from == nil {
		return t
	}
	if s.stats.FDs+from.n > s.limits.AllFDs {
		s.stats.DroppedFDs += uint64(from.n)
		return t
	}
	t.low = append(t.low[:0], from.low...)
	for i := range t.low {
		if fd := t.low[i].fd; fd != nil {
			fd.refs++
		}
	}
	for num, sl := range from.high {
		if t.high == nil {
			t.high = make(map[event.FD]*slot, len(from.high))
		}
		sl.fd.refs++
		t.high[num] = &slot{sl.fd, sl.cloexec}
	}
	t.n = from.n
	s.stats.FDs += t.n
	return t
}

func (s *state) releaseTable(t *fdTable) {
	if t == nil {
		return
	}
	if t.refs--; t.refs > 0 {
		return
	}
	for i := range t.low {
		if fd := t.low[i].fd; fd != nil {
			s.releaseFD(fd)
		}
	}
	for _, sl := range t.high {
		s.releaseFD(sl.fd)
	}
	s.stats.FDs -= t.n
	low := t.low[:0]
	if cap(low) > 256 {
		low = nil
	}
	*t = fdTable{low: low}
	recycle(&s.files.freeTables, t)
}

// ownTable gives t a table that no other thread shares.
func (s *state) ownTable(t *Thread) {
	if t.files.refs > 1 {
		old := t.files
		t.files = s.copyTable(old)
		s.releaseTable(old)
	}
}

func (s *state) newFS(cwd, root string) *fsInfo {
	fs := take(&s.files.freeFS)
	fs.refs = 1
	s.shareText(&fs.cwd, cwd)
	s.shareText(&fs.root, root)
	return fs
}

func (s *state) releaseFS(fs *fsInfo) {
	if fs == nil {
		return
	}
	if fs.refs--; fs.refs > 0 {
		return
	}
	s.dropText(&fs.cwd)
	s.dropText(&fs.root)
	recycle(&s.files.freeFS, fs)
}

// ownFS gives t a working and a root directory that no other thread shares.
func (s *state) ownFS(t *Thread) {
	if old := t.fs; old != nil && old.refs > 1 {
		t.fs = s.newFS(old.cwd, old.root)
		s.releaseFS(old)
	}
}
