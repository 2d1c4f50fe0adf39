// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/rpmpack"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
)

// program is a file that the build system's programs can be, as far as is looked.
func program(t *testing.T, machine elf.Machine) string {
	t.Helper()
	var h bytes.Buffer
	h.WriteString("\x7fELF\x02\x01\x01")
	h.Write(make([]byte, 64-h.Len()))
	text := h.Bytes()
	text[16], text[18], text[20], text[52] = 2, byte(machine), 1, 64
	return string(text)
}

// tree writes files of a header directory; with -> in front, a link.
func tree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if to, ok := strings.CutPrefix(text, "->"); ok {
			require.NoError(t, os.Symlink(to, file))
			continue
		}
		require.NoError(t, os.WriteFile(file, []byte(text), 0o755))
	}
}

func whole(t *testing.T, release string) map[string]string {
	here := program(t, machines[runtime.GOARCH])
	return map[string]string{
		releaseFile: "#define UTS_RELEASE \"" + release + "\"\n", "Makefile": "all:\n", "scripts/basic/fixdep": here, "scripts/mod/modpost": here,
		"include/generated/utsversion.h": "#define UTS_VERSION \"#7 SMP\"\n", ".config": "CONFIG_X=y\n",
	}
}

func with(files map[string]string, more ...string) map[string]string {
	for i := 0; i < len(more); i += 2 {
		if files[more[i]] = more[i+1]; more[i+1] == "" {
			delete(files, more[i])
		}
	}
	return files
}

func TestTreeMustBeOfTheKernel(t *testing.T) {
	dir := t.TempDir()
	store := &kernels.Store{Cache: t.TempDir()}
	_, err := OpenLocal(t.Context(), store, dir)
	require.ErrorContains(t, err, "is not what modules can be built against")
	tree(t, dir, whole(t, "6.1.0"))
	one, err := OpenLocal(t.Context(), store, dir)
	require.NoError(t, err)
	require.Equal(t, "6.1.0", one.Release)
	require.Equal(t, "#7 SMP", one.UnameVersion())
	config, err := one.Config()
	require.NoError(t, err)
	require.Equal(t, "CONFIG_X=y\n", string(config))
	require.NoError(t, one.of(kernels.Kernel{Release: "6.1.0"}))
	err = one.of(kernels.Kernel{Release: "6.2.0"})
	require.ErrorContains(t, err, `belongs to kernel "6.1.0" (want "6.2.0")`)
	require.ErrorAs(t, err, new(*TreeError))

	tree(t, dir, map[string]string{"include/generated/autoconf.h": "#define CONFIG_SMP 1\n"})
	two, err := OpenLocal(t.Context(), store, dir)
	require.NoError(t, err)
	require.NotEqual(t, one.sum, two.sum, "another configuration is another input")

	link := filepath.Join(t.TempDir(), "build")
	require.NoError(t, os.Symlink(dir, link))
	real, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	three, err := OpenLocal(t.Context(), store, link)
	require.NoError(t, err)
	require.Equal(t, real, three.Tree)
	require.Equal(t, filepath.Base(real), three.inside())
}

func TestWhatHeadersLackIsNamedWithItsPlace(t *testing.T) {
	foreign := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		foreign = elf.EM_X86_64
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a Makefile of another package": {
			with(whole(t, "6.1.0"), "Makefile", "# of Debian\ninclude /usr/src/linux-headers-6.1.0-9-common/Makefile\n"),
			"Makefile:2: includes: /usr/src/linux-headers-6.1.0-9-common/Makefile is not there (give the package that has it, linux-headers-6.1.0-9-common, with --headers, too)",
		},
		"the target of a link": {
			with(whole(t, "6.1.0"), "scripts/basic/fixdep", "", "scripts/mod/modpost", "", "scripts", "->../../lib/linux-kbuild-6.1/scripts"),
			"scripts: link: ../../lib/linux-kbuild-6.1/scripts is not there (give the package that has it, linux-kbuild-6.1, with --headers, too)",
		},
		"a link in a directory": {
			with(whole(t, "5.15.0-91-generic"), "include/linux", "->../../linux-headers-5.15.0-91/include/linux"),
			"include/linux: link: ../../linux-headers-5.15.0-91/include/linux is not there (give the package that has it, linux-headers-5.15.0-91, with --headers, too)",
		},
		"a program": {
			with(whole(t, "6.1.0"), "scripts/mod/modpost", ""),
			"scripts/mod/modpost is not there (on Debian it is in linux-kbuild-*; in a tree, make modules_prepare builds it)",
		},
		"a program for another machine": {
			with(whole(t, "6.1.0"), "scripts/basic/fixdep", program(t, foreign)),
			"scripts/basic/fixdep: it is a program for " + foreign.String(),
		},
		"a program that is none": {with(whole(t, "6.1.0"), "scripts/basic/fixdep", "#!/bin/sh\n"), "(want a program for this machine)"},
		"no Makefile":            {with(whole(t, "6.1.0"), "Makefile", ""), "Makefile: no such file"},
		"no release":             {with(whole(t, "6.1.0"), releaseFile, "#define X\n"), `want #define UTS_RELEASE "..."`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "linux-headers-6.1.0-9-amd64")
			tree(t, dir, tt.files)
			_, err := OpenLocal(t.Context(), &kernels.Store{Cache: t.TempDir()}, dir)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, dir, "the place")
			require.ErrorAs(t, err, new(*TreeError))
		})
	}
	// A link to documentation, which no build reads, may lead nowhere.
	dir := filepath.Join(t.TempDir(), "tree")
	tree(t, dir, with(whole(t, "6.1.0"), "Documentation", "->../elsewhere/Documentation"))
	_, err := OpenLocal(t.Context(), &kernels.Store{Cache: t.TempDir()}, dir)
	require.NoError(t, err)
}

// pack writes the files of a directory as a package, below /prefix.
func pack(t *testing.T, file, prefix string, dirs ...string) {
	t.Helper()
	p, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "kernel-devel", Version: "1", Release: "1", Arch: "x86_64", Compressor: "zstd"})
	require.NoError(t, err)
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			require.NoError(t, err)
			f := rpmpack.RPMFile{Name: filepath.Join("/", prefix, rel), Mode: 0o100644}
			if d.Type()&os.ModeSymlink != 0 {
				to, err := os.Readlink(name)
				require.NoError(t, err)
				f.Body, f.Mode = []byte(to), 0o120777
			} else {
				f.Body, err = os.ReadFile(name)
				require.NoError(t, err)
				st, err := d.Info()
				require.NoError(t, err)
				f.Mode |= uint(st.Mode().Perm())
			}
			p.AddFile(f)
			return nil
		}))
	}
	w, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, p.Write(w))
	require.NoError(t, w.Close())
}

func TestHeadersOfPackages(t *testing.T) {
	here, store := t.TempDir(), &kernels.Store{Cache: t.TempDir()}
	one := filepath.Join(here, "one")
	tree(t, one, whole(t, "5.14.0-503.el9.x86_64"))
	devel := filepath.Join(here, "kernel-devel.rpm")
	pack(t, devel, "usr/src/kernels/5.14.0-503.el9.x86_64", one)
	l, err := OpenLocal(t.Context(), store, devel)
	require.NoError(t, err)
	require.Equal(t, "5.14.0-503.el9.x86_64", l.Release)
	require.Equal(t, "kernels/5.14.0-503.el9.x86_64", l.inside())
	require.Len(t, l.Packages, 1)
	require.Equal(t, "kernel-devel.rpm", l.Packages[0].Name)

	// A directory that is deeper, and whose Makefile is in another package.
	two := filepath.Join(here, "two")
	tree(t, two, with(whole(t, "6.4.0-default"), "Makefile", "include /usr/src/linux-6.4.0/Makefile\n"))
	obj := filepath.Join(here, "kernel-default-devel.rpm")
	pack(t, obj, "usr/src/linux-6.4.0-obj/x86_64/default", two)
	_, err = OpenLocal(t.Context(), store, obj)
	require.EqualError(t, err, "usr/src/linux-6.4.0-obj/x86_64/default/Makefile:1: includes: /usr/src/linux-6.4.0/Makefile is not there (give the package that has it, linux-6.4.0, with --headers, too)")
	three := filepath.Join(here, "three")
	tree(t, three, map[string]string{"Makefile": "all:\n"})
	source := filepath.Join(here, "kernel-devel-6.4.rpm")
	pack(t, source, "usr/src/linux-6.4.0", three)
	l, err = OpenLocal(t.Context(), store, obj, source)
	require.NoError(t, err)
	require.Equal(t, "linux-6.4.0-obj/x86_64/default", l.inside())
	again, err := OpenLocal(t.Context(), store, source, obj)
	require.NoError(t, err)
	require.Equal(t, l, again, "in any order")

	for want, names := range map[string][]string{
		"headers of several kernels, ":                      {devel, obj, source},
		"kernel-devel-6.4.rpm: no usr/src/*/" + releaseFile: {source},
		"a directory is given alone, without packages":      {devel, one},
		"no such file":                        {filepath.Join(here, "none.deb")},
		"is no package (want a .deb or .rpm)": {filepath.Join(one, ".config")},
	} {
		_, err := OpenLocal(t.Context(), store, names...)
		require.ErrorContains(t, err, want)
		require.ErrorAs(t, err, new(*TreeError))
	}
}

// The packages of Debian, given by file: each that lacks is named, and together they build.
func TestHeadersOfDebianGivenByFile(t *testing.T) {
	b, k := mustKernel(t)
	packages, err := b.Store.Headers(t.Context(), k)
	require.NoError(t, err)
	file := map[string]string{}
	for _, p := range packages { // linux-headers-R, linux-headers-R-common, linux-kbuild-S
		kind := "headers"
		switch {
		case strings.HasSuffix(p.Name, "-common"):
			kind = "common"
		case strings.HasPrefix(p.Name, "linux-kbuild"):
			kind = "kbuild"
		}
		file[kind] = p.File
	}
	require.Len(t, file, 3)
	_, err = OpenLocal(t.Context(), b.Store, file["headers"])
	require.ErrorContains(t, err, "usr/src/linux-headers-"+k.Release+"/Makefile:1: includes: /usr/src/linux-headers-")
	require.ErrorContains(t, err, "-common, with --headers, too)")
	_, err = OpenLocal(t.Context(), b.Store, file["headers"], file["common"])
	require.ErrorContains(t, err, "linux-kbuild-6.1, with --headers, too)")
	b.Local, err = OpenLocal(t.Context(), b.Store, file["kbuild"], file["common"], file["headers"])
	require.NoError(t, err)
	require.Equal(t, k.Release, b.Local.Release)
	version, err := kernels.UnameVersion(k)
	require.NoError(t, err)
	require.Equal(t, version, b.Local.UnameVersion(), "the headers and the image say the same")

	b.source, b.Fresh = small("#if !defined(HAVE_ALWAYS) || defined(HAVE_NEVER)\n#error the probes\n#endif"), t.TempDir()
	m, err := b.Build(t.Context(), k)
	require.NoError(t, err)
	require.Len(t, m.Inputs.Headers, 3)
	require.NotEmpty(t, m.Inputs.Tree)
}
