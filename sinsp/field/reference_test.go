// SPDX-License-Identifier: Apache-2.0

package field

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

// reference is the list of the reference's fields, as the facts have it.
type reference struct {
	Fields []struct {
		Name   string   `json:"name"`
		Type   string   `json:"type"`
		Format string   `json:"print_format"`
		List   bool     `json:"list"`
		Flags  []string `json:"flags"`
		Arg    struct {
			Form     string `json:"form"`
			Required bool   `json:"required"`
		} `json:"arg"`
	} `json:"fields"`
	Plugin struct {
		Fields []struct {
			Name string `json:"name"`
			Type string `json:"type"`
			Arg  struct {
				Form string `json:"form"`
			} `json:"arg"`
			Deprecated bool `json:"deprecated"`
		} `json:"fields"`
	} `json:"plugin_provided"`
}

func loadReference(t *testing.T) (ref reference) {
	t.Helper()
	b, err := os.ReadFile("../../../shared/facts/fields.json")
	if err != nil {
		t.Skip("the list of the reference's fields is not available")
	}
	require.NoError(t, json.Unmarshal(b, &ref))
	return ref
}

// types are our types of the reference's. Names of hosts are a type of their own here.
var types = map[string]Type{
	"CHARBUF": String, "BYTEBUF": Bytes, "BOOL": Bool, "DOUBLE": Double, "PORT": Port, "RELTIME": RelTime,
	"ABSTIME": AbsTime, "IPADDR": IP, "IPNET": Net, "DYNAMIC": Dynamic,
	"INT16": Int, "INT32": Int, "INT64": Int, "UINT32": Uint, "UINT64": Uint,
	"string": String, "bool": Bool, "abstime": AbsTime, "reltime": RelTime,
}

var formats = map[string]event.Format{
	"NA": event.FormatNA, "DEC": event.FormatDec, "ID": event.FormatID, "HEX": event.FormatHex, "DIR": event.FormatDir,
	"10_PADDED_DEC": event.FormatPaddedDec,
}

var forms = map[string]ArgForm{
	"none": 0, "index": ArgIndex, "key": ArgKey, "index_or_key": ArgIndex | ArgKey, "index_or_name": ArgIndex | ArgParam,
	"name": ArgParam, "name_or_number": ArgEvent, "dotted_choice": ArgWord, "dotted_key": ArgWord,
}

func TestTheReferencesFieldsAreDeclared(t *testing.T) {
	ref := loadReference(t)
	require.Len(t, ref.Fields, 233)
	hosts := []string{"fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name"}
	for _, want := range ref.Fields {
		got := All()[want.Name]
		require.NotNil(t, got, want.Name)
		typ := types[want.Type]
		if slices.Contains(hosts, want.Name) {
			typ = Host
		}
		require.Equal(t, typ, got.Type, want.Name)
		require.Equal(t, formats[want.Format], got.Format, want.Name)
		require.Equal(t, want.List, got.Many == List, want.Name)
		form := forms[want.Arg.Form]
		if form != 0 && !want.Arg.Required {
			form |= ArgOptional
		}
		require.Equal(t, form, got.Arg, want.Name)
		has := func(flag string) bool { return slices.Contains(want.Flags, flag) }
		require.Equal(t, has("FILTER_ONLY"), got.Flags&FilterOnly != 0, want.Name)
		require.Equal(t, has("NO_RHS"), got.Flags&NoCompare != 0, want.Name)
		require.Equal(t, has("NO_TRANSFORMER"), got.Flags&NoTransform != 0, want.Name)
		require.Equal(t, has("TABLE_ONLY"), got.Flags&Hidden != 0, want.Name)
		require.Equal(t, has("DEPRECATED"), got.Flags&Deprecated != 0, want.Name)
	}
}

func TestTheContainerPluginsFieldsAreDeclared(t *testing.T) {
	ref := loadReference(t)
	require.NotEmpty(t, ref.Plugin.Fields)
	for _, want := range ref.Plugin.Fields {
		got := All()[want.Name]
		require.NotNil(t, got, want.Name)
		require.Equal(t, types[want.Type], got.Type, want.Name)
		require.Equal(t, forms[want.Arg.Form], got.Arg, want.Name)
		require.Equal(t, want.Deprecated, got.Flags&Deprecated != 0, want.Name)
	}
}

func TestNoFieldIsWithoutReference(t *testing.T) {
	ref := loadReference(t)
	known := map[string]bool{}
	for _, f := range ref.Fields {
		known[f.Name] = true
	}
	for _, f := range ref.Plugin.Fields {
		known[f.Name] = true
	}
	for name := range All() {
		require.True(t, known[name], name)
	}
}
