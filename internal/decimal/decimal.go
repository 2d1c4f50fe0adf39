// SPDX-License-Identifier: Apache-2.0

// Package decimal writes numbers in less time than package strconv does: the digits are
// written where they stay, two at a time.
package decimal

import (
	"math/bits"
	"slices"
)

// pairs has the numbers from 00 to 99.
const pairs = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" + "40414243444546474849" +
	"50515253545556575859" + "60616263646566676869" + "70717273747576777879" + "80818283848586878889" + "90919293949596979899"

// powers has the smallest number of n+1 digits, but for n = 0.
var powers = func() (p [20]uint64) {
	for n, pow := 1, uint64(10); n < len(p); n++ {
		p[n] = pow
		pow *= 10
	}
	return p
}()

// AppendUint appends n.
func AppendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 10:
		return append(dst, '0'+byte(n))
	case n < 100:
		two := 2 * n
		return append(dst, pairs[two], pairs[two+1])
	case n < 10000:
		q := uint32(n) / 100
		high, low := 2*q, 2*(uint32(n)-100*q)
		if q < 10 {
			return append(dst, '0'+byte(q), pairs[low], pairs[low+1])
		}
		return append(dst, pairs[high], pairs[high+1], pairs[low], pairs[low+1])
	}
	size := bits.Len64(n) * 1233 >> 12 // log10(2) is 1233/4096, and a little less
	if n >= powers[size] {
		size++
	}
	at := len(dst)
	dst = slices.Grow(dst, size)[:at+size]
	Put(dst[at:], n)
	return dst
}

// AppendInt appends n.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return AppendUint(append(dst, '-'), -uint64(n))
	}
	return AppendUint(dst, uint64(n))
}

// Put writes the last digits of n to all of dst, with zeros in front.
func Put(dst []byte, n uint64) {
	i := len(dst)
	for ; i >= 2; i -= 2 {
		q := n / 100
		two := 2 * (n - 100*q)
		dst[i-1], dst[i-2] = pairs[two+1], pairs[two]
		n = q
	}
	if i == 1 {
		dst[0] = '0' + byte(n%10)
	}
}
