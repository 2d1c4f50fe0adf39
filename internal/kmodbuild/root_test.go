// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
)

func TestTheTreeIsEnteredWithThePathOfAPlainUser(t *testing.T) {
	t.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
	t.Setenv("LC_ALL", "C")
	root := t.TempDir() // nothing runs in it
	for _, dir := range []string{"proc", "dev"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	var out bytes.Buffer
	err := enter(t.Context(), root, mounts{}, &out, "gcc")
	if lacks, ok := errors.AsType[*env.Error](err); ok {
		t.Skip(lacks)
	}
	require.Error(t, err)
	require.Contains(t, out.String(), "chroot: failed to run command", "chroot is found")
}
