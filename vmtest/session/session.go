// SPDX-License-Identifier: Apache-2.0

// Package session starts guests, as machines or as processes of the running kernel,
// and transports the messages between host and guest.
package session

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

// Message is a message of the guest. After an Err that is a *wire.GarbledError
// the channel is usable; any other error ends it.
type Message struct {
	Kind string
	Err  error
	body json.RawMessage
}

// Bytes returns the value of a message that is not JSON.
func (m *Message) Bytes() []byte { return m.body }

// Decode reads the value of the message.
func (m *Message) Decode(v any) error {
	if err := json.Unmarshal(m.body, v); err != nil {
		return fmt.Errorf("message %s: %w", m.Kind, err)
	}
	return nil
}

// Session is a running guest, a machine or a process.
type Session struct {
	Hello    guest.Hello
	How      string         // "cold boot in 1.9s", "restored in 0.1s"
	Took     time.Duration  // time until the guest was ready
	Messages <-chan Message // closed when the channel ends
	Send     func(kind string, v any) error
	SendRaw  func(kind string, value []byte) error // for a value that is not JSON
	Died     <-chan struct{}                       // closed when the guest reported on its console that it is dead
	Console  func() string                         // console text so far; after Finish, all of it
	Provoke  func()                                // makes a hung guest print on its console where it is; may be nil
	Killed   func() string                         // after Finish: the signal from outside that ended the guest, or ""; may be nil
	Finish   func() string                         // ends the guest, waits, and returns how it ended if that matters

	// Complaint returns new complaints of the guest's kernel. It is nil for a guest process.
	Complaint func(of func(id string) bool) string
	Stalls    func() []string
}

// Pump receives messages until the channel ends or stop is closed.
func Pump(conn *wire.Conn, stop <-chan struct{}) <-chan Message {
	c := make(chan Message, 64)
	go func() {
		defer close(c)
		for {
			kind, body, err := conn.Receive()
			m := Message{kind, err, append(json.RawMessage(nil), body...)}
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

// Await returns the next message of a kind and skips others. It ends when
// the guest dies, the channel ends or the time is over.
func (s *Session) Await(ctx context.Context, kind string, limit time.Duration) (Message, error) {
	return s.AwaitAny(ctx, limit, kind)
}

// AwaitAny is Await for several kinds.
func (s *Session) AwaitAny(ctx context.Context, limit time.Duration, kinds ...string) (Message, error) {
	kind := kinds[0]
	timer := time.NewTimer(limit)
	defer timer.Stop()
	died := s.Died
	for {
		select {
		case m, ok := <-s.Messages:
			var garbled *wire.GarbledError
			switch {
			case !ok:
				return Message{}, fmt.Errorf("guest ended before %s", kind)
			case errors.As(m.Err, &garbled): // messages of the firmware, or a record that the restore cut
			case m.Err != nil:
				if errors.Is(m.Err, io.EOF) {
					return Message{}, fmt.Errorf("guest ended before %s", kind)
				}
				return Message{}, m.Err
			case slices.Contains(kinds, m.Kind):
				return m, nil
			}
		case <-died:
			return Message{}, fmt.Errorf("guest kernel died before %s", kind)
		case <-timer.C:
			return Message{}, fmt.Errorf("no %s from the guest within %v", kind, limit)
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}
