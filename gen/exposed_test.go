// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	cFunction = regexp.MustCompile(`(?ms)^(?:static (?:__always_inline|inline|noinline)|SUBPROGRAM\(\w+\)) [^;{}()]*?(\w+)\([^;{}]*?\)\n\{\n(.*?)^\}$`)
	cMacro    = regexp.MustCompile(`(?m)^DEFINE_USER\((\w+),`)
	cName     = regexp.MustCompile(`\b[a-zA-Z_]\w*\b`)
	// The ends of a connected socket: the call passes no address.
	noAddress = regexp.MustCompile(`push_sock_tuple\w*\(f, .+(?:, 0)+\);`)
)

// cCalls are the functions of the fillers with the names in their bodies.
type cCalls map[string][]string

func mustReadCalls(tb testing.TB) cCalls {
	tb.Helper()
	calls := make(cCalls)
	paths, err := filepath.Glob(filepath.Join(root, "driver", "fillers", "*.h"))
	require.NoError(tb, err)
	for _, path := range append(paths, filepath.Join(root, "driver", "kmod", "subprog.h")) {
		if strings.HasSuffix(path, "_gen.h") {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(tb, err)
		for _, f := range cFunction.FindAllStringSubmatch(string(text), -1) {
			calls[f[1]] = append(calls[f[1]], cName.FindAllString(f[2], -1)...)
		}
		for _, f := range cMacro.FindAllStringSubmatch(string(text), -1) {
			calls[f[1]] = []string{"user_read"}
		}
	}
	require.Greater(tb, len(calls), 150)
	return calls
}

// reaches reports whether a C function ends up in one of targets.
func (c cCalls) reaches(name string, targets ...string) bool {
	seen := make(map[string]bool)
	var visit func(name string) bool
	visit = func(name string) bool {
		if slices.Contains(targets, name) {
			return true
		}
		if seen[name] {
			return false
		}
		seen[name] = true
		return slices.ContainsFunc(c[name], visit)
	}
	return visit(name)
}

// Where drivers read the caller's memory: all of it goes through these.
var readers = []string{"user_read", "user_read_str", "append_user", "append_user_str", "append_user_text"}

// What helpers.yaml says of a helper is what its C function does.
func TestHelpersSayWhatTheyLookAt(t *testing.T) {
	calls := mustReadCalls(t)
	users := 0
	for _, h := range mustLoad(t, filepath.Join(root, "tables")).Helpers {
		name := h.Name
		switch h.Kind {
		case "param":
			name = "push_" + name
		case "value":
		default:
			continue
		}
		require.Equal(t, calls.reaches(name, readers...), h.User, "%v: %s: user", h.Pos, h.Name)
		if h.User {
			users++
		}
		switch h.Name {
		case newFD, "iov_data": // the answer; only how much is told
			require.False(t, h.Looks, h.Name)
		default:
			require.Equal(t, calls.reaches(name, "file_of"), h.Looks, "%v: %s: looks", h.Pos, h.Name)
		}
	}
	require.Greater(t, users, 30)
}

// Every param that a driver reads from the caller's memory is marked, and no other.
func TestParamsInMemoryAreMarked(t *testing.T) {
	calls := mustReadCalls(t)
	table := mustLoad(t, filepath.Join(root, "tables"))
	m, err := newModel(table)
	require.NoError(t, err)
	marked := 0
	for _, e := range m.driven() {
		if e.Filler == "manual" {
			require.True(t, calls.reaches("fill_"+e.Symbol, readers...), e.Symbol)
			for _, p := range e.Params {
				require.Equal(t, p.Name != "fd", m.exposed(e, p), "%s: %s", e.Symbol, p.Name)
			}
			continue
		}
		for i, p := range e.Params {
			text, err := m.paramText(e, i)
			require.NoError(t, err)
			text = noAddress.ReplaceAllString(text, "")
			reads := slices.ContainsFunc(cName.FindAllString(text, -1), func(name string) bool { return calls.reaches(name, readers...) })
			require.Equal(t, reads, m.exposed(e, p), "%v: %s: %s:\n%s", p.Pos, e.Symbol, p.Name, text)
			if reads {
				marked++
			}
		}
	}
	require.Greater(t, marked, 500)
}

// A descriptor that the call made is looked at only if it must be the one.
func TestNewDescriptorsAreProven(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	for _, e := range m.driven() {
		made := e.has("creates_fd")
		for i, p := range e.Params {
			text, err := m.paramText(e, i)
			require.NoError(t, err)
			require.NotRegexp(t, `(file_\w+|push_fd_path|sock_\w+)\(f, (f->ret|user_\w+\()`, text, "%v: %s: %s", p.Pos, e.Symbol, p.Name)
			if made && strings.Contains(text, newFD) {
				require.False(t, m.lookedUp(e, p), "%s: %s", e.Symbol, p.Name)
			}
		}
	}
}
