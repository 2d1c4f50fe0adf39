// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every Go block of the documents is a whole program: a reader can paste it.
func TestGoInDocumentsCompiles(t *testing.T) {
	const root = "../.."
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	docs = append(docs, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
	blocks := 0
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		require.NoError(t, err)
		for _, b := range goBlocks(string(text)) {
			blocks++
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, []byte(b), 0o644))
			cmd := exec.Command("go", "vet", file)
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s\n%s", doc, b, out)
		}
	}
	require.NotZero(t, blocks, "README.md has an example")
}

func goBlocks(text string) []string {
	var blocks []string
	for {
		_, rest, found := strings.Cut(text, "\n```go\n")
		if !found {
			return blocks
		}
		var block string
		block, text, _ = strings.Cut(rest, "\n```")
		blocks = append(blocks, block+"\n")
	}
}

func TestGoBlocksAreFound(t *testing.T) {
	require.Equal(t, []string{"a\n", "b\nc\n"}, goBlocks("x\n```go\na\n```\n```sh\nno\n```\n```go\nb\nc\n```\n"))
	require.Empty(t, goBlocks("```go inline"))
}
