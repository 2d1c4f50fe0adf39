// SPDX-License-Identifier: Apache-2.0

// Package docs_test runs the commands that the documents show.
package docs_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

const root = ".."

// pages returns the documents.
func pages(t *testing.T) []string {
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	require.NoError(t, err)
	return append(top, found...)
}

// shown is a command that a document shows.
type shown struct {
	text   string   // without its comment
	before []string // exports of the same block
	status string   // exit status that the document shows, "0" if none
}

var (
	comment    = regexp.MustCompile(`\s+#\s.*$`)
	exitStatus = regexp.MustCompile(`^exit status (\d+)$`)
)

// commands returns the commands of a page: the lines of its blocks of shell, and the lines
// after a prompt of its blocks of console.
func commands(text string) []shown {
	var list []shown
	var language string
	var exports []string
	inBlock := false
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "```") {
			inBlock, language, exports = !inBlock, strings.TrimPrefix(line, "```"), nil
			continue
		}
		if !inBlock {
			continue
		}
		var isCommand bool
		switch language {
		case "sh":
			isCommand = strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#")
		case "console":
			line, isCommand = strings.CutPrefix(line, "$ ")
			if m := exitStatus.FindStringSubmatch(line); m != nil && len(list) > 0 {
				list[len(list)-1].status = m[1]
			}
		}
		if !isCommand {
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + strings.TrimSpace(lines[i])
		}
		line = strings.TrimSpace(comment.ReplaceAllString(line, ""))
		if strings.HasPrefix(line, "export ") {
			exports = append(exports, line)
			continue
		}
		list = append(list, shown{text: line, before: slices.Clone(exports), status: "0"})
	}
	return list
}

func TestCommandsAreFound(t *testing.T) {
	text := "x\n```sh\nexport A=1\nmake a   # why\n# only a comment\nscap b \\\n  c\n```\n```go\nd\n```\n```console\n$ e '#f'\nout\nexit status 1\n```\n"
	require.Equal(t, []shown{
		{"make a", []string{"export A=1"}, "0"}, {"scap b c", []string{"export A=1"}, "0"}, {"e '#f'", nil, "1"},
	}, commands(text))
}

// Each command of a page works as it stands, or as the list of exceptions has it.
func TestEveryCommandWorks(t *testing.T) {
	testutil.SkipIfShort(t, "boots kernels")
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessBTF(t)
	dir := checkout(t)
	unused := maps.Clone(exceptions)
	done := map[string]bool{}
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, c := range commands(string(text)) {
			how, special := exceptions[c.text]
			delete(unused, c.text)
			if key := strings.Join(append(c.before, c.text), "\n"); done[key] || how.elsewhere != "" {
				continue
			} else {
				done[key] = true
			}
			t.Run(filepath.Base(page)+"/"+c.text, func(t *testing.T) {
				run := c.text
				if special && how.run != "" {
					run = how.run
				}
				t.Parallel()
				script := strings.Join(append(c.before, how.prepare, run), "\n")
				out, status := shell(t, dir, script, how.live)
				want := c.status
				if how.status != "" {
					want = how.status
				}
				require.Equal(t, want, status, "%s\n%s", script, tail(out))
			})
		}
	}
	assert.Empty(t, slices.Sorted(maps.Keys(unused)), "exceptions that no page has")
}

// tail returns the end of an output.
func tail(out []byte) string { return string(out[max(0, len(out)-4000):]) }

// shell runs a script of bash and returns its output and exit status. One that runs until it is interrupted gets
// a SIGINT once it has written something.
func shell(t *testing.T, dir, script string, live bool) ([]byte, string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // for a machine ten times slower
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euc", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.CreateTemp(t.TempDir(), "output")
	require.NoError(t, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	require.NoError(t, cmd.Start())
	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	if live {
		err = interrupt(cmd.Process.Pid, out, waited)
	} else {
		err = <-waited
	}
	text, readErr := os.ReadFile(out.Name())
	require.NoError(t, readErr)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err, "%s", tail(text))
	}
	return text, strings.TrimPrefix(cmd.ProcessState.String(), "exit status ")
}

// interrupt interrupts a group of processes after its first output, and returns how it ended.
func interrupt(group int, out *os.File, waited <-chan error) error {
	for {
		select {
		case err := <-waited:
			return err
		case <-time.After(100 * time.Millisecond):
		}
		if st, err := out.Stat(); err == nil && st.Size() > 0 {
			if err := syscall.Kill(-group, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
			return <-waited
		}
	}
}

// checkout returns a copy of this checkout with both programs in bin, and the files that the documents name.
func checkout(t *testing.T) string {
	dir := t.TempDir()
	for _, entry := range []string{".github", "CONTRIBUTING.md", "Makefile", "README.md", "LICENSE", "LICENSES", "cmd", "deploy", "docs", "driver", "gen",
		"go.mod", "go.sum", "internal", "packaging", "scap", "scripts", "sinsp", "tables", "vmtest"} {
		out, err := exec.Command("cp", "-a", filepath.Join(root, entry), dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "bin")+"/", "./cmd/...")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0") // as the Makefile does
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for from, to := range files {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		for _, name := range to {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
		}
	}
	return dir
}

// files are those that the documents name, by what they are made of.
var files = map[string][]string{
	"testdata/falco_rules.yaml":                       {"falco_rules.yaml"},
	"testdata/my_rules.yaml":                          {"my_rules.yaml"},
	"../scap/savefile/testdata/corpus/6.12-ebpf.scap": {"trace.scap", "old.scap", "other.scap"},
}

// Commands in running text name commands and flags that there are.
func TestCommandsInTextExist(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./cmd/...")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	help := map[string]string{}
	helpOf := func(words ...string) string {
		key := strings.Join(words, " ")
		if _, ok := help[key]; !ok {
			out, _ := exec.Command(filepath.Join(dir, words[0]), append(slices.Clone(words[1:]), "--help")...).CombinedOutput()
			help[key] = string(out)
		}
		return help[key]
	}
	inText := regexp.MustCompile("`(?:bin/|sudo |go run \\./cmd/)*(scap|scaplab) ([^`\n]+)`")
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range inText.FindAllSubmatch(text, -1) {
			found++
			path := []string{string(m[1])}
			isProgram := len(path)
			for _, word := range strings.Fields(comment.ReplaceAllString(string(m[2]), "")) {
				switch {
				case word == "--": // what follows belongs to another program
				case strings.HasPrefix(word, "--"):
					name, _, _ := strings.Cut(strings.Trim(word, "[]"), "=")
					assert.Regexp(t, regexp.MustCompile(regexp.QuoteMeta(name)+`\b`), helpOf(path...), "%s: %s", page, m[0])
				case isProgram > 0 && regexp.MustCompile(`(?m)^  `+regexp.QuoteMeta(word)+` `).MatchString(helpOf(path...)):
					path = append(path, word)
					continue
				case len(path) == 1 && !strings.HasPrefix(word, "-"):
					assert.Fail(t, "there is no such command", "%s: %s", page, m[0])
				}
				isProgram = 0
				if word == "--" {
					break
				}
			}
		}
	}
	require.NotZero(t, found)
}

// Links lead to files of the project, and to headings that they have.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllSubmatch(text, -1) {
			target := string(m[1])
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, heading, _ := strings.Cut(target, "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			content, err := os.ReadFile(path)
			if st, statErr := os.Stat(path); statErr == nil && st.IsDir() {
				err = nil
			}
			if errors.Is(err, fs.ErrNotExist) {
				assert.Fail(t, "there is no such file", "%s: %s", page, target)
				continue
			}
			require.NoError(t, err)
			if heading != "" && strings.HasSuffix(path, ".md") {
				assert.Contains(t, headings(content), heading, "%s: %s", page, target)
			}
		}
	}
}

// headings returns the names by which links reach the headings of a page.
func headings(text []byte) []string {
	var list []string
	for line := range bytes.Lines(text) {
		if rest := bytes.TrimLeft(line, "#"); len(rest) < len(line) && len(rest) > 0 && rest[0] == ' ' {
			name := strings.ToLower(strings.TrimSpace(string(rest)))
			name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
			list = append(list, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return list
}
