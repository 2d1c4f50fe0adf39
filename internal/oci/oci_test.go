// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/file"
	orasoci "oras.land/oras-go/v2/content/oci"

	"github.com/scaplab/scaplab/internal/oci"
)

func artifacts() []oci.Artifact {
	artifact := func(release, module string) oci.Artifact {
		return oci.Artifact{
			Tag: oci.Tag("1.2.3-" + release), Type: "application/vnd.test.driver.v1",
			Platform:    &v1.Platform{OS: "linux", Architecture: "amd64", OSVersion: release},
			Annotations: map[string]string{v1.AnnotationTitle: "drivers of " + release, v1.AnnotationVersion: "1.2.3", v1.AnnotationLicenses: "GPL-2.0-only OR MIT"},
			Files: []oci.File{
				{Name: "scap.ko", MediaType: "application/vnd.test.module.v1", Data: []byte(module), Annotations: map[string]string{"org.test.release": release}},
				{Name: "bpf/probe.o", MediaType: "application/vnd.test.object.v1", Data: []byte("the same for all")},
			},
		}
	}
	return []oci.Artifact{artifact("6.12.118+deb13-cloud-amd64", "module A"), artifact("6.1.0-42-cloud-amd64", "module B")}
}

// tree returns the files of a directory.
func tree(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(b)
		return err
	}))
	return all
}

func TestEqualArtifactsGiveEqualFiles(t *testing.T) {
	first := filepath.Join(t.TempDir(), "a", "layout")
	require.NoError(t, oci.Write(first, artifacts()))
	got := tree(t, first)
	require.Len(t, got, 2+3+1+2, "oci-layout and index.json; three different files; the empty configuration; two manifests")
	for range 3 {
		again := t.TempDir()
		require.NoError(t, oci.Write(again, artifacts()))
		require.Equal(t, got, tree(t, again))
	}
}

func TestORASPullsWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, oci.Write(dir, artifacts()))
	store, err := orasoci.NewFromFS(t.Context(), os.DirFS(dir))
	require.NoError(t, err)
	var tags []string
	require.NoError(t, store.Tags(t.Context(), "", func(some []string) error { tags = append(tags, some...); return nil }))
	require.Equal(t, []string{"1.2.3-6.1.0-42-cloud-amd64", "1.2.3-6.12.118_deb13-cloud-amd64"}, tags)
	for _, a := range artifacts() {
		d, err := store.Resolve(t.Context(), a.Tag)
		require.NoError(t, err)
		require.Equal(t, a.Platform, d.Platform)
		require.Equal(t, a.Type, d.ArtifactType)
		text, err := content.FetchAll(t.Context(), store, d)
		require.NoError(t, err)
		var manifest v1.Manifest
		require.NoError(t, json.Unmarshal(text, &manifest))
		require.Equal(t, a.Type, manifest.ArtifactType)
		require.Equal(t, a.Annotations, manifest.Annotations)
		require.Equal(t, a.Files[0].MediaType, manifest.Layers[0].MediaType)
		require.Equal(t, map[string]string{"org.test.release": a.Platform.OSVersion, v1.AnnotationTitle: "scap.ko"}, manifest.Layers[0].Annotations)

		out := t.TempDir()
		pulled, err := file.New(out)
		require.NoError(t, err)
		_, err = oras.Copy(t.Context(), store, a.Tag, pulled, "", oras.DefaultCopyOptions) // verifies sizes and digests
		require.NoError(t, err)
		require.NoError(t, pulled.Close())
		require.Equal(t, map[string]string{"scap.ko": string(a.Files[0].Data), "bpf/probe.o": string(a.Files[1].Data)}, tree(t, out))
	}
}

func TestSkopeoReadsWhatIsWritten(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	dir := filepath.Join(t.TempDir(), "layout")
	require.NoError(t, oci.Write(dir, artifacts()))
	for _, a := range artifacts() {
		var said bytes.Buffer
		cmd := exec.Command(skopeo, "inspect", "--raw", "oci:"+dir+":"+a.Tag)
		cmd.Stderr = &said
		text, err := cmd.Output()
		require.NoError(t, err, "%s", said.Bytes())
		var manifest v1.Manifest
		require.NoError(t, json.Unmarshal(text, &manifest))
		require.Equal(t, a.Annotations, manifest.Annotations)
	}
}

func TestArtifactsThatCannotBePulledAreRefused(t *testing.T) {
	for want, change := range map[string]func(a []oci.Artifact){
		`artifact 1: "a+b" is no tag`:                     func(a []oci.Artifact) { a[0].Tag = "a+b" },
		`artifact 2: "" is no tag`:                        func(a []oci.Artifact) { a[1].Tag = "" },
		"artifact 2: tag x is that of another":            func(a []oci.Artifact) { a[0].Tag, a[1].Tag = "x", "x" },
		`artifact x: file "../etc/passwd": its name`:      func(a []oci.Artifact) { a[0].Tag, a[0].Files[0].Name = "x", "../etc/passwd" },
		`artifact x: file "/scap.ko": its name leads out`: func(a []oci.Artifact) { a[0].Tag, a[0].Files[0].Name = "x", "/scap.ko" },
		"artifact x: file bpf/probe.o: is there twice":    func(a []oci.Artifact) { a[0].Tag, a[0].Files[0].Name = "x", "bpf/probe.o" },
		"artifact x: has no files":                        func(a []oci.Artifact) { a[0].Tag, a[0].Files = "x", nil },
	} {
		dir := t.TempDir()
		a := artifacts()
		change(a)
		require.ErrorContains(t, oci.Write(dir, a), want)
		require.NoFileExists(t, filepath.Join(dir, "index.json"))
	}
	dir := t.TempDir()
	require.NoError(t, oci.Write(dir, artifacts()))
	require.ErrorContains(t, oci.Write(dir, artifacts()), "has files (want a new or an empty directory)")
}

func TestTextBecomesATag(t *testing.T) {
	for text, want := range map[string]string{
		"6.12.118+deb13-cloud-amd64": "6.12.118_deb13-cloud-amd64", "7.2~rc1": "7.2_rc1", "-x": "_x", ".x": "_x", "": "",
		strings.Repeat("x", 200): strings.Repeat("x", 128),
	} {
		require.Equal(t, want, oci.Tag(text))
	}
}
