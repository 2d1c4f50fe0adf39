// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"bytes"
	docs "go/doc/comment"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// The page is the package comment of doc.go, for readers without a checkout; -update writes it.
func TestThePageOfTheLanguageIsThePackageComment(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	require.NoError(t, err)
	doc := new(docs.Parser).Parse(f.Doc.Text())
	printer := &docs.Printer{HeadingLevel: 2, HeadingID: func(*docs.Heading) string { return "" }}
	var b bytes.Buffer
	b.WriteString("# The language of the table\n\n" +
		"This page is the comment of [`tables/doc.go`](../tables/doc.go), which `go doc ./tables` prints as well.\n" +
		"[Adding a call](adding.md) shows it in use.\n\n")
	b.Write(bytes.ReplaceAll(printer.Markdown(doc), []byte("\\`"), []byte("`")))
	testutil.GoldenFile(t, "../docs/language.md", b.Bytes())
}
