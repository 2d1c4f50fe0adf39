// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/env"
)

// limit bounds one run of apt, in case a mirror stops answering.
const limit = 15 * time.Minute

// run runs an apt program with vars added to its environment, and returns its standard output.
func run(ctx context.Context, dir, program string, args []string, vars ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"), vars...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", env.Lacks(program+" is not installed", "install apt, or give a kernel by file: --kernel FILE")
		}
		return stdout.String() + stderr.String(), fmt.Errorf("%s %s: %w", program, args[len(args)-1], err)
	}
	return stdout.String(), nil
}

// explain adds apt's own error lines to err.
func explain(out string, err error) error {
	var lines []string
	for l := range strings.Lines(out) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "E: ") || strings.HasPrefix(l, "Err:") {
			lines = append(lines, strings.TrimPrefix(l, "E: "))
		}
	}
	if len(lines) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(lines, "; "))
}
