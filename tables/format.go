// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/yamltext"
)

// Unformatted returns the files of the table in a directory that are not in the
// canonical layout, by path below it, with the text that Format makes of them.
func Unformatted(dir string) (map[string][]byte, error) {
	fsys := os.DirFS(dir)
	out := map[string][]byte{}
	var errs ErrorList
	for _, pattern := range []string{"*.yaml", partDir + "/*.yaml"} {
		names, err := fs.Glob(fsys, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			src, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, err
			}
			text, err := Format(path.Join(filepath.ToSlash(dir), name), src)
			var list ErrorList
			switch {
			case errors.As(err, &list):
				errs = append(errs, list...)
			case err != nil:
				return nil, err
			case !bytes.Equal(text, src):
				out[name] = text
			}
		}
	}
	if len(errs) > 0 {
		return nil, errs.Sorted()
	}
	return out, nil
}

// Format puts a file of the table into its canonical layout: keys of entries
// and cases in the order of the package comment, the columns of params and
// cases in line, one empty line around entries of several lines, no blanks at
// the ends of lines. Comments stay where they are. The error is an ErrorList if the
// file does not parse, else it says that Format would change the meaning.
func Format(name string, src []byte) ([]byte, error) {
	var errs ErrorList
	f := parseFile(name, src, &errs)
	if f == nil {
		return nil, errs.Sorted()
	}
	text := strings.ReplaceAll(string(src), "\r\n", "\n")
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, " \t\n"), "\n") {
		lines = append(lines, strings.TrimRight(line, " \t"))
	}
	out := []byte(strings.Join(layoutRoot(lines, f.root), "\n") + "\n")

	var again ErrorList
	g := parseFile(name, out, &again)
	if g == nil || !sameMeaning(f.root, g.root) {
		return nil, fmt.Errorf("%s: this layout cannot be changed without changing its meaning", name)
	}
	return out, nil
}

// sameMeaning compares nodes except for places, styles and the order of keys.
func sameMeaning(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) || a.Style&yamltext.Quoted != b.Style&yamltext.Quoted {
		return false
	}
	if a.Kind != yaml.MappingNode {
		for i := range a.Content {
			if !sameMeaning(a.Content[i], b.Content[i]) {
				return false
			}
		}
		return true
	}
	used := make([]bool, len(b.Content))
	for i := 0; i+1 < len(a.Content); i += 2 {
		j := 0
		for j+1 < len(b.Content) && (used[j] || !sameMeaning(a.Content[i], b.Content[j]) || !sameMeaning(a.Content[i+1], b.Content[j+1])) {
			j += 2
		}
		if j+1 >= len(b.Content) {
			return false
		}
		used[j] = true
	}
	return true
}

// layouts has the key order of the items of each list that has an order.
var layouts = map[string][]string{
	"syscalls": syscallKeys, "cases": caseKeys, "events": {"event", "name", "symbol", "class", "source", "from", "filler", "flags", "fd", "drop", "lost", "differs", "differs_of", "params", "state"},
	"groups": {"group", "doc", "params"}, "wants": {"want", "doc", "values"}, "flags": {"set", "kernel", "kind", "width", "default", "doc", "values"},
	"helpers": {"value", "param", "given", "after", "act", "filler", "zero", "user", "reads", "doc"}, "reducers": {"reducer", "on", "doc"}, "ids": {"id", "syscall", "drop", "nr", "hot", "probe"}, "ia32": {"syscall", "nr", "as", "layout"}, "x32": {"syscall", "nr"},
	"suites": suiteKeys, "scenarios": scenarioKeys, "shows": shownKeys, "never": shownKeys,
}

// dense are lists whose items of several lines need no empty line between them.
var dense = map[string]bool{"helpers": true, "reducers": true, "wants": true, "shows": true, "never": true}

func layoutRoot(lines []string, root *yaml.Node) []string {
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 {
		return lines
	}
	var out []string
	at := 0
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		end := len(lines)
		if i+2 < len(root.Content) {
			end = min(head(lines, root.Content[i+2].Line-1), len(lines))
		}
		if key.Line > end || key.Line-1 < at {
			return lines
		}
		out = append(out, squeeze(lines[at:key.Line])...)
		out = append(out, layoutList(lines, key.Line, end, key.Value, val)...)
		at = end
	}
	return append(out, lines[at:]...)
}

func blank(line string) bool   { return strings.TrimSpace(line) == "" }
func comment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }
func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// head returns the first of the comment lines right above line i.
func head(lines []string, i int) int {
	for i > 0 && i <= len(lines) && comment(lines[i-1]) {
		i--
	}
	return i
}

// layoutList lays out lines[start:end], which hold the items of the list under key.
func layoutList(lines []string, start, end int, key string, n *yaml.Node) []string {
	if key == "exit" || key == "enter" || key == "params" {
		return alignParams(lines[start:end])
	}
	order := layouts[key]
	if order == nil || n.Kind != yaml.SequenceNode || n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
		return lines[start:end]
	}
	var out []string
	at := start
	long := false // the item before has several lines
	for i, item := range n.Content {
		first := item.Line - 1
		stop := end
		if i+1 < len(n.Content) {
			stop = n.Content[i+1].Line - 1
		}
		if first < at || stop <= first || stop > end || !strings.HasPrefix(strings.TrimLeft(lines[first], " "), "- ") {
			return lines[start:end]
		}
		last := stop // the line after the item's last line that is not a comment
		for last > first+1 && (blank(lines[last-1]) || comment(lines[last-1])) {
			last--
		}
		body := layoutItem(lines, first, last, order, item)
		gap := squeeze(lines[at:first])
		if i > 0 && key != "cases" && (long || len(body) > 1 && !dense[key]) && !slices.ContainsFunc(gap, blank) {
			gap = append([]string{""}, gap...)
		}
		if key == "cases" {
			gap = slices.DeleteFunc(gap, blank)
		}
		out = append(append(out, gap...), body...)
		long = len(body) > 1 && !dense[key]
		at = last
	}
	return append(out, squeeze(lines[at:end])...)
}

// squeeze replaces several empty lines by one.
func squeeze(lines []string) []string {
	return slices.CompactFunc(slices.Clone(lines), func(a, b string) bool { return blank(a) && blank(b) })
}

// block is a key of an item with its lines and the comments above it.
type block struct {
	key   string
	lines []string
	line  int // index of the key's own line
}

// layoutItem puts the keys of one item in order.
func layoutItem(lines []string, first, last int, order []string, n *yaml.Node) []string {
	if n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 {
		return lines[first:last]
	}
	dash := indentOf(lines[first])
	margin := strings.Repeat(" ", dash+2)
	var blocks []block
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		from, to := head(lines, key.Line-1), last
		if i == 0 {
			from = first
		}
		if i+2 < len(n.Content) {
			to = head(lines, n.Content[i+2].Line-1)
		}
		if from < first || to <= key.Line-1 || to > last || key.Column != dash+3 {
			return lines[first:last] // not laid out by lines
		}
		b := block{key: key.Value, line: key.Line - 1 - from}
		b.lines = append(b.lines, lines[from:key.Line]...)
		b.lines = append(b.lines, layoutList(lines, key.Line, to, key.Value, val)...)
		for len(b.lines) > b.line+1 && blank(b.lines[len(b.lines)-1]) {
			b.lines = b.lines[:len(b.lines)-1]
		}
		if i == 0 {
			b.lines[0] = margin + b.lines[0][dash+2:]
		}
		blocks = append(blocks, b)
	}
	rank := func(b block) int {
		if i := slices.Index(order, b.key); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(blocks, func(a, b block) int { return cmp.Compare(rank(a), rank(b)) })
	alignCase(blocks)
	var out []string
	for i, b := range blocks {
		if i == 0 {
			if b.line > 0 { // a comment would come between the dash and its key
				return lines[first:last]
			}
			b.lines[0] = margin[:dash] + "- " + b.lines[0][dash+2:]
		}
		out = append(out, b.lines...)
	}
	return out
}

// alignCase puts the values of given, call, after and want in one column.
func alignCase(blocks []block) {
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.key == "call" }) {
		return
	}
	width := len("call:")
	for _, b := range blocks {
		if b.key == "name" || b.key == "given" || b.key == "after" {
			width = len("given:")
		}
	}
	for _, b := range blocks {
		switch b.key {
		case "given", "call", "after", "want", "child":
			setColumn(b.lines, b.line, b.key+":", width)
		}
	}
}

// setColumn pads the key of lines[i], and moves the lines that continue its value.
func setColumn(lines []string, i int, key string, width int) {
	line := lines[i]
	at := strings.Index(line, key)
	rest := strings.TrimLeft(line[at+len(key):], " ")
	if rest == "" || comment(rest) {
		return
	}
	old := len(line) - len(rest)
	lines[i] = line[:at+len(key)] + strings.Repeat(" ", max(1, width+1-len(key))) + rest
	shift(lines[i+1:], len(lines[i])-len(rest)-old)
}

// shift moves lines that continue a value.
func shift(lines []string, by int) {
	for i, line := range lines {
		if n := indentOf(line) + by; !blank(line) && n > 0 {
			lines[i] = strings.Repeat(" ", n) + line[indentOf(line):]
		}
	}
}

var (
	paramLine = regexp.MustCompile(`^( *- \w+:) +(\{.*)$`)
	typeFirst = regexp.MustCompile(`^(\{type: \w+,) +(.*)$`)
)

// alignParams puts the braces of a list of params in one column, and the text after
// the type in another.
func alignParams(src []string) []string {
	lines := slices.Clone(src)
	names, types := 0, 0
	var at []int
	for i, line := range lines {
		if m := paramLine.FindStringSubmatch(line); m != nil {
			at = append(at, i)
			names = max(names, utf8.RuneCountInString(m[1]))
			if t := typeFirst.FindStringSubmatch(m[2]); t != nil {
				types = max(types, len(t[1]))
			}
		}
	}
	for k, i := range at {
		m := paramLine.FindStringSubmatch(lines[i])
		body := m[2]
		old := len(lines[i]) - len(body)
		if t := typeFirst.FindStringSubmatch(body); t != nil {
			body = fmt.Sprintf("%-*s %s", types, t[1], t[2])
		}
		next := len(lines)
		if k+1 < len(at) {
			next = at[k+1]
		}
		lines[i] = fmt.Sprintf("%-*s %s", names, m[1], body)
		end := i + 1
		for end < next && !strings.HasPrefix(strings.TrimLeft(lines[end], " "), "- ") && !comment(lines[end]) {
			end++
		}
		shift(lines[i+1:end], len(lines[i])-len(body)-old)
	}
	return lines
}
