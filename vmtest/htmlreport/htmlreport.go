// SPDX-License-Identifier: Apache-2.0

// Package htmlreport writes a report as one HTML file that needs nothing else: no network, no server. Tables
// are HTML as they come; the map of all calls, kernels and drivers is drawn by a script from data in the file.
package htmlreport

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/vmtest"
)

//go:embed page.html
var pageText string

//go:embed page.css
var style string

//go:embed page.js
var script string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": decimal.Thousands, "percent": percent, "lines": lines, "plural": plural,
}).Parse(pageText))

// page is what the template reads.
type page struct {
	Style      template.CSS
	Script     template.JS
	StyleHash  string // of the Content-Security-Policy
	ScriptHash string
	Data       template.HTML // packed, base64
	*tables                  // the parts that are HTML
}

// Write writes the report.
func Write(w io.Writer, rep *vmtest.Report) error {
	data, err := pack(rep).encode()
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, page{
		Style: template.CSS(style), Script: template.JS(script), StyleHash: hash(style), ScriptHash: hash(script),
		Data: template.HTML(data), tables: newTables(rep),
	})
}

// hash returns a source expression of a Content-Security-Policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// percent writes a share. Only all is 100 %.
func percent(part, all int) string {
	switch {
	case all == 0:
		return "–"
	case part == all:
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", min(99.9, 100*float64(part)/float64(all)))
}

// lines splits a text.
func lines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

func plural(n int, one, many string) string {
	if n == 1 {
		return decimal.Thousands(n) + " " + one
	}
	return decimal.Thousands(n) + " " + many
}
