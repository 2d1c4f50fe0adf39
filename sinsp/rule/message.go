// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Code is a kind of error or warning, with the name that falco gives it.
type Code string

const (
	ErrFileRead         Code = "LOAD_ERR_FILE_READ"
	ErrYAMLParse        Code = "LOAD_ERR_YAML_PARSE"
	ErrYAMLValidate     Code = "LOAD_ERR_YAML_VALIDATE"
	ErrCompileCondition Code = "LOAD_ERR_COMPILE_CONDITION"
	ErrCompileOutput    Code = "LOAD_ERR_COMPILE_OUTPUT"
	ErrValidate         Code = "LOAD_ERR_VALIDATE"

	WarnUnknownSource    Code = "LOAD_UNKNOWN_SOURCE"
	WarnNoEventType      Code = "LOAD_NO_EVTTYPE"
	WarnUnknownFilter    Code = "LOAD_UNKNOWN_FILTER"
	WarnUnusedMacro      Code = "LOAD_UNUSED_MACRO"
	WarnUnusedList       Code = "LOAD_UNUSED_LIST"
	WarnUnknownItem      Code = "LOAD_UNKNOWN_ITEM"
	WarnUnknownKey       Code = "LOAD_UNKNOWN_KEY"
	WarnDeprecated       Code = "LOAD_DEPRECATED_ITEM"
	WarnNoValues         Code = "LOAD_APPEND_NO_VALUES"
	WarnExceptionName    Code = "LOAD_EXCEPTION_NAME_NOT_UNIQUE"
	WarnMacroName        Code = "LOAD_INVALID_MACRO_NAME"
	WarnListName         Code = "LOAD_INVALID_LIST_NAME"
	WarnCompileCondition Code = "LOAD_COMPILE_CONDITION"
)

// descriptions says what a code is about, in one line.
var descriptions = map[Code]string{
	ErrFileRead:         "The file cannot be read",
	ErrYAMLParse:        "The file is not YAML",
	ErrYAMLValidate:     "An item has a wrong shape",
	ErrCompileCondition: "A condition does not compile",
	ErrCompileOutput:    "An output does not compile",
	ErrValidate:         "An item does not fit the others",

	WarnUnknownSource:    "The source of a rule is not known",
	WarnNoEventType:      "A condition is not restricted to some types of events",
	WarnUnknownFilter:    "A rule is left out for a field or an event that is not known",
	WarnUnusedMacro:      "A macro is not used",
	WarnUnusedList:       "A list is not used",
	WarnUnknownItem:      "An item is of no known kind",
	WarnUnknownKey:       "An item has a key that is not known",
	WarnDeprecated:       "An item uses something old",
	WarnNoValues:         "An exception has no values",
	WarnExceptionName:    "Two exceptions of a rule have one name",
	WarnMacroName:        "The name of a macro is not an identifier",
	WarnListName:         "The name of a list is not a word",
	WarnCompileCondition: "A condition is likely not what was meant",
}

// IsError reports whether files with such a message do not load.
func (c Code) IsError() bool { return strings.HasPrefix(string(c), "LOAD_ERR_") }

// Position is a place in a file. Line and Col count characters from 1, Offset bytes from 0.
type Position struct {
	File      string
	Line, Col int
	Offset    int
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Location is a part of a file: an item, a key of one, an expression.
type Location struct {
	Type string // "rule", "macro", "condition" and so on
	Name string // of the item; may be ""
	Position
}

// Message is an error or a warning.
type Message struct {
	Code    Code
	Text    string
	Where   []Location // from the item to the exact place
	Snippet string     // the line with the place, and a caret below it
}

// Position returns the exact place.
func (m *Message) Position() Position { return m.Where[len(m.Where)-1].Position }

// String returns the message as
//
//	file:line:col: error LOAD_ERR_VALIDATE: rule NAME: what is wrong (what would be right)
//
// and the line with the place, with a caret below it.
func (m *Message) String() string {
	kind := "warning"
	if m.Code.IsError() {
		kind = "error"
	}
	subject := ""
	if item := m.Where[0]; item.Name != "" {
		subject = item.Type + " " + item.Name + ": "
	}
	text := fmt.Sprintf("%s: %s %s: %s%s", m.Position(), kind, m.Code, subject, m.Text)
	if m.Snippet != "" {
		text += "\n    " + strings.ReplaceAll(m.Snippet, "\n", "\n    ")
	}
	return text
}

// Report is all that was found in the files of a [Loader].
type Report struct {
	Files []*FileReport // in the order of the files
}

// FileReport is what was found in a file.
type FileReport struct {
	Name             string
	Errors, Warnings []*Message // in the order of their places
}

// Failed reports whether there are errors.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Files, func(f *FileReport) bool { return len(f.Errors) > 0 })
}

// Messages returns all errors and warnings, file by file, in the order of their places.
func (r *Report) Messages() (all []*Message) {
	for _, f := range r.Files {
		list := slices.Concat(f.Errors, f.Warnings)
		slices.SortStableFunc(list, byPlace)
		all = append(all, list...)
	}
	return all
}

func byPlace(a, b *Message) int {
	p, q := a.Position(), b.Position()
	return cmp.Or(cmp.Compare(p.Line, q.Line), cmp.Compare(p.Col, q.Col), strings.Compare(a.Text, b.Text))
}

func (r *Report) sort() {
	for _, f := range r.Files {
		slices.SortStableFunc(f.Errors, byPlace)
		slices.SortStableFunc(f.Warnings, byPlace)
	}
}

// MarshalJSON returns the report in the shape of falco's validation output, which editors
// and checks of others read. Its lines and columns count from 0.
func (r *Report) MarshalJSON() ([]byte, error) {
	type position struct {
		Column int    `json:"column"`
		Line   int    `json:"line"`
		Name   string `json:"name"`
		Offset int    `json:"offset"`
	}
	type location struct {
		Name     string   `json:"item_name"`
		Type     string   `json:"item_type"`
		Position position `json:"position"`
	}
	type context struct {
		Locations []location `json:"locations"`
		Snippet   string     `json:"snippet"`
	}
	type message struct {
		Code    Code    `json:"code"`
		Desc    string  `json:"codedesc"`
		Context context `json:"context"`
		Message string  `json:"message"`
	}
	type file struct {
		Errors     []message `json:"errors"`
		Name       string    `json:"name"`
		Successful bool      `json:"successful"`
		Warnings   []message `json:"warnings"`
	}
	messages := func(list []*Message) []message {
		out := []message{}
		for _, m := range list {
			one := message{Code: m.Code, Desc: descriptions[m.Code], Message: m.Text, Context: context{Snippet: m.Snippet}}
			for _, w := range m.Where {
				one.Context.Locations = append(one.Context.Locations, location{w.Name, w.Type,
					position{max(w.Col-1, 0), max(w.Line-1, 0), w.File, w.Offset}})
			}
			out = append(out, one)
		}
		return out
	}
	results := struct {
		Files []file `json:"falco_load_results"`
	}{Files: []file{}}
	for _, f := range r.Files {
		results.Files = append(results.Files, file{messages(f.Errors), f.Name, len(f.Errors) == 0, messages(f.Warnings)})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(results)
	return bytes.TrimSpace(b.Bytes()), err
}
