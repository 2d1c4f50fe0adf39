// SPDX-License-Identifier: Apache-2.0

//go:build !windows && !plan9

package alert

import (
	"context"
	"log/syslog"
)

type syslogSink struct {
	name string
	w    *syslog.Writer
}

// Syslog returns a sink for the syslog of this machine, or of another if address, such as
// udp:10.0.0.1:514 with its network in front, is not "". The priority of an alert is that
// of the message.
func Syslog(network, address string) (Sink, error) {
	w, err := syslog.Dial(network, address, syslog.LOG_USER|syslog.LOG_NOTICE, "scap")
	if err != nil {
		return nil, err
	}
	name := "syslog"
	if address != "" {
		name += " " + network + ":" + address
	}
	return &syslogSink{name, w}, nil
}

func (s *syslogSink) Name() string { return s.name }

func (s *syslogSink) Deliver(_ context.Context, a *Alert) error {
	write := [...]func(string) error{s.w.Emerg, s.w.Alert, s.w.Crit, s.w.Err, s.w.Warning, s.w.Notice, s.w.Info, s.w.Debug}
	return write[a.Rule.Priority](string(a.Line))
}

func (s *syslogSink) Close() error { return s.w.Close() }
