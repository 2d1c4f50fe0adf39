// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/internal/yamltext"
)

var versionRE = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?$`)

// version reads a kernel version, which must be quoted: YAML tools read 5.10 as 5.1.
func (l *loader) version(m *mapping, key string) string {
	n := m.scalar(key)
	if n == nil {
		return ""
	}
	return l.versionOf(m, n, key)
}

func (l *loader) versionOf(m *mapping, n *yaml.Node, what string) string {
	_, err := kver.Parse(n.Value)
	switch {
	case err != nil || !versionRE.MatchString(n.Value): // kver accepts more forms, but not too many digits
		m.errorf(n, `bad %s %s (a kernel version such as "5.10" is expected)`, what, n.Value)
	case n.Style&yamltext.Quoted == 0:
		m.errorf(n, `%s %s without quotes (write "%s")`, what, n.Value, n.Value)
	default:
		return n.Value
	}
	return ""
}

// grown reads the numbers of arguments of later kernels.
func (l *loader) grown(s *Syscall, m *mapping) map[string]int {
	n := m.byKey["grown"]
	if n == nil {
		return nil
	}
	out := map[string]int{}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		version := l.versionOf(m, n.Content[i], "grown")
		args, ok := m.uint(n.Content[i+1], "grown", 6)
		if ok && int(args) <= len(s.Params) {
			m.errorf(n.Content[i+1], "grown to %d arguments, while the signature has %d (it has those of all kernels)", args, len(s.Params))
		}
		out[version] = int(args)
	}
	if len(out) == 0 {
		m.errorf(n, `grown is not a mapping of kernels to numbers (grown: {"7.2": 5} is an example)`)
	}
	return out
}

// compareVersions orders kernel versions that version accepted.
func compareVersions(a, b string) int { return kver.MustParse(a).Compare(kver.MustParse(b)) }

// availability reads since and until.
func (l *loader) availability(s *Syscall, m *mapping) {
	s.Until = l.version(m, "until")
	s.Since = map[string]string{}
	for arch := range s.NR {
		if arch == "386" { // as amd64
			continue
		}
		s.Since[arch] = ""
	}
	n := m.byKey["since"]
	switch {
	case n == nil:
		return
	case n.Kind == yaml.MappingNode:
		am := m.f.mapping(n, s.Name, "since", append([]string{"all", "generic"}, Arches...), &l.errs)
		for _, e := range am.fields {
			v := l.version(am, e.key.Value)
			for _, arch := range expandArch(e.key.Value) {
				if _, ok := s.NR[arch]; !ok {
					if arch == e.key.Value {
						am.errorf(e.key, "since for %s, which has no number", arch)
					}
					continue
				}
				if e.key.Value != arch && am.has(arch) || e.key.Value == "all" && am.has("generic") && slices.Contains(expandArch("generic"), arch) {
					continue
				}
				s.Since[arch] = v
			}
		}
	default:
		v := l.version(m, "since")
		for arch := range s.Since {
			s.Since[arch] = v
		}
	}
	for _, arch := range slices.Sorted(maps.Keys(s.Since)) {
		if v := s.Since[arch]; s.Until != "" && v != "" && compareVersions(v, s.Until) >= 0 {
			m.errorf(m.byKey["until"], "until %s is not after since %s", s.Until, v)
			break
		}
	}
}
