// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mistake in the YAML is reported at its place, even in a file of a thousand lines, not
// where the parser gave up.
func TestMistakesInYAMLAreFoundWhereTheyAre(t *testing.T) {
	entry := `- syscall: one(int fd)
  class: file
  event: 0x8001
  exit:
    - res: {type: errno, from: ret}
    - fd:  {type: fd, from: fd}
  cases:
    - name: works
      given: {f: tempfile()}
      call:  one($f)
      want:  {res: 0}
    - name: fails
      call:  one(-1)
      want:  {res: -EBADF}

`
	for _, row := range []struct{ name, old, new, at, want string }{
		{"a brace is not closed", "want:  {res: 0}", "want:  {res: 0", "{res", "bad YAML: { is not closed (did not find expected ',' or '}' on line "},
		{"a bracket is not closed", "{type: errno, from: ret}", "[{type: errno, from: ret}", "[", "bad YAML: [ is not closed (did not find expected ',' or ']' on line "},
		{"a brace too many", "want:  {res: 0}", "want:  {res: 0}}", "}", "bad YAML: did not find expected key"},
		{"a tab for blanks", "  class: file", "\tclass: file", "\t", "bad YAML: found a tab character that violates indentation"},
		{"a colon forgotten", "  class: file", "  class file", "class", "bad YAML: a colon with a blank behind it is missing"},
		{"a blank behind the colon forgotten", "  class: file", "  class:file", "class", "bad YAML: a colon with a blank behind it is missing"},
		{"a double quote not closed", "{f: tempfile()}", "{f: \"tempfile()}", "\"", "bad YAML: quote is not closed on its line"},
		{"a single quote not closed", "- name: works", "- name: 'works", "'", "bad YAML: quote is not closed on its line"},
		{"less indentation than below", "    - res:", "   - res:", "- res", "bad YAML: indentation is less than that of the lines below"},
		{"more indentation than above", "  class: file", "    class: file", ":", "bad YAML: mapping values are not allowed in this context"},
		{"a colon in the text", "- name: works", "- name: works: well", ": well", "bad YAML: mapping values are not allowed in this context"},
		{"an unknown escape", "- name: works", `- name: "\q"`, `\q`, "bad YAML: found unknown escape character"},
		{"a percent sign", "- name: works", "- name: %w", "%", "bad YAML: found character that cannot start any token"},
		{"an at sign", "- name: works", "- name: @w", "@", "bad YAML: found character that cannot start any token"},
		{"no blank behind the dash", "    - name: works", "    -name: works", "-name", "bad YAML: a blank behind the dash is missing"},
		// These are valid YAML with another meaning than intended.
		{"a call with a comma inside braces", "from: fd}", "from: user_u32(fd, 0)}", "user", `a call with commas inside {} or [] needs quotes (write "user_u32(fd, 0)")`},
		{"a call with commas inside brackets", "{res: 0}", "{res: [f(1, g(2, 3))]}", "f(1", `a call with commas inside {} or [] needs quotes (write "f(1, g(2, 3))")`},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := "schema: 1\nsyscalls:\n" + strings.Repeat(entry, 40)
			require.Equal(t, 1, strings.Count(entry, row.old), row.old)
			src := before + strings.Replace(entry, row.old, row.new, 1) + strings.Repeat(entry, 20)
			offset := strings.Index(src[len(before):], row.new) + strings.LastIndex(row.new, row.at)
			head := src[:len(before)+offset]
			place := fmt.Sprintf("t.yaml:%d:%d: ", strings.Count(head, "\n")+1, len(head)-strings.LastIndexByte(head, '\n'))
			var errs ErrorList
			require.Nil(t, parseFile("t.yaml", []byte(src), &errs))
			require.Len(t, errs, 1)
			require.Contains(t, errs[0].Error(), place+row.want)
		})
	}
}
