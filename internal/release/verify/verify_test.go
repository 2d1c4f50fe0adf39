// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lib "aead.dev/minisign"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/modsign/modsigntest"
	"github.com/scaplab/scaplab/internal/release"
	"github.com/scaplab/scaplab/internal/release/verify"
)

// tree is the files of a release by their paths.
type tree map[string][]byte

const (
	moduleA = "1.2.3+driver/x86_64/scap_debian_6.12.118-1-cloud-amd64_1.ko"
	moduleB = "1.2.3+driver/aarch64/scap_debian_6.12.118-1-cloud-arm64_1.ko"
	object  = "bpf/amd64/core.o"
	logFile = "load-tests/x86_64/scap_debian_6.12.118-1-cloud-amd64_1.log"
)

// signer signs a release; without keys it does not.
type signer struct {
	files   *minisign.Key
	modules *modsign.Key
}

func mustSigner(t *testing.T) signer {
	_, private, err := lib.GenerateKey(nil)
	require.NoError(t, err)
	text, err := private.MarshalText()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "minisign.key")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	key, err := minisign.LoadKey(file, nil)
	require.NoError(t, err)
	modules, _, _ := modsigntest.Key(t, "modules")
	return signer{key, modules}
}

func (s signer) keys() verify.Keys {
	pub := s.files.Public()
	return verify.Keys{Files: &pub, Modules: s.modules.Certificate}
}

// make returns a release of two modules and an object.
func (s signer) make(t *testing.T) tree {
	all := tree{object: []byte("\x7fELF object"), logFile: []byte("passed\n")}
	m := release.Manifest{Format: 1, Driver: "scap", Version: "1.2.3", Objects: []release.Object{{File: object, Arch: "amd64", SHA256: files.Sum(all[object])}}}
	var subjects []any
	subject := func(name string) {
		subjects = append(subjects, map[string]any{"name": name, "digest": map[string]string{"sha256": files.Sum(all[name])}})
	}
	for i, name := range []string{moduleA, moduleB} {
		unsigned := append([]byte("\x7fELF module of "), name...)
		all[name] = unsigned
		if s.modules != nil {
			var err error
			all[name], err = s.modules.Sign(unsigned)
			require.NoError(t, err)
			m.SignedBy = files.Sum(s.modules.Certificate.Raw)
		}
		m.Kernels = append(m.Kernels, release.Kernel{Release: fmt.Sprint(i), Module: &release.Module{File: name, SHA256: files.Sum(all[name]), Unsigned: files.Sum(unsigned)}})
		subject(name)
	}
	m.Kernels = append(m.Kernels, release.Kernel{Release: "without a module"})
	subject(object)
	all[release.ManifestFile] = mustJSON(t, m)
	all[release.SBOMFile] = mustJSON(t, map[string]string{"bomFormat": "CycloneDX"})
	all[release.ProvenanceFile] = mustJSON(t, map[string]any{"_type": "https://in-toto.io/Statement/v1", "subject": subjects})
	s.seal(all)
	return all
}

func mustJSON(t *testing.T, v any) []byte {
	text, err := json.MarshalIndent(v, "", "\t")
	require.NoError(t, err)
	return append(text, '\n')
}

// seal writes the sums, and signs.
func (s signer) seal(all tree) {
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != release.SumsFile && name != logFile && path.Ext(name) != release.Minisig {
			fmt.Fprintf(&sums, "%s  %s\n", files.Sum(all[name]), name)
		}
	}
	all[release.SumsFile] = []byte(sums.String())
	if s.files != nil {
		for _, name := range []string{release.SumsFile, release.ProvenanceFile} {
			all[name+release.Minisig] = s.files.Sign(all[name], "scaplab 1.2.3")
		}
	}
}

func (all tree) write(t *testing.T) string {
	dir := t.TempDir()
	for name, data := range all {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
	return dir
}

// problems returns what is wrong with a release, a line each.
func (all tree) problems(t *testing.T, keys verify.Keys) string {
	r, err := verify.Directory(all.write(t), keys)
	require.NoError(t, err)
	var text strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&text, p)
	}
	return text.String()
}

// linesOf returns the lines of modules and objects by their file.
func linesOf(said string) map[string][]string {
	lines := map[string][]string{}
	for line := range strings.Lines(said) {
		if file, _, _ := strings.Cut(line, ": "); path.Ext(file) == ".ko" || path.Ext(file) == ".o" {
			lines[file] = append(lines[file], line)
		}
	}
	return lines
}

func TestAReleaseIsFine(t *testing.T) {
	s := mustSigner(t)
	id := fmt.Sprintf("%016X", s.files.Public().ID())
	for name, tt := range map[string]struct {
		signer signer
		keys   verify.Keys
		said   []string
	}{
		"signed": {s, s.keys(), []string{"The files are signed with key " + id + ".", `The modules are signed with the key of "CN=modules".`}},
		"signed, without keys": {s, verify.Keys{}, []string{"The files are signed; without --minisign-pub the signatures are not verified.",
			"The modules are signed; without --module-cert the signatures are not verified."}},
		"not signed": {signer{}, verify.Keys{}, []string{"The files are not signed.", "The modules are not signed."}},
	} {
		r, err := verify.Directory(tt.signer.make(t).write(t), tt.keys)
		require.NoError(t, err)
		require.Equal(t, &verify.Report{Files: 6, Modules: 2, Objects: 1, Signed: tt.said}, r, name)
	}
}

func TestWhatIsDemandedMustBeSigned(t *testing.T) {
	s, other := mustSigner(t), mustSigner(t)
	require.Equal(t, 4, strings.Count(signer{}.make(t).problems(t, s.keys()), "not signed (want "), "two files and two modules")
	require.Contains(t, signer{}.make(t).problems(t, s.keys()), "manifest.json: signed_by: is not set (want "+files.Sum(s.modules.Certificate.Raw)+`, of the certificate "CN=modules")`)
	said := other.make(t).problems(t, s.keys())
	require.Equal(t, 2, strings.Count(said, ": signature: signed with key "), said)
	require.Equal(t, 2, strings.Count(said, ".ko: signature: "), said)
	// The manifest promises signatures, which are looked for without a key, too.
	all := s.make(t)
	signed, unsigned := all[moduleA], modsign.Strip(all[moduleA])
	all[moduleA] = unsigned
	for _, name := range []string{release.ManifestFile, release.ProvenanceFile} {
		edit(all, name, files.Sum(signed), files.Sum(unsigned))
	}
	s.seal(all)
	require.Contains(t, all.problems(t, verify.Keys{}), moduleA+": signature: not signed (want it signed: signed_by in manifest.json)\n")
}

func TestEveryChangeOfEveryFileIsFound(t *testing.T) {
	s := mustSigner(t)
	whole := s.make(t)
	names := slices.Sorted(maps.Keys(whole))
	require.Len(t, names, 10)
	for _, keys := range []verify.Keys{s.keys(), {}} {
		// Nothing covers logs; without a key nothing covers signatures.
		covered := func(name string) bool {
			return name != logFile && (keys.Files != nil || path.Ext(name) != release.Minisig)
		}
		for _, name := range names {
			change := func(what string, f func(all tree)) {
				all := maps.Clone(whole)
				f(all)
				said := all.problems(t, keys)
				if !covered(name) {
					require.Empty(t, said, "%s of %s", what, name)
					return
				}
				require.Contains(t, said, strings.TrimSuffix(name, release.Minisig), "%s of %s", what, name)
				for file, lines := range linesOf(said) {
					require.Len(t, lines, 1, "%s of %s: one line for %s", what, name, file)
				}
			}
			for _, at := range []int{0, len(whole[name]) / 2, len(whole[name]) - 2} {
				if path.Ext(name) == release.Minisig && at == 0 {
					continue // a comment that is not trusted, as the minisign program treats it
				}
				change(fmt.Sprint("flip byte ", at), func(all tree) {
					all[name] = bytes.Clone(all[name])
					all[name][at] ^= 1
				})
			}
			change("cut", func(all tree) { all[name] = all[name][:len(all[name])-2] }) // one is a newline, which a signature may lack
			change("empty", func(all tree) { all[name] = nil })
			change("remove", func(all tree) { delete(all, name) })
			for _, other := range names {
				if other != name && covered(name) && covered(other) {
					change("swap with "+other, func(all tree) { all[name], all[other] = all[other], all[name] })
				}
			}
		}
		for _, name := range []string{"new", "bpf/new.o", moduleA + ".bak", "load-tests", release.ManifestFile + release.Minisig, moduleA + release.Minisig} {
			all := maps.Clone(whole)
			delete(all, logFile)
			all[name] = []byte("new")
			require.Contains(t, all.problems(t, keys), name+": is not ", name)
		}
	}
}

// The sums of a release that is not signed can be made to fit; manifest and provenance must agree with them, still.
func TestFilesMustAgreeThoughTheSumsFit(t *testing.T) {
	for want, change := range map[string]func(all tree){
		moduleA + ": sha256: is ": func(all tree) { all[moduleA] = []byte("\x7fELF other") },
		moduleA + ": sha256 without a signature: is ": func(all tree) {
			edit(all, release.ManifestFile, `"unsigned_sha256": "`+files.Sum(all[moduleA]), `"unsigned_sha256": "`+strings.Repeat("0", 64))
		},
		object + ": is missing (manifest.json has it)":             func(all tree) { delete(all, object) },
		"bpf/new.o: is not in manifest.json":                       func(all tree) { all["bpf/new.o"] = nil },
		"manifest.json: is missing":                                func(all tree) { delete(all, release.ManifestFile) },
		"manifest.json: format 2 (want 1)":                         func(all tree) { edit(all, release.ManifestFile, `"format": 1`, `"format": 2`) },
		"manifest.json: invalid character":                         func(all tree) { all[release.ManifestFile] = []byte("x") },
		"manifest.json: " + moduleA + ": is there twice":           func(all tree) { edit(all, release.ManifestFile, moduleB, moduleA) },
		"provenance.intoto.json: is missing":                       func(all tree) { delete(all, release.ProvenanceFile) },
		"provenance.intoto.json: not JSON":                         func(all tree) { all[release.ProvenanceFile] = []byte("x") },
		`provenance.intoto.json: _type: is "https://in-toto.io/St`: func(all tree) { edit(all, release.ProvenanceFile, "/v1", "/v2") },
		"provenance.intoto.json: subject: " + moduleB + " is miss": func(all tree) { edit(all, release.ProvenanceFile, moduleB, moduleA) },
		`provenance.intoto.json: subject 2: "` + moduleA + `" is `: func(all tree) { edit(all, release.ProvenanceFile, moduleB, moduleA) },
		`provenance.intoto.json: subject 3: "x" is no module or o`: func(all tree) { edit(all, release.ProvenanceFile, object, "x") },
		object + ": sha256: is " + files.Sum([]byte("\x7fELF object")) + " (want 00": func(all tree) {
			edit(all, release.ProvenanceFile, files.Sum(all[object]), strings.Repeat("0", 64))
		},
	} {
		all := signer{}.make(t)
		change(all)
		signer{}.seal(all)
		require.Contains(t, all.problems(t, verify.Keys{}), want)
	}
}

func edit(all tree, name, from, to string) {
	all[name] = []byte(strings.Replace(string(all[name]), from, to, 1))
}

func TestLinesOfTheSumsAreChecked(t *testing.T) {
	for line, want := range map[string]string{
		"nonsense":                               `SHA256SUMS:7: "nonsense" is no`,
		strings.Repeat("0", 62) + "  x":          "SHA256SUMS:7: \"",
		strings.Repeat("0", 64) + "  ../x":       "SHA256SUMS:7: ../x: is no path inside the release",
		strings.Repeat("0", 64) + "  /x":         "SHA256SUMS:7: /x: is no path inside the release",
		strings.Repeat("0", 64) + "  x":          "x: is missing (SHA256SUMS:7 lists it)",
		strings.Repeat("0", 64) + "  " + object:  "SHA256SUMS:7: " + object + ": is listed twice",
		strings.Repeat("0", 64) + "  " + logFile: "SHA256SUMS:7: " + logFile + ": is listed (want neither ",
	} {
		all := signer{}.make(t)
		all[release.SumsFile] = append(all[release.SumsFile], line+"\n"...)
		require.Contains(t, all.problems(t, verify.Keys{}), want)
	}
}

func TestOtherThanFilesAreRefused(t *testing.T) {
	dir := signer{}.make(t).write(t)
	outside := filepath.Join(t.TempDir(), "object")
	require.NoError(t, os.WriteFile(outside, []byte("\x7fELF object"), 0o600)) // the same content
	require.NoError(t, os.Remove(filepath.Join(dir, object)))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, object)))
	r, err := verify.Directory(dir, verify.Keys{})
	require.NoError(t, err)
	require.Contains(t, r.Problems, verify.Problem{File: object, Text: "is neither a file nor a directory (a release has nothing else)"})

	huge, err := os.Create(filepath.Join(dir, "huge"))
	require.NoError(t, err)
	require.NoError(t, huge.Truncate(256<<20+1)) // takes no room on the disk
	require.NoError(t, huge.Close())
	r, err = verify.Directory(dir, verify.Keys{})
	require.NoError(t, err)
	require.Contains(t, r.Problems, verify.Problem{File: "huge", Subject: "size", Text: "is 268435457 bytes (want at most 268435456)"})

	_, err = verify.Directory(t.TempDir(), verify.Keys{})
	require.ErrorContains(t, err, "is no release: it has neither SHA256SUMS nor manifest.json")
	_, err = verify.Directory(filepath.Join(dir, "none"), verify.Keys{})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
