// SPDX-License-Identifier: Apache-2.0

package broken

import "testing"

func TestIsNotBuilt(t *testing.T) { undefined() }
