// SPDX-License-Identifier: Apache-2.0

// Command check reads Kubernetes manifests into the types of their API, and reports fields
// that these do not have.
//
//	go run . ../matrix.yaml
//
// It is a module of its own: the API has many dependencies that scaplab does not need.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// kinds are the kinds that manifests here have.
var kinds = map[string]func() any{
	"batch/v1 Job":             func() any { return new(batch.Job) },
	"v1 PersistentVolumeClaim": func() any { return new(core.PersistentVolumeClaim) },
}

func main() {
	bad := false
	for _, name := range os.Args[1:] {
		if err := check(name); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			bad = true
		}
	}
	if bad || len(os.Args) < 2 {
		os.Exit(1)
	}
}

func check(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var head struct{ APIVersion, Kind string }
		if err := strict.Unmarshal(doc, &head); err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
		kind := kinds[head.APIVersion+" "+head.Kind]
		if kind == nil {
			return fmt.Errorf("document %d: unknown kind %s %s", n, head.APIVersion, head.Kind)
		}
		if err := strict.UnmarshalStrict(doc, kind()); err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
	}
}
