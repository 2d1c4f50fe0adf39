// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/tables"
)

// File is the file of the table that the entry belongs to, below its directory.
func (e *Entry) File() string { return "syscalls/" + e.Class + ".yaml" }

// Todos returns all that a person must decide of the draft, in the order of its text.
func (e *Entry) Todos() []string {
	var list []string
	for _, text := range append([]string{e.Text()}, e.others()...) {
		for line := range strings.Lines(text) {
			if _, todo, ok := strings.Cut(line, "TODO: "); ok {
				key, _, _ := strings.Cut(strings.TrimLeft(line, " -#"), ":")
				list = append(list, key+": "+strings.Trim(strings.TrimSpace(todo), "'}"))
			}
		}
	}
	return list
}

// others are the texts for other files.
func (e *Entry) others() (texts []string) {
	for _, s := range e.Sets {
		texts = append(texts, s.Text())
	}
	for _, s := range e.Structs {
		texts = append(texts, s.Text())
	}
	return texts
}

// Add puts drafts into the files of a table: entries behind the ones that they are like, sets and structs at the ends. It
// returns the new texts of the files that change, by path below the directory, in their canonical layout with all comments.
func Add(dir string, entries []*Entry) (map[string][]byte, error) {
	files := map[string]string{}
	read := func(name string) (string, error) {
		if text, ok := files[name]; ok {
			return text, nil
		}
		src, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		return string(src), err
	}
	add := func(name, key, after, text string) error {
		src, err := read(name)
		if err == nil {
			files[name], err = insert(src, key, after, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	have := map[string]bool{}
	last := map[string]string{} // the draft that stands behind an entry
	for _, e := range entries {
		after := e.After
		if last[e.File()+after] != "" {
			after = last[e.File()+after]
		}
		last[e.File()+e.After] = e.Call
		text := e.Text()
		if ids, err := read("ids.yaml"); err == nil {
			if rest, facts := moved(ids, e.Call); facts != "" {
				files["ids.yaml"] = rest
				text = strings.Replace(text, "\n  event: ", "\n"+facts+"  event: ", 1)
			}
		}
		if err := add(e.File(), "syscall", after, text); err != nil {
			return nil, err
		}
		for _, s := range e.Sets {
			if !have["set "+s.Name] {
				have["set "+s.Name] = true
				if err := add("flags.yaml", "set", "", s.Text()); err != nil {
					return nil, err
				}
			}
		}
		for _, s := range e.Structs {
			if !have["struct "+s.Name] {
				have["struct "+s.Name] = true
				if err := add("structs.yaml", "struct", "", s.Text()); err != nil {
					return nil, err
				}
			}
		}
	}
	out := map[string][]byte{}
	for name, text := range files {
		formatted, err := tables.Format(name, []byte(text))
		if err != nil {
			return nil, err
		}
		out[name] = formatted
	}
	return out, nil
}

var ofEntry = regexp.MustCompile(`, ((?:hot|probe): (?:\{[^}]*\}|\[[^\]]*\]|\w+))`)

// moved takes what ids.yaml says of a call that has no entry out of it, as keys of the entry.
func moved(ids, call string) (rest, keys string) {
	line := regexp.MustCompile(`(?m)^- \{id: \d+, syscall: ` + call + `,.*$`)
	rest = line.ReplaceAllStringFunc(ids, func(id string) string {
		for _, m := range ofEntry.FindAllStringSubmatch(id, -1) {
			keys += "  " + m[1] + "\n"
		}
		return ofEntry.ReplaceAllString(id, "")
	})
	return rest, keys
}

// insert puts an item behind another of a list, or behind the last one. Comments above the next item stay with it.
func insert(src, key, after, item string) (string, error) {
	lines := strings.Split(strings.TrimRight(src, "\n"), "\n")
	starts := func(line string) bool { return strings.HasPrefix(line, "- ") }
	at := len(lines)
	if i := slices.IndexFunc(lines, func(l string) bool { return after != "" && strings.HasPrefix(l, "- "+key+": "+after+"(") }); i >= 0 {
		if next := slices.IndexFunc(lines[i+1:], starts); next >= 0 {
			at = i + 1 + next
		}
	} else if !slices.ContainsFunc(lines, starts) {
		return "", fmt.Errorf("the file has no list of items that begin with - %s", key)
	}
	for at > 0 && at < len(lines) && (strings.TrimSpace(lines[at-1]) == "" || strings.HasPrefix(lines[at-1], "#")) {
		at--
	}
	text := append([]string{""}, strings.Split(strings.TrimRight(item, "\n"), "\n")...)
	if at < len(lines) {
		text = append(text, "")
	}
	return strings.Join(slices.Insert(lines, at, text...), "\n") + "\n", nil
}
