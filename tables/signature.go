// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
)

// Signature is a C prototype without its return type.
type Signature struct {
	Name   string
	Params []CParam
	At     []int // column offset of each param's name
	TypeAt []int // and of its type
}

// sigError is an error at an offset of the text.
type sigError struct {
	off int
	msg string
}

func sigErrorf(off int, format string, args ...any) *sigError {
	return &sigError{off, fmt.Sprintf(format, args...)}
}

type sigToken struct {
	off  int
	text string // an identifier, a number, or one of ( ) [ ] , * ? ...
}

// sigTokens splits ASCII C text; the last token is empty and marks the end.
func sigTokens(src string) ([]sigToken, *sigError) {
	var toks []sigToken
	for i := 0; i < len(src); {
		c := src[i]
		j := i + 1
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			i++
			continue
		case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9':
			for j < len(src) && (src[j] == '_' || src[j]|0x20 >= 'a' && src[j]|0x20 <= 'z' || src[j] >= '0' && src[j] <= '9') {
				j++
			}
		case strings.IndexByte("()[],*?=", c) >= 0:
		case strings.HasPrefix(src[i:], "..."):
			j = i + 3
		default:
			return nil, sigErrorf(i, "unexpected %q in a declaration", c)
		}
		toks = append(toks, sigToken{i, src[i:j]})
		i = j
	}
	return append(toks, sigToken{off: len(src)}), nil
}

func (t sigToken) String() string {
	if t.text == "" {
		return "the end"
	}
	return t.text
}

// parseSignature reads `openat(int dirfd, const char *path, ...)`.
func parseSignature(src string) (*Signature, *sigError) {
	toks, err := sigTokens(src)
	if err != nil {
		return nil, err
	}
	if !expr.IsIdent(toks[0].text) {
		return nil, sigErrorf(toks[0].off, "unexpected %s (the syscall's name is expected)", toks[0])
	}
	s := &Signature{Name: toks[0].text}
	if toks[1].text != "(" {
		return nil, sigErrorf(toks[1].off, "unexpected %s (a signature such as getppid() is expected)", toks[1])
	}
	i := 2
	if toks[i].text == ")" || toks[i].text == "void" && toks[i+1].text == ")" {
		if toks[i].text == "void" {
			i++
		}
		return s, sigEnd(toks, i+1)
	}
	for {
		var typ strings.Builder
		var name sigToken
		word := func(t string) { // "const char *const *": a star has no blank after it
			if text := typ.String(); text != "" && !(t == "*" && strings.HasSuffix(text, "*")) && (t == "*" || !strings.HasSuffix(text, "*")) {
				typ.WriteByte(' ')
			}
			typ.WriteString(t)
		}
		first := toks[i].off
		for ; ; i++ {
			t := toks[i]
			if t.text == "*" || expr.IsIdent(t.text) {
				if name.text != "" {
					word(name.text)
					name = sigToken{}
				}
				switch {
				case t.text == "__user":
				case t.text == "*":
					word("*")
				default:
					name = t
				}
				continue
			}
			break
		}
		if toks[i].text == "[" { // an array is a pointer
			i++
			if toks[i].text != "]" {
				i++
			}
			if toks[i].text != "]" {
				return nil, sigErrorf(toks[i].off, "unexpected %s (] is expected)", toks[i])
			}
			i++
			word("*")
		}
		if toks[i].text != "," && toks[i].text != ")" {
			return nil, sigErrorf(toks[i].off, "unexpected %s (, or ) is expected)", toks[i])
		}
		if name.text == "" || typ.Len() == 0 || cKeywords[name.text] {
			return nil, sigErrorf(first, "parameter %d has no name or no type (int fd is expected)", len(s.Params)+1)
		}
		if name.text == "ret" {
			return nil, sigErrorf(name.off, "parameter ret (that is the return value; name it otherwise)")
		}
		for _, p := range s.Params {
			if p.Name == name.text {
				return nil, sigErrorf(name.off, "parameter %s is repeated", name.text)
			}
		}
		s.Params = append(s.Params, CParam{Type: typ.String(), Name: name.text})
		s.At, s.TypeAt = append(s.At, name.off), append(s.TypeAt, first)
		if len(s.Params) > 6 {
			return nil, sigErrorf(name.off, "parameter %s is the seventh (a syscall has at most 6)", name.text)
		}
		i++
		if toks[i-1].text == ")" {
			return s, sigEnd(toks, i)
		}
	}
}

var cKeywords = map[string]bool{
	"int": true, "long": true, "short": true, "char": true, "unsigned": true, "signed": true, "void": true,
	"const": true, "volatile": true, "struct": true, "union": true, "enum": true,
}

func sigEnd(toks []sigToken, i int) *sigError {
	if toks[i].text != "" {
		return sigErrorf(toks[i].off, "unexpected %s after the closing bracket", toks[i])
	}
	return nil
}

// sigAt turns the offsets of a signature's params into columns relative to the start
// of the signature in the file.
func (l *loader) sigAt(f *file, n *yaml.Node, sig *Signature) *Signature {
	out := *sig
	out.At = make([]int, len(sig.At))
	start := f.Start(n)
	for i, off := range sig.At {
		if p := l.in(f, n, off); p.Line == start.Line {
			out.At[i] = p.Col - start.Col
		}
	}
	return &out
}
