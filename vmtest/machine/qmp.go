// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// qmp is a client of QEMU's monitor protocol.
type qmp struct {
	mu    sync.Mutex
	f     *os.File
	r     *bufio.Reader
	ready bool
}

type qmpCommand struct {
	Execute   string         `json:"execute"`
	Arguments map[string]any `json:"arguments,omitempty"`
}

// do runs one command. file, if not nil, is sent along; result may be nil.
func (q *qmp) do(limit time.Duration, command string, args map[string]any, file *os.File, result any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.f.SetDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("qemu monitor: %w", err)
	}
	if !q.ready {
		if _, err := q.r.ReadBytes('\n'); err != nil { // greeting
			return fmt.Errorf("qemu monitor: greeting: %w", err)
		}
		if err := q.exchange(qmpCommand{Execute: "qmp_capabilities"}, nil, nil); err != nil {
			return err
		}
		q.ready = true
	}
	return q.exchange(qmpCommand{command, args}, file, result)
}

func (q *qmp) exchange(c qmpCommand, file *os.File, result any) error {
	fail := func(err error) error { return fmt.Errorf("qemu monitor: %s: %w", c.Execute, err) }
	b, err := json.Marshal(c)
	if err != nil {
		return fail(err)
	}
	b = append(b, '\n')
	if file != nil {
		err = sendWithFile(q.f, b, file)
	} else {
		_, err = q.f.Write(b)
	}
	if err != nil {
		return fail(err)
	}
	for {
		line, err := q.r.ReadBytes('\n')
		if err != nil {
			return fail(err)
		}
		var reply struct {
			Return json.RawMessage `json:"return"`
			Event  string          `json:"event"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return fail(err)
		}
		switch {
		case reply.Event != "":
		case reply.Error != nil:
			return fail(errors.New(reply.Error.Desc))
		case result != nil:
			return json.Unmarshal(reply.Return, result)
		default:
			return nil
		}
	}
}

// status returns QEMU's run state: "running", "inmigrate", "paused", ...
func (q *qmp) status(limit time.Duration) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := q.do(limit, "query-status", nil, nil, &s)
	return s.Status, err
}

// save writes the machine's state to f. The machine continues afterwards.
func (q *qmp) save(ctx context.Context, limit time.Duration, f *os.File) error {
	end := time.Now().Add(limit)
	if err := q.do(limit, "migrate-set-parameters", map[string]any{"max-bandwidth": int64(1) << 40}, nil, nil); err != nil {
		return err
	}
	if err := q.do(limit, "getfd", map[string]any{"fdname": "snapshot"}, f, nil); err != nil {
		return err
	}
	// QEMU would save a machine that was paused before as paused.
	if err := q.do(limit, "migrate", map[string]any{"uri": "fd:snapshot"}, nil, nil); err != nil {
		return err
	}
	for {
		var m struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := q.do(limit, "query-migrate", nil, nil, &m); err != nil {
			return err
		}
		switch {
		case m.Status == "completed":
			return q.do(limit, "cont", nil, nil, nil)
		case m.Status == "failed" || m.Status == "cancelled":
			return fmt.Errorf("save state: %s %s", m.Status, m.Error)
		case time.Now().After(end):
			_ = q.do(limit, "migrate_cancel", nil, nil, nil)
			return fmt.Errorf("save state: not done after %v", limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// waitRunning waits until a restored machine runs. Data sent before that is lost.
func (q *qmp) waitRunning(ctx context.Context, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		s, err := q.status(limit)
		switch {
		case err != nil:
			return err
		case s == "running":
			return nil
		case s != "inmigrate" && s != "prelaunch":
			return fmt.Errorf("restore state: machine is %s", s)
		case time.Now().After(end):
			return fmt.Errorf("restore state: still %s after %v", s, limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
