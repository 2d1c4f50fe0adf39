// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Facts are a case's variables by name, fields flattened with dots.
type Facts map[string]Fact

// Fact is an integer, or bytes. Its JSON form is a number, a string if the bytes
// are text, else {"base64": "..."}.
type Fact struct {
	IsInt bool
	Int   uint64 // two's complement when Neg
	Neg   bool   // Int holds a negative number
	Bytes []byte
}

// IntFact returns a fact with a signed number.
func IntFact(v int64) Fact { return Fact{IsInt: true, Int: uint64(v), Neg: v < 0} }

// UintFact returns a fact with an unsigned number.
func UintFact(v uint64) Fact { return Fact{IsInt: true, Int: v} }

// TextFact returns a fact with a string.
func TextFact(s string) Fact { return Fact{Bytes: []byte(s)} }

// BytesFact returns a fact with bytes.
func BytesFact(b []byte) Fact { return Fact{Bytes: bytes.Clone(b)} }

// String returns the number in decimal, or the bytes quoted.
func (f Fact) String() string {
	switch {
	case f.IsInt && f.Neg:
		return strconv.FormatInt(int64(f.Int), 10)
	case f.IsInt:
		return strconv.FormatUint(f.Int, 10)
	}
	return strconv.Quote(string(f.Bytes))
}

type base64Fact struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (f Fact) MarshalJSON() ([]byte, error) {
	switch {
	case f.IsInt:
		return []byte(f.String()), nil
	case utf8.Valid(f.Bytes):
		return json.Marshal(string(f.Bytes))
	}
	return json.Marshal(base64Fact{f.Bytes})
}

// UnmarshalJSON implements json.Unmarshaler. Numbers keep all 64 bits.
func (f *Fact) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*f = TextFact(s)
		return nil
	case len(b) > 0 && b[0] == '{':
		var v base64Fact
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		*f = Fact{Bytes: v.Base64}
		return nil
	}
	if v, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*f = IntFact(v)
		return nil
	}
	v, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("decode fact: %w", err)
	}
	*f = UintFact(v)
	return nil
}
