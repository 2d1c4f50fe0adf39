// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/tables"
)

// The layouts of structs.yaml are those of the headers for a 64-bit compiler.
func TestStructsAreThoseOfTheHeaders(t *testing.T) {
	testutil.SkipUnderRace(t)
	compiler := cc(t)
	checked := 0
	layout := 0 // see tables.Layouts
	if runtime.GOARCH != "amd64" {
		layout = 2
	}
	for _, s := range mustLoad(t, filepath.Join(root, "tables")).Structs {
		if s.Header == "" {
			continue
		}
		var text, want strings.Builder
		fmt.Fprintf(&text, "#define _GNU_SOURCE\n#include <stddef.h>\n#include <stdio.h>\n#include <%s>\nint main(void)\n{\n", s.Header)
		for _, f := range s.Fields {
			if strings.HasPrefix(f.Name, "_") {
				continue // the header has bit fields, or other names, there
			}
			fmt.Fprintf(&text, "\tprintf(\"%s %%zu %%zu\\n\", offsetof(struct %s, %[1]s), sizeof(((struct %[2]s *)0)->%[1]s));\n", f.Name, s.Name)
			fmt.Fprintf(&want, "%s %d %d\n", f.Name, f.Offset[layout], f.Type.Size[layout]*max(f.Type.Count, 1))
		}
		if s.Extensible == "" { // others may have grown since
			fmt.Fprintf(&text, "\tprintf(\"%%zu\\n\", sizeof(struct %s));\n", s.Name)
			fmt.Fprintf(&want, "%d\n", s.Size[layout])
		}
		text.WriteString("}\n")
		dir := t.TempDir()
		src, bin := filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
		require.NoError(t, os.WriteFile(src, []byte(text.String()), 0o644))
		if out, err := exec.Command(compiler, "-o", bin, src).CombinedOutput(); err != nil {
			if older(s, string(out)) {
				continue
			}
			require.NoError(t, err, "%s: %s", s.Name, out)
		}
		got, err := exec.Command(bin).Output()
		require.NoError(t, err, s.Name)
		require.Equal(t, want.String(), string(got), s.Name)
		checked++
	}
	require.Greater(t, checked, 10)
}

// older reports whether a compiler's complaint is that this machine has older headers, or
// none: they lack the file, the struct, or fields after the first of an extensible one.
func older(s *tables.Struct, complaint string) bool {
	if strings.Contains(complaint, "No such file or directory") {
		return true
	}
	own := strings.HasPrefix(s.Header, "linux/") // those of the C library do not grow
	lacksFirst := regexp.MustCompile(`no member named \W+` + s.Fields[0].Name + `\W`).MatchString(complaint)
	return own && (strings.Contains(complaint, "incomplete type") || s.Extensible != "" && strings.Contains(complaint, "no member named") && !lacksFirst)
}
