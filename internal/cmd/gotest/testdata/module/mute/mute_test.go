// SPDX-License-Identifier: Apache-2.0

package mute

import "testing"

func TestGivesNoReason(t *testing.T) { t.SkipNow() }
