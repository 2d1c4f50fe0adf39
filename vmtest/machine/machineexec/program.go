// SPDX-License-Identifier: Apache-2.0

package machineexec

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// loaderCache tells the dynamic loader where libraries are. Without it, the loader only looks in its default directories.
const loaderCache = "/etc/ld.so.cache"

// AddProgram adds a program of this system to In, under its own path, with the interpreter and the libraries that it is linked
// with, or, for a script, the interpreter of its first line. What a program opens as it runs is not known.
func (c *Command) AddProgram(file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c.add(file)
	if script, ok := bytes.CutPrefix(text, []byte("#!")); ok {
		line, _, _ := bytes.Cut(script, []byte("\n"))
		words := strings.Fields(string(line))
		if len(words) == 0 {
			return fmt.Errorf("%s: its first line names no interpreter", file)
		}
		return c.AddProgram(words[0])
	}
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s is neither a program nor a script: %w", file, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			if err != nil {
				return fmt.Errorf("%s: interpreter: %w", file, err)
			}
			c.add(strings.TrimRight(string(name), "\x00"))
			c.In = append(c.In, Copy{From: loaderCache, To: loaderCache, Optional: true})
			return c.addLibraries(file, f)
		}
	}
	return nil
}

// add adds a file under its own path, once.
func (c *Command) add(file string) {
	if !slices.ContainsFunc(c.In, func(f Copy) bool { return f.To == file }) {
		c.In = append(c.In, Copy{From: file, To: file})
	}
}

// addLibraries adds the libraries that a program, or one of them, is linked with.
func (c *Command) addLibraries(file string, f *elf.File) error {
	names, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: libraries: %w", file, err)
	}
	var own []string // directories that it names itself
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return fmt.Errorf("%s: libraries: %w", file, err)
		}
		for _, p := range paths {
			own = append(own, filepath.SplitList(strings.ReplaceAll(p, "$ORIGIN", filepath.Dir(file)))...)
		}
	}
	for _, name := range names {
		library, of, err := findLibrary(name, append(own, libraryDirs("/etc/ld.so.conf")...), f.Machine)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if slices.ContainsFunc(c.In, func(f Copy) bool { return f.To == library }) {
			continue
		}
		c.add(library)
		if err := c.addLibraries(library, of); err != nil {
			return err
		}
	}
	return nil
}

// findLibrary returns the first library of that name for a kind of machine.
func findLibrary(name string, dirs []string, machine elf.Machine) (string, *elf.File, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if f, err := elf.NewFile(bytes.NewReader(text)); err == nil && f.Machine == machine {
			return path, f, nil
		}
	}
	return "", nil, fmt.Errorf("library %s is not in %s", name, strings.Join(dirs, ", "))
}

// libraryDirs returns the directories of a configuration of the dynamic loader, and its default ones.
func libraryDirs(config string) []string {
	return append(configuredDirs(config), "/lib64", "/usr/lib64", "/lib", "/usr/lib")
}

func configuredDirs(config string) (dirs []string) {
	f, err := os.Open(config)
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "include":
			included, _ := filepath.Glob(words[1]) // a bad pattern includes nothing
			for _, file := range included {
				dirs = append(dirs, configuredDirs(file)...)
			}
		case len(words) == 1:
			dirs = append(dirs, words[0])
		}
	}
	return dirs
}
