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

func TestThousandsHaveCommas(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 48084: "48,084", 1234567: "1,234,567", -123: "-123", -1234: "-1,234"} {
		require.Equal(t, want, Thousands(n))
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
