// SPDX-License-Identifier: Apache-2.0

// Command gotest runs go test with its arguments and prints what go test prints.
// At the end it lists the slowest packages and tests, every skipped test with its
// reason, and the counts:
//
//	go run ./internal/cmd/gotest -timeout 4h ./...
//
// The exit status is that of go test. A test that skips itself without a reason is
// also an error.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs go test in the working directory and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	stream, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(stderr, "gotest: %v\n", err)
		return 1
	}
	var s summary
	err = s.read(stream, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "gotest: %v\n", err)
		_, _ = io.Copy(io.Discard, stream) // go test must not wait for a reader
	}
	s.write(stdout)
	var exit *exec.ExitError
	if failed := cmd.Wait(); errors.As(failed, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	} else if failed != nil {
		fmt.Fprintf(stderr, "gotest: go test: %v\n", failed)
		return 1
	}
	if err != nil || !s.fine() {
		return 1
	}
	return 0
}
