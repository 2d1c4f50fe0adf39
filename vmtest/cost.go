// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
)

// Cost is the number of instructions that a driver adds to a call on a kernel. The machine's
// clock counts instructions, a nanosecond each, so that neither the host nor its load matters.
// Two runs agree exactly if the kernel takes the same path each time; openat and close, which
// allocate, agree within 0.3 %.
type Cost struct {
	Kernel string       `json:"kernel"`
	Arch   string       `json:"arch"`
	Driver guest.Driver `json:"driver"`
	Call   string       `json:"call"`
	Bare   float64      `json:"bare"`  // of the call while nobody captures
	Added  float64      `json:"added"` // that the driver adds
	Error  string       `json:"error,omitempty"`
}

// costLimit bounds a boot and some ten thousand calls, which take about ten seconds.
const costLimit = 5 * time.Minute

// measureCosts boots a kernel with a clock that counts instructions, and makes the
// guest measure its calls.
func measureCosts(ctx context.Context, k Kernel, config machine.Config, console io.Writer) ([]Cost, error) {
	config.Accel, config.CPUs, config.Counted = machine.TCG, 1, true
	config.Arguments = []string{guest.CostArgument, "nokaslr"}
	v, err := machine.Start(ctx, &config, nil, console)
	if err != nil {
		return nil, err
	}
	s := session.Of(v)
	defer s.Finish()
	costs, err := receiveCosts(ctx, k, s, costLimit)
	if err != nil {
		s.Finish()
		if excerpt := machine.Excerpt(s.Console()); excerpt != "" {
			err = fmt.Errorf("%w\n%s", err, excerpt)
		}
	}
	return costs, err
}

// receiveCosts receives the guest's measurements; the first is without a driver.
func receiveCosts(ctx context.Context, k Kernel, s *session.Session, limit time.Duration) ([]Cost, error) {
	end := time.Now().Add(limit)
	var bare map[string]float64
	var costs []Cost
	for {
		m, err := s.AwaitAny(ctx, time.Until(end), guest.KindCost, guest.KindDone, guest.KindError)
		if err != nil {
			return nil, err
		}
		switch m.Kind {
		case guest.KindDone:
			return costs, nil
		case guest.KindError:
			var e guest.Error
			if err := m.Decode(&e); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("guest: %s", e.Text)
		}
		var c guest.Cost
		if err := m.Decode(&c); err != nil {
			return nil, err
		}
		switch {
		case bare == nil && (c.Driver != "" || c.Error != ""):
			return nil, fmt.Errorf("guest: calls without a driver were not measured: %s", c.Error)
		case bare == nil:
			bare = make(map[string]float64)
			for _, call := range c.Calls {
				bare[call.Name] = call.NS
			}
		case c.Error != "":
			costs = append(costs, Cost{Kernel: k.Name, Arch: k.Arch, Driver: c.Driver, Error: c.Error})
		default:
			for _, call := range c.Calls {
				costs = append(costs, Cost{Kernel: k.Name, Arch: k.Arch, Driver: c.Driver, Call: call.Name, Bare: bare[call.Name], Added: call.NS - bare[call.Name]})
			}
		}
	}
}

// addCosts measures on one kernel. If that fails, the error takes the place of the numbers.
func (r *Report) addCosts(ctx context.Context, k Kernel, config machine.Config, console io.Writer) error {
	costs, err := measureCosts(ctx, k, config, console)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		costs = append(costs, Cost{Kernel: k.Name, Arch: k.Arch, Error: err.Error()})
	}
	r.Costs = append(r.Costs, costs...)
	return nil
}

// writeCosts prints the drivers side by side.
func (r *Report) writeCosts(b *strings.Builder) {
	if len(r.Costs) == 0 {
		return
	}
	b.WriteString("\nAdded to each call, in instructions:\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "  kernel\tcall\tthe call itself\t")
	var drivers []guest.Driver
	for _, c := range r.Costs {
		if !slices.Contains(drivers, c.Driver) {
			drivers = append(drivers, c.Driver)
			fmt.Fprintf(t, "%s adds\t", c.Driver)
		}
	}
	fmt.Fprintln(t)
	type row struct{ kernel, call string }
	var rows []row
	for _, c := range r.Costs {
		if at := (row{c.Kernel, c.Call}); c.Error == "" && !slices.Contains(rows, at) {
			rows = append(rows, at)
		}
	}
	for _, at := range rows {
		line := make([]string, len(drivers))
		bare := 0.0
		for _, c := range r.Costs {
			if c.Kernel == at.kernel && c.Call == at.call {
				bare = c.Bare
				line[slices.Index(drivers, c.Driver)] = fmt.Sprintf("%.0f", c.Added)
			}
		}
		fmt.Fprintf(t, "  %s\t%s\t%.0f\t", at.kernel, at.call, bare)
		for _, text := range line {
			fmt.Fprintf(t, "%s\t", cmp.Or(text, "-"))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // to memory
	for _, c := range r.Costs {
		if c.Error != "" {
			fmt.Fprintf(b, "  %s, %s: not measured: %s\n", c.Kernel, c.Driver, c.Error)
		}
	}
}
