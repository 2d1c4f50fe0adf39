// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/deb"
)

// ErrNoConfig: nothing that is kept of a kernel has its configuration.
var ErrNoConfig = errors.New("its configuration is neither in its image (CONFIG_IKCONFIG) nor in a package that is kept")

// Config returns the configuration that a kernel was built with, CONFIG_X without the prefix: y, m, a number or a string. It is
// that of the image, or of the package that the image is from, which must be in the cache. Options that are not set are left
// out.
func Config(k Kernel) (map[string]string, error) {
	text, err := ConfigText(k)
	if err != nil {
		return nil, err
	}
	return parseConfig(text), nil
}

// ConfigText returns the text of the configuration that a kernel was built with, from the places that [Config] names.
func ConfigText(k Kernel) ([]byte, error) {
	image, err := os.ReadFile(k.Image)
	if err != nil {
		return nil, err
	}
	text, err := configIn(image)
	if err == nil && text == nil {
		text, err = configOfPackage(k.Package)
	}
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	return text, nil
}

// configIn returns the text that CONFIG_IKCONFIG puts into an image, or nil.
func configIn(image []byte) ([]byte, error) {
	_, packed, ok := bytes.Cut(image, []byte("IKCFG_ST\x1f\x8b"))
	if !ok {
		return nil, nil
	}
	r, err := gzip.NewReader(io.MultiReader(strings.NewReader("\x1f\x8b"), bytes.NewReader(packed)))
	if err != nil {
		return nil, err
	}
	r.Multistream(false) // IKCFG_ED follows
	const limit = 16 << 20
	return io.ReadAll(io.LimitReader(r, limit))
}

// configOfPackage returns the text in a package. Debian keeps it beside the modules since 7.2, before that in /boot.
func configOfPackage(p Package) ([]byte, error) {
	if p.SHA256 == "" {
		return nil, ErrNoConfig
	}
	cache, err := env.CacheDir()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(apt.Path(cache, apt.Package{SHA256: p.SHA256}))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoConfig
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := deb.Find(f, func(name string) bool {
		for _, pattern := range []string{"boot/config-*", "usr/lib/modules/*/config", "lib/modules/*/config"} {
			if ok, _ := path.Match(pattern, name); ok {
				return true
			}
		}
		return false
	})
	if errors.Is(err, deb.ErrNotFound) {
		return nil, ErrNoConfig
	}
	if err != nil {
		return nil, err
	}
	return file.Data, nil
}

func parseConfig(text []byte) map[string]string {
	config := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if name, is := strings.CutPrefix(name, "CONFIG_"); ok && is {
			config[name] = strings.Trim(value, `"`)
		}
	}
	return config
}
