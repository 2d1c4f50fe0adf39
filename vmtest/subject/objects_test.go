// SPDX-License-Identifier: Apache-2.0

package subject

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/scap/event"
)

// The eBPF objects state their versions as modules do.
func TestEBPFObjectsStateTheirSchema(t *testing.T) {
	names := bpf.Names()
	if len(names) == 0 {
		t.Skip("no eBPF driver for this architecture")
	}
	for _, name := range names {
		object, err := bpf.Object(name)
		require.NoError(t, err)
		info, err := Modinfo(bytes.NewReader(object))
		require.NoError(t, err, name)
		delete(info, "") // after the last NUL
		require.Equal(t, map[string]string{"name": "scap", "schema_version": event.SchemaVersion, "own_schema_version": event.OwnSchemaVersion}, info, name)
	}
}
