// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/scaplab/scaplab/internal/kernels/internal/vmlinux"
)

// bannerVersion is the end of linux_banner (init/version.c), after the compiler: what `uname -v` prints.
var bannerVersion = regexp.MustCompile(`\) (#[0-9][^\n\x00]*)$`)

// ErrNoBanner: an image has no text from which its version can be read.
var ErrNoBanner = errors.New("the image has no text `Linux version RELEASE (...) #N ...`")

// UnameVersion returns what `uname -v` prints on a kernel, such as "#1 SMP PREEMPT_DYNAMIC Debian 6.12.118-1 (2026-11-20)", from
// its image: an ELF kernel, a bzImage, or an unpacked image of another architecture.
func UnameVersion(k Kernel) (string, error) {
	image, err := os.ReadFile(k.Image)
	if err != nil {
		return "", err
	}
	if vmlinux.IsBzImage(image) {
		if image, err = vmlinux.Extract(image); err != nil {
			return "", fmt.Errorf("%s: %w", k.Image, err)
		}
	}
	// The banner stands there twice: /proc/version is printed with a format that lacks the number.
	begin := []byte("Linux version " + k.Release + " ")
	for rest := image; ; {
		_, after, ok := bytes.Cut(rest, begin)
		if !ok {
			return "", fmt.Errorf("%s: %w", k.Image, ErrNoBanner)
		}
		const longest = 1024
		line := after[:min(len(after), longest)]
		if i := bytes.IndexAny(line, "\n\x00"); i >= 0 {
			line = line[:i]
		}
		if m := bannerVersion.FindSubmatch(line); m != nil {
			return string(m[1]), nil
		}
		rest = after
	}
}
