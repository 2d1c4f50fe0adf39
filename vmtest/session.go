// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// message is one thing the guest said. With err, a *wire.GarbledError leaves
// the channel usable and anything else is its end.
type message struct {
	kind string
	body json.RawMessage
	err  error
}

func (m *message) decode(v any) error {
	if err := json.Unmarshal(m.body, v); err != nil {
		return fmt.Errorf("message %s: %w", m.kind, err)
	}
	return nil
}

// session is one living guest, a machine or a process.
type session struct {
	hello    guest.Hello
	how      string         // "cold boot in 1.9s", "restored in 0.1s"
	messages <-chan message // closed at the channel's end
	send     func(kind string, v any) error
	died     <-chan struct{} // closed when the guest said on its console that it is dead
	console  func() string   // what the guest said so far; after finish, all of it
	provoke  func()          // makes a hung guest say on its console where it is; may be nil
	killed   func() string   // after finish: the signal from outside that ended the guest, "" for none; may be nil
	finish   func() string   // ends the guest, waits, and says how it ended if that is worth saying

	// Of its kernel's complaints, those not yet taken; nil for a guest without a kernel of its own.
	complaint func(of func(id string) bool) string
	stalls    func() []string
}

// pump receives messages until the channel ends or stop is closed.
func pump(conn *wire.Conn, stop <-chan struct{}) <-chan message {
	c := make(chan message, 64)
	go func() {
		defer close(c)
		for {
			kind, body, err := conn.Receive()
			m := message{kind, append(json.RawMessage(nil), body...), err}
			select {
			case c <- m:
			case <-stop:
				return
			}
			var garbled *wire.GarbledError
			if err != nil && !errors.As(err, &garbled) {
				return
			}
		}
	}()
	return c
}

// await returns the next message of a kind, skipping others. It gives up when
// the guest dies, the channel ends or the limit is over.
func (s *session) await(ctx context.Context, kind string, limit time.Duration) (message, error) {
	return s.awaitAny(ctx, limit, kind)
}

// awaitAny is await for one of several kinds.
func (s *session) awaitAny(ctx context.Context, limit time.Duration, kinds ...string) (message, error) {
	kind := kinds[0]
	timer := time.NewTimer(limit)
	defer timer.Stop()
	died := s.died
	for {
		select {
		case m, ok := <-s.messages:
			var garbled *wire.GarbledError
			switch {
			case !ok:
				return message{}, fmt.Errorf("guest ended before %s", kind)
			case errors.As(m.err, &garbled): // firmware talk, or a record cut by the restore
			case m.err != nil:
				if errors.Is(m.err, io.EOF) {
					return message{}, fmt.Errorf("guest ended before %s", kind)
				}
				return message{}, m.err
			case slices.Contains(kinds, m.kind):
				return m, nil
			}
		case <-died:
			return message{}, fmt.Errorf("guest kernel died before %s", kind)
		case <-timer.C:
			return message{}, fmt.Errorf("no %s from the guest within %v", kind, limit)
		case <-ctx.Done():
			return message{}, ctx.Err()
		}
	}
}
