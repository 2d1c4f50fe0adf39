// SPDX-License-Identifier: Apache-2.0

// Package alert makes alerts of events for which rules hold, in the shapes of falco, and
// delivers them: to a stream, a file, a program, a web server, syslog.
//
// Each output has a queue and a goroutine of its own. [Outputs.Send] never waits: what a
// slow output cannot take is left out and counted.
package alert
