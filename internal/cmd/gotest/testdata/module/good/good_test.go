// SPDX-License-Identifier: Apache-2.0

package good

import (
	"fmt"
	"testing"
)

func TestPasses(t *testing.T) {
	fmt.Println("the output of a test that passes")
	t.Run("in part", func(t *testing.T) { t.Skip("needs\nanother moon") })
	t.Run("the/rest", func(t *testing.T) {})
}

func TestSkipsItself(t *testing.T) {
	t.Log("not the reason")
	t.Skipf("needs another %s", "moon")
}
