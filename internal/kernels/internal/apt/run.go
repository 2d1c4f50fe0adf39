// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/scaplab/scaplab/internal/env"
)

// limit bounds one run of apt: a mirror may stop answering.
const limit = 15 * time.Minute

// run runs an apt program with vars added to its environment and returns its standard output.
func run(ctx context.Context, dir, program string, args []string, vars ...string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, program, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"), vars...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", env.Lacks(program+" is not installed", "install apt, or give a kernel by file: --kernel FILE")
		}
		if limited.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("not done after %v", limit)
		}
		return stdout.String() + stderr.String(), fmt.Errorf("%s %s: %w", program, args[len(args)-1], err)
	}
	return stdout.String(), nil
}
