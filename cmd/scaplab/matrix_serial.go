// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest"
)

// serially runs the matrix on one kernel after the other: each is fetched and has its module built when it is its turn. After
// each, what was not used for longest is removed while the cache is larger than limit bytes. The reports of the kernels are
// joined to one, which has a run for each.
func (f *runFlags) serially(cmd *cobra.Command, o vmtest.Options, limit int64) error {
	_, requests, err := f.requests(splitList(f.kernel))
	if err != nil {
		return err
	}
	dir, err := env.CacheDir()
	if err != nil {
		return cli.Lacking(err)
	}
	var done [][]byte // reports, as JSON
	join := func(rep *vmtest.Report) (*vmtest.Report, error) {
		var last bytes.Buffer
		if err := rep.WriteJSON(&last); err != nil {
			return nil, err
		}
		var files []io.Reader
		for _, text := range append(slices.Clone(done), last.Bytes()) {
			files = append(files, bytes.NewReader(text))
		}
		return vmtest.ReadJSON(files...)
	}
	var joined *vmtest.Report
	var gone []kernels.Unavailable // of which no report tells yet
	ran := map[string]bool{}
	for _, r := range requests {
		own := o
		own.Log, own.Save = o.Log, func(rep *vmtest.Report) {
			all, err := join(rep)
			if err == nil {
				err = f.save(all)
			}
			if err != nil {
				o.Log("%v", err)
			}
		}
		err := f.kernels(cmd, &own, r.String())
		if errors.Is(err, errNoKernels) {
			gone = append(gone, own.Gone...)
			continue
		}
		if err != nil {
			return f.ended(cmd, joined, err)
		}
		if ran[own.Kernels[0].Name] {
			continue // newest is one of the others
		}
		ran[own.Kernels[0].Name] = true
		own.Gone, gone = append(gone, own.Gone...), nil
		removeModules, err := f.findModules(cmd.Context(), &own)
		if err != nil {
			removeModules()
			return f.ended(cmd, joined, err)
		}
		rep, err := vmtest.Run(cmd.Context(), own)
		removeModules()
		if rep != nil {
			all, joinErr := join(rep)
			if joinErr != nil {
				return cli.Lacking(joinErr)
			}
			joined = all
		}
		if err != nil {
			return f.ended(cmd, joined, err)
		}
		var text bytes.Buffer
		if err := rep.WriteJSON(&text); err != nil {
			return cli.Lacking(err)
		}
		done = append(done, text.Bytes())
		removed, err := cache.Prune(dir, cache.Limits{MaxSize: limit, Own: true}, false)
		if err != nil {
			return f.ended(cmd, joined, fmt.Errorf("keep the cache within its limit: %w", err))
		}
		if len(removed) > 0 {
			var total int64
			for _, i := range removed {
				total += i.Size
			}
			o.Log("cache: %d items, %s, removed after kernel %s", len(removed), sizeText(total), own.Kernels[0].Name)
		}
	}
	if joined == nil {
		return errNoKernels
	}
	return f.report(cmd, joined, nil)
}

// ended reports what there is when a serial run breaks off.
func (f *runFlags) ended(cmd *cobra.Command, joined *vmtest.Report, err error) error {
	if joined == nil {
		return environment(err)
	}
	return f.report(cmd, joined, err)
}
