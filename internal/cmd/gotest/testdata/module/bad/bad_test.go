// SPDX-License-Identifier: Apache-2.0

package bad

import "testing"

func TestFailsInAPart(t *testing.T) {
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Error("what is wrong") })
}

func TestPanics(t *testing.T) { panic("at the disco") }

func TestIsNeverReached(t *testing.T) {}
