// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// Defaults of compression. Large members compress better; small ones lose less in a
// crash. Files of level 6 are a fifth smaller than those of level 3, for a third more
// processor time.
const (
	memberSize   = 1 << 20
	defaultLevel = 6
)

// parallelGzip compresses several gzip members at the same time and writes them in
// order. Each member of a stream is complete in itself, so a crash loses the last
// ones only.
type parallelGzip struct {
	out     io.Writer
	level   int
	pending []byte
	queue   chan *member // in order; the writing goroutine takes from it
	free    sync.Pool
	done    chan struct{}
	written atomic.Int64
	whole   atomic.Int64 // the part of written that is whole members

	mu  sync.Mutex
	err error
}

// member is a gzip member while it is compressed.
type member struct {
	in    []byte
	out   bytes.Buffer
	gz    *gzip.Writer
	ready chan error
}

func newParallelGzip(out io.Writer, level int) (*parallelGzip, error) {
	if level == 0 {
		level = defaultLevel
	}
	if _, err := gzip.NewWriterLevel(io.Discard, level); err != nil {
		return nil, err
	}
	z := &parallelGzip{out: out, level: level, queue: make(chan *member, runtime.GOMAXPROCS(0)), done: make(chan struct{})}
	go z.drain()
	return z, nil
}

func (z *parallelGzip) failure() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.err
}

// write takes whole blocks. The error may be from an earlier call.
func (z *parallelGzip) write(p []byte) error {
	z.pending = append(z.pending, p...)
	if len(z.pending) >= memberSize {
		z.compress()
	}
	return z.failure()
}

// compress queues the pending bytes as one member.
func (z *parallelGzip) compress() {
	m, _ := z.free.Get().(*member)
	if m == nil {
		gz, _ := gzip.NewWriterLevel(nil, z.level) // newParallelGzip has checked the level
		m = &member{gz: gz, ready: make(chan error, 1)}
	}
	m.in, z.pending = z.pending, m.in[:0]
	z.queue <- m // waits while all processors are busy
	go func() {
		m.out.Reset()
		m.gz.Reset(&m.out)
		_, err := m.gz.Write(m.in)
		if err == nil {
			err = m.gz.Close()
		}
		m.ready <- err
	}()
}

func (z *parallelGzip) drain() {
	defer close(z.done)
	for m := range z.queue {
		err := <-m.ready
		if err == nil && z.failure() == nil {
			var n int
			n, err = z.out.Write(m.out.Bytes())
			z.written.Add(int64(n))
			if err == nil {
				z.whole.Add(int64(n))
			}
		}
		if err != nil {
			z.mu.Lock()
			if z.err == nil {
				z.err = err
			}
			z.mu.Unlock()
		}
		z.free.Put(m)
	}
}

// flush queues the pending bytes, without waiting for their compression.
func (z *parallelGzip) flush() error {
	if len(z.pending) > 0 {
		z.compress()
	}
	return z.failure()
}

func (z *parallelGzip) close() error {
	err := z.flush()
	close(z.queue)
	<-z.done
	if err == nil {
		err = z.failure()
	}
	return err
}
