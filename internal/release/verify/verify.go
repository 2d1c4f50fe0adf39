// SPDX-License-Identifier: Apache-2.0

// Package verify checks the directory of a release: its checksums, signatures, manifest and provenance against its files.
package verify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/release"
)

// Keys are what signatures are verified with. Without a key, its signatures are only looked for.
type Keys struct {
	Files   *minisign.PublicKey
	Modules *x509.Certificate
}

// Problem is something wrong in a release.
type Problem struct {
	File    string // relative to the release, with slashes
	Subject string // what of the file; may be ""
	Text    string // what is wrong (what would be right)
}

func (p Problem) String() string {
	if p.Subject == "" {
		return p.File + ": " + p.Text
	}
	return p.File + ": " + p.Subject + ": " + p.Text
}

// Report is the result of a verification.
type Report struct {
	Files    int       // that SHA256SUMS names
	Modules  int       // that the manifest names
	Objects  int       // eBPF objects that it names
	Signed   []string  // what is known of signatures, for people; each is a sentence
	Problems []Problem // in the order of their files
}

// maxSize limits the size of a file. The largest module is below 2 MB.
const maxSize = 256 << 20

// verifier is a verification at work.
type verifier struct {
	Report
	dir  string
	root *os.Root
	sums map[string]string // of every file, by its path
	keys Keys
}

// Directory verifies a release. The error is about reading it; what is wrong with it is in the report.
func Directory(dir string, keys Keys) (*Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	v := &verifier{dir: dir, root: root, sums: map[string]string{}, keys: keys}
	if err := v.walk(); err != nil {
		return nil, err
	}
	if _, ok := v.sums[release.SumsFile]; !ok {
		if _, ok := v.sums[release.ManifestFile]; !ok {
			return nil, fmt.Errorf("%s is no release: it has neither %s nor %s (scaplab build release writes them)", dir, release.SumsFile, release.ManifestFile)
		}
	}
	for _, check := range []func() error{v.checkSums, v.checkFileSignatures, v.checkManifest} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(v.Problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return &v.Report, nil
}

func (v *verifier) wrong(file, subject, format string, args ...any) {
	v.Problems = append(v.Problems, Problem{file, subject, fmt.Sprintf(format, args...)})
}

// wrongContent says what is wrong with a file as a whole. What else is wrong with it follows from the first, and is left out.
func (v *verifier) wrongContent(file, subject, format string, args ...any) {
	if !slices.ContainsFunc(v.Problems, func(p Problem) bool { return p.File == file }) {
		v.wrong(file, subject, format, args...)
	}
}

// say adds a sentence about signatures.
func (v *verifier) say(format string, args ...any) {
	v.Signed = append(v.Signed, fmt.Sprintf(format, args...))
}

// walk computes the sum of every file.
func (v *verifier) walk() error {
	return fs.WalkDir(v.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			v.wrong(name, "", "is neither a file nor a directory (a release has nothing else)")
			return nil
		}
		f, err := v.root.Open(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		switch n, err := io.Copy(h, f); {
		case err != nil:
			return err
		case n > maxSize:
			v.wrong(name, "size", "is %d bytes (want at most %d)", n, maxSize)
		}
		v.sums[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
}

// read returns the content of a file that walk found.
func (v *verifier) read(name string) ([]byte, error) {
	f, err := v.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSize)) // walk has said that a larger one is wrong
}

// isOutside reports whether a file is one that no checksum covers.
func isOutside(name string) bool {
	return name == release.SumsFile || path.Ext(name) == release.Minisig || strings.HasPrefix(name, release.LogDir+"/")
}

// checkSums compares the files with SHA256SUMS, which has lines of sha256sum: 64 hexadecimal digits, two spaces, a path.
func (v *verifier) checkSums() error {
	if _, ok := v.sums[release.SumsFile]; !ok {
		v.wrongContent(release.SumsFile, "", "is missing (want the sums of all files)")
		return nil
	}
	text, err := v.read(release.SumsFile)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	number := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		number++
		at := fmt.Sprintf("%s:%d", release.SumsFile, number)
		sum, name, ok := strings.Cut(line, "  ")
		have, exists := v.sums[name]
		switch digits, err := hex.DecodeString(sum); {
		case !ok || err != nil || len(digits) != sha256.Size || name == "":
			v.wrong(at, "", "%.80q is not a line of sha256sum (want 64 hexadecimal digits, two spaces and a path)", line)
			continue
		case !fs.ValidPath(name):
			v.wrong(at, name, "is no path inside the release")
			continue
		case listed[name]:
			v.wrong(at, name, "is listed twice")
		case isOutside(name):
			v.wrong(at, name, "is listed (want neither %s, signatures nor %s)", release.SumsFile, release.LogDir)
		case !exists:
			v.wrongContent(name, "", "is missing (%s lists it)", at)
		case have != sum:
			v.wrongContent(name, "sha256", "is %s (want %s, %s)", have, sum, at)
		}
		listed[name] = true
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		v.wrong(release.SumsFile, "", "its last line is cut off (want a newline at its end)")
	}
	for _, name := range slices.Sorted(maps.Keys(v.sums)) {
		if !listed[name] && !isOutside(name) {
			v.wrongContent(name, "", "is not listed in %s (want no other files)", release.SumsFile)
		}
	}
	v.Files = len(listed)
	return nil
}

// signedFiles are the files with signatures of their own, in a release that is signed.
var signedFiles = []string{release.SumsFile, release.ProvenanceFile}

// checkFileSignatures verifies the signatures of files.
func (v *verifier) checkFileSignatures() error {
	var signatures []string
	for _, name := range slices.Sorted(maps.Keys(v.sums)) {
		if path.Ext(name) == release.Minisig {
			signatures = append(signatures, name)
		}
	}
	if v.keys.Files != nil {
		for _, name := range signedFiles {
			if _, exists := v.sums[name]; exists && v.sums[name+release.Minisig] == "" {
				v.wrongContent(name, "signature", "not signed (want %s by key %016X)", name+release.Minisig, v.keys.Files.ID())
			}
		}
	}
	for _, name := range signatures {
		of := strings.TrimSuffix(name, release.Minisig)
		if !slices.Contains(signedFiles, of) {
			v.wrong(name, "", "is not a file of a release (want signatures of %s only)", strings.Join(signedFiles, " and "))
			continue
		}
		if _, exists := v.sums[of]; !exists {
			v.wrong(name, "", "signs %s, which is missing", of)
			continue
		}
		if v.keys.Files == nil {
			continue
		}
		data, err := v.read(of)
		if err != nil {
			return err
		}
		sig, err := v.read(name)
		if err != nil {
			return err
		}
		if err := minisign.Verify(*v.keys.Files, data, sig); err != nil {
			v.wrongContent(of, "signature", "%v", err)
		}
	}
	switch {
	case len(signatures) == 0:
		v.say("The files are not signed.")
	case v.keys.Files == nil:
		v.say("The files are signed; without --minisign-pub the signatures are not verified.")
	default:
		v.say("The files are signed with key %016X.", v.keys.Files.ID())
	}
	return nil
}

// checkManifest compares the manifest and the provenance with the files, and verifies the modules' signatures.
func (v *verifier) checkManifest() error {
	if _, ok := v.sums[release.ManifestFile]; !ok {
		v.wrongContent(release.ManifestFile, "", "is missing")
		return nil
	}
	m, err := release.Read(v.dir)
	if err != nil {
		v.wrong(release.ManifestFile, "", "%s", strings.TrimPrefix(err.Error(), filepath.Join(v.dir, release.ManifestFile)+": "))
		return nil
	}
	made := map[string]bool{} // modules and objects, by the manifest
	claim := func(file, sum string) bool {
		if made[file] {
			v.wrong(release.ManifestFile, file, "is there twice")
		}
		made[file] = true
		have, exists := v.sums[file]
		switch {
		case !exists:
			v.wrongContent(file, "", "is missing (%s has it)", release.ManifestFile)
		case have != sum:
			v.wrongContent(file, "sha256", "is %s (want %s, %s)", have, sum, release.ManifestFile)
		}
		return exists
	}
	for _, o := range m.Objects {
		v.Objects++
		claim(o.File, o.SHA256)
	}
	v.checkSigner(m)
	for _, k := range m.Kernels {
		if k.Module == nil {
			continue
		}
		v.Modules++
		if !claim(k.Module.File, k.Module.SHA256) {
			continue
		}
		module, err := v.read(k.Module.File)
		if err != nil {
			return err
		}
		v.checkModule(m, k.Module, module)
	}
	for _, name := range slices.Sorted(maps.Keys(v.sums)) {
		if ext := path.Ext(name); (ext == ".ko" || ext == ".o") && !made[name] {
			v.wrongContent(name, "", "is not in %s (want only modules and objects that it names)", release.ManifestFile)
		}
	}
	return v.checkProvenance(made)
}

// checkSigner compares the certificate with what the manifest says of it.
func (v *verifier) checkSigner(m *release.Manifest) {
	modules := slices.ContainsFunc(m.Kernels, func(k release.Kernel) bool { return k.Module != nil })
	switch {
	case v.keys.Modules != nil:
		sum := files.Sum(v.keys.Modules.Raw)
		if m.SignedBy != sum && modules {
			v.wrong(release.ManifestFile, "signed_by", "is %s (want %s, of the certificate %q)", cmp.Or(m.SignedBy, "not set"), sum, v.keys.Modules.Subject)
		}
		if modules {
			v.say("The modules are signed with the key of %q.", v.keys.Modules.Subject)
		}
	case !modules:
	case m.SignedBy == "":
		v.say("The modules are not signed.")
	default:
		v.say("The modules are signed; without --module-cert the signatures are not verified.")
	}
}

func (v *verifier) checkModule(m *release.Manifest, listed *release.Module, module []byte) {
	if sum := files.Sum(modsign.Strip(module)); sum != listed.Unsigned {
		v.wrongContent(listed.File, "sha256 without a signature", "is %s (want %s, %s)", sum, listed.Unsigned, release.ManifestFile)
	}
	if v.keys.Modules != nil {
		if err := modsign.Verify(module, v.keys.Modules); errors.Is(err, modsign.ErrNotSigned) {
			v.wrongContent(listed.File, "signature", "not signed (want it signed with the key of %q)", v.keys.Modules.Subject)
		} else if err != nil {
			v.wrongContent(listed.File, "signature", "%s", strings.TrimPrefix(err.Error(), "signature: "))
		}
		return
	}
	switch _, err := modsign.Info(module); {
	case errors.Is(err, modsign.ErrNotSigned):
		if m.SignedBy != "" {
			v.wrongContent(listed.File, "signature", "not signed (want it signed: signed_by in %s)", release.ManifestFile)
		}
	case err != nil:
		v.wrongContent(listed.File, "signature", "%s", strings.TrimPrefix(err.Error(), "signature: "))
	case m.SignedBy == "":
		v.wrongContent(listed.File, "signature", "is there (want none: no signed_by in %s)", release.ManifestFile)
	}
}

// statement is what is compared of an in-toto statement (https://in-toto.io/Statement/v1).
type statement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

const statementType = "https://in-toto.io/Statement/v1"

// checkProvenance compares the subjects of the provenance with the modules and objects of the manifest.
func (v *verifier) checkProvenance(made map[string]bool) error {
	const file = release.ProvenanceFile
	if _, ok := v.sums[file]; !ok {
		v.wrongContent(file, "", "is missing")
		return nil
	}
	text, err := v.read(file)
	if err != nil {
		return err
	}
	var s statement
	if err := json.Unmarshal(text, &s); err != nil {
		v.wrong(file, "", "not JSON: %v", err)
		return nil
	}
	if s.Type != statementType {
		v.wrong(file, "_type", "is %q (want %q)", s.Type, statementType)
	}
	named := map[string]bool{}
	for i, subject := range s.Subject {
		at := fmt.Sprintf("subject %d", i+1)
		switch sum := subject.Digest["sha256"]; {
		case named[subject.Name]:
			v.wrong(file, at, "%q is there twice", subject.Name)
		case !made[subject.Name]:
			v.wrong(file, at, "%q is no module or object of %s", subject.Name, release.ManifestFile)
		case v.sums[subject.Name] != "" && v.sums[subject.Name] != sum:
			v.wrongContent(subject.Name, "sha256", "is %s (want %s, %s of %s)", v.sums[subject.Name], cmp.Or(sum, "none"), at, file)
		}
		named[subject.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if !named[name] {
			v.wrong(file, "subject", "%s is missing (%s has it)", name, release.ManifestFile)
		}
	}
	return nil
}
