// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/tables"
)

// byArch writes text that differs between architectures. The most frequent variant
// is the #else, so that only the differing architectures are named.
func byArch(text func(arch string) (string, error)) (string, error) {
	variants := make(map[string][]string) // text -> arches
	var order []string
	for _, a := range tables.Arches {
		t, err := text(a)
		if err != nil {
			return "", err
		}
		if variants[t] == nil {
			order = append(order, t)
		}
		variants[t] = append(variants[t], a)
	}
	if len(order) == 1 {
		return order[0], nil
	}
	// Stable: of equally frequent variants the first is the default.
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(len(variants[b]), len(variants[a])) })
	var b strings.Builder
	for i, t := range order[1:] {
		var conds []string
		for _, a := range variants[t] {
			conds = append(conds, "defined("+tables.ArchOf(a).Macro()+")")
		}
		fmt.Fprintf(&b, "#%s %s\n%s", []string{"elif", "if"}[b2i(i == 0)], strings.Join(conds, " || "), t)
	}
	fmt.Fprintf(&b, "#else\n%s#endif\n", order[0])
	return b.String(), nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// conversion is a native value and its event value.
type conversion struct {
	name   string
	native uint64
	value  uint64
}

// flagBody returns the text between the braces of a set's conversion function.
func flagBody(s *tables.FlagSet) (string, error) {
	return byArch(func(arch string) (string, error) {
		var list []conversion
		for _, v := range s.Values {
			n, ok := nativeOf(v)
			if !ok {
				continue
			}
			if num, ok := n.on(arch); ok {
				list = append(list, conversion{v.Name, num, v.Value})
			}
		}
		text, err := "", error(nil)
		switch s.Kind {
		case "identity":
			text = "\treturn " + narrow(s.Width) + "v;\n"
		case "enum":
			text, err = enumBody(s, list)
		case "bits":
			text, err = bitsBody(list)
		case "mask":
			text, err = maskBody(list)
		default:
			err = fmt.Errorf("unknown kind %s", s.Kind)
		}
		if err != nil {
			return "", fmt.Errorf("%v: %s: %w", s.Pos, s.Name, err)
		}
		return text, nil
	})
}

// narrow returns the cast that keeps the significant bits of an argument.
func narrow(width int) string {
	switch width {
	case 0:
		width = 32
	case 64:
		return ""
	}
	return fmt.Sprintf("(u%d)", width)
}

// bitsBody tests each native bit by itself. Bits that move by the same distance are
// masked and shifted together, which needs no branch.
func bitsBody(list []conversion) (string, error) {
	masks := make(map[int]uint64) // shift (left positive) -> native bits
	var lines []string            // bits that need a test of their own
	for _, c := range list {
		switch {
		case c.native == 0 && c.value == 0:
		case c.native == 0:
			return "", fmt.Errorf("%s: no bit to test", c.name)
		case c.native&(c.native-1) == 0 && c.value&(c.value-1) == 0 && c.value != 0:
			// A bit that several names share with different values moves once for each value.
			masks[log2(c.value)-log2(c.native)] |= c.native
		default:
			lines = append(lines, fmt.Sprintf("(v & %#x ? %#x : 0) /* %s */", c.native, c.value, c.name))
		}
	}
	var terms []string
	for _, shift := range slices.SortedFunc(maps.Keys(masks), func(a, b int) int {
		return cmp.Or(cmp.Compare(abs(a), abs(b)), cmp.Compare(a, b))
	}) {
		switch m := masks[shift]; {
		case shift == 0:
			terms = append(terms, fmt.Sprintf("(v & %#x)", m))
		case shift > 0:
			terms = append(terms, fmt.Sprintf("(v & %#x) << %d", m, shift))
		default:
			terms = append(terms, fmt.Sprintf("(v & %#x) >> %d", m, -shift))
		}
	}
	terms = append(terms, lines...)
	if len(terms) == 0 {
		return "\treturn 0;\n", nil
	}
	if len(terms) == 1 && masks[0] != 0 {
		terms[0] = terms[0][1 : len(terms[0])-1]
	}
	return "\treturn " + strings.Join(terms, " |\n\t       ") + ";\n", nil
}

// maskBody tests for all bits of a native value.
func maskBody(list []conversion) (string, error) {
	var single []conversion
	var rest strings.Builder
	for _, c := range list {
		switch {
		case c.native == 0 && c.value == 0:
		case c.native == 0:
			return "", fmt.Errorf("%s: no bit to test", c.name)
		case c.native&(c.native-1) == 0:
			single = append(single, c)
		default:
			fmt.Fprintf(&rest, "\tif ((v & %#x) == %#x) /* %s */\n\t\tr |= %#x;\n", c.native, c.native, c.name, c.value)
		}
	}
	bits, err := bitsBody(single)
	if err != nil || rest.Len() == 0 {
		return bits, err
	}
	first := strings.Replace(bits, "\treturn ", "\tu32 r = ", 1)
	first = strings.ReplaceAll(first, "\n\t       ", "\n\t\t")
	return first + "\n" + rest.String() + "\treturn r;\n", nil
}

// enumBody maps one value to one value. Neighbours with the same distance share a
// case.
func enumBody(s *tables.FlagSet, list []conversion) (string, error) {
	slices.SortStableFunc(list, func(a, b conversion) int { return cmp.Compare(a.native, b.native) })
	var uniq []conversion
	for _, c := range list {
		if n := len(uniq); n > 0 && uniq[n-1].native == c.native {
			if uniq[n-1].value != c.value {
				return "", fmt.Errorf("%s and %s have one native value but two event values", uniq[n-1].name, c.name)
			}
			continue
		}
		if c.value == uint64(s.Default) {
			if len(uniq) == 0 || uniq[len(uniq)-1].native+1 != c.native || uniq[len(uniq)-1].value+1 != c.value {
				continue // the default covers it, and it is not part of a run
			}
		}
		uniq = append(uniq, c)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\tswitch (%sv) {\n", narrow(s.Width))
	for i := 0; i < len(uniq); {
		j := i + 1
		for j < len(uniq) && uniq[j].native == uniq[j-1].native+1 && uniq[j].value == uniq[j-1].value+1 {
			j++
		}
		first, last := uniq[i], uniq[j-1]
		if i+1 == j {
			fmt.Fprintf(&b, "\tcase %#x: /* %s */\n\t\treturn %d;\n", first.native, first.name, first.value)
		} else {
			v := "v"
			if s.Width == 8 || s.Width == 16 {
				v = narrow(s.Width) + "v"
			}
			fmt.Fprintf(&b, "\tcase %#x ... %#x: /* %s to %s */\n\t\treturn %s%s;\n", first.native, last.native, first.name, last.name,
				v, offset(int64(first.value)-int64(first.native)))
		}
		i = j
	}
	fmt.Fprintf(&b, "\t}\n\treturn %d;\n", s.Default)
	return b.String(), nil
}

func offset(d int64) string {
	switch {
	case d > 0:
		return fmt.Sprintf(" + %d", d)
	case d < 0:
		return fmt.Sprintf(" - %d", -d)
	}
	return ""
}

// nativeText returns the C definition of a native constant.
func nativeText(name string, n native) (string, error) {
	return byArch(func(arch string) (string, error) {
		v, ok := n.on(arch)
		if !ok {
			// The architecture does not have it: no native value is all ones, so nothing matches.
			return fmt.Sprintf("#define N_%s (~0ULL)\n", name), nil
		}
		suffix := ""
		if v > 1<<31-1 {
			suffix = "ULL"
		}
		if v < 4096 {
			return fmt.Sprintf("#define N_%s %d%s\n", name, v, suffix), nil
		}
		return fmt.Sprintf("#define N_%s %#x%s\n", name, v, suffix), nil
	})
}
