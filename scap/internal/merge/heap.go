// SPDX-License-Identifier: Apache-2.0

// Package merge orders the heads of several sources of events.
package merge

// Heap is a binary heap of numbered heads (of sources, of rings) by timestamp. Heads
// of equal timestamps are ordered by number, so that the result of a merge depends
// on its input only. The zero value is empty.
type Heap struct {
	heap []head
}

// New returns an empty heap with room for n heads.
func New(n int) Heap { return Heap{make([]head, 0, n)} }

type head struct {
	ts  uint64
	num int
}

func (a head) before(b head) bool { return a.ts < b.ts || a.ts == b.ts && a.num < b.num }

// Len returns the number of heads.
func (o *Heap) Len() int { return len(o.heap) }

// Reset removes all heads.
func (o *Heap) Reset() { o.heap = o.heap[:0] }

// Min returns the number of the head with the lowest timestamp; the heap must not be
// empty.
func (o *Heap) Min() int { return o.heap[0].num }

// Push adds head num.
func (o *Heap) Push(num int, ts uint64) {
	o.heap = append(o.heap, head{ts, num})
	i := len(o.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !o.heap[i].before(o.heap[up]) {
			break
		}
		o.heap[i], o.heap[up] = o.heap[up], o.heap[i]
		i = up
	}
}

// Fix changes the lowest head's timestamp to ts.
func (o *Heap) Fix(ts uint64) {
	o.heap[0].ts = ts
	o.down()
}

// Pop removes the lowest head.
func (o *Heap) Pop() {
	last := len(o.heap) - 1
	o.heap[0] = o.heap[last]
	o.heap = o.heap[:last]
	o.down()
}

func (o *Heap) down() {
	h := o.heap
	for i := 0; ; {
		low := i
		if l := 2*i + 1; l < len(h) && h[l].before(h[low]) {
			low = l
		}
		if r := 2*i + 2; r < len(h) && h[r].before(h[low]) {
			low = r
		}
		if low == i {
			return
		}
		h[i], h[low] = h[low], h[i]
		i = low
	}
}
