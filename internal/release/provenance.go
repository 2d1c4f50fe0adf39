// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scaplab/scaplab/internal/kernels"
)

// URIs of the provenance.
const (
	predicateType = "https://slsa.dev/provenance/v1"
	buildType     = home + "/blob/main/docs/releases.md" // which explains the parameters
	builderID     = home + "/tree/main/cmd/scaplab"
)

// provenance returns an in-toto statement (https://github.com/in-toto/attestation/tree/main/spec/v1) with SLSA provenance
// (https://slsa.dev/spec/v1.0/provenance): which files were made, of what, and how they can be made again. Times and the name of a run, which
// are optional, are left out: the text is the same each time.
func provenance(m *Manifest, tools []Toolchain) ([]byte, error) {
	digest := func(sum string) map[string]string { return map[string]string{"sha256": sum} }
	var subjects []*intoto.ResourceDescriptor
	materials := map[string]*intoto.ResourceDescriptor{}
	addPackage := func(p kernels.Package) {
		materials[packageURL(p)] = &intoto.ResourceDescriptor{Name: strings.TrimSpace(p.Name + " " + p.Version), Uri: packageURL(p), Digest: digest(p.SHA256)}
	}
	var named []any
	for _, k := range m.Kernels {
		named = append(named, map[string]any{"release": k.Release, "version": k.Version, "arch": k.Arch, "target": k.Target})
		if k.Package.SHA256 != "" {
			addPackage(k.Package)
		}
		if k.Module == nil {
			continue
		}
		subjects = append(subjects, &intoto.ResourceDescriptor{Name: k.Module.File, Digest: digest(k.Module.SHA256)})
		for _, p := range k.Module.Inputs.Headers {
			addPackage(p)
		}
		if tree := k.Module.Inputs.Tree; tree != "" {
			name := "headers of " + k.Release
			materials[name] = &intoto.ResourceDescriptor{Name: name, Digest: digest(tree)}
		}
	}
	for _, o := range m.Objects {
		subjects = append(subjects, &intoto.ResourceDescriptor{Name: o.File, Digest: digest(o.SHA256)})
	}
	for _, t := range tools {
		for _, p := range t.Packages {
			addPackage(p)
		}
	}
	var dependencies []*intoto.ResourceDescriptor
	for _, s := range []struct{ name, sum string }{{"sources of the kmod driver", m.Source}, {"sources of the ebpf driver", m.ObjectSource}} {
		if s.sum == "" {
			continue
		}
		d := &intoto.ResourceDescriptor{Uri: "git+" + home, Name: s.name, Digest: digest(s.sum)}
		if len(m.Revision) == 40 { // else it is not known, or that of a tree that was changed
			d.Digest["gitCommit"] = m.Revision
		}
		dependencies = append(dependencies, d)
	}
	for _, name := range sortedKeys(materials) {
		dependencies = append(dependencies, materials[name])
	}
	external, err := structpb.NewStruct(map[string]any{
		"command": "scaplab build", "driver": m.Driver, "version": m.Version, "kernels": named,
		"modules": slices.ContainsFunc(m.Kernels, func(k Kernel) bool { return k.Module != nil }), "objects": len(m.Objects) > 0,
	})
	if err != nil {
		return nil, err
	}
	p := &slsa.Provenance{
		BuildDefinition: &slsa.BuildDefinition{BuildType: buildType, ExternalParameters: external, ResolvedDependencies: dependencies},
		RunDetails:      &slsa.RunDetails{Builder: &slsa.Builder{Id: builderID, Version: map[string]string{"scaplab": m.Version, "revision": m.Revision}}},
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	predicate := new(structpb.Struct)
	if err := convert(p, predicate); err != nil {
		return nil, err
	}
	s := &intoto.Statement{Type: intoto.StatementTypeUri, Subject: subjects, PredicateType: predicateType, Predicate: predicate}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	// protojson varies its white space on purpose; encoding/json sorts and does not.
	text, err := protojson.Marshal(s)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	text, err = json.MarshalIndent(v, "", "\t")
	return append(text, '\n'), err
}

// convert turns a message into another of the same JSON.
func convert(from, to proto.Message) error {
	text, err := protojson.Marshal(from)
	if err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	return protojson.Unmarshal(text, to)
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
