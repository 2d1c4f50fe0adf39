// SPDX-License-Identifier: Apache-2.0

//go:build windows || plan9

package alert

import "errors"

// Syslog returns an error: this system has no syslog.
func Syslog(string, string) (Sink, error) { return nil, errors.New("this system has no syslog") }
