// SPDX-License-Identifier: Apache-2.0

package decimal

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// numbers are those around each power of two and of ten.
func numbers() (list []uint64) {
	for shift := range 64 {
		list = append(list, 1<<shift-1, 1<<shift, 1<<shift+1)
	}
	for pow := uint64(1); ; pow *= 10 {
		list = append(list, pow-1, pow, pow+1)
		if pow > math.MaxUint64/10 {
			return append(list, math.MaxUint64)
		}
	}
}

func TestNumbersAreThoseOfStrconv(t *testing.T) {
	for _, n := range numbers() {
		require.Equal(t, "x"+strconv.FormatUint(n, 10), string(AppendUint([]byte("x"), n)))
		for _, signed := range []int64{int64(n), -int64(n)} {
			require.Equal(t, "x"+strconv.FormatInt(signed, 10), string(AppendInt([]byte("x"), signed)))
		}
	}
}

func TestPutFillsWithZeros(t *testing.T) {
	for _, n := range numbers() {
		all := fmt.Sprintf("%020d", n)
		for size := range 21 {
			got := make([]byte, size)
			Put(got, n)
			require.Equal(t, all[20-size:], string(got))
		}
	}
}
