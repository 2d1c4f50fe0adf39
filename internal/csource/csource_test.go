// SPDX-License-Identifier: Apache-2.0

package csource

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) *Source {
	t.Helper()
	var s Source
	require.NoError(t, s.Read("a.h", []byte(text)))
	return &s
}

func TestEnumsHaveTheValuesOfC(t *testing.T) {
	s := read(t, `/* a comment
over lines */
#ifndef GUARD // with another
#define GUARD
#define SHIFT(n) (1 << (n))
#define THREE \
	(1 + 2) /* in the next line */
#define LIST X(ONE, 1) \
	X(TWO, 2)
enum first {
	A,
	B = 5, C,
	D = SHIFT(3) | THREE,
	E = -1, F = (int)0x10UL, G = 'a', H = THREE == 3 && !0, I = ~0 & 0xff,
#ifdef NOT_HERE
	GONE,
#elif defined(SHIFT) && !defined NOT_HERE
	THERE = 40,
#else
	GONE_TOO,
#endif
	END
};
typedef enum {
#define X(name, value) X_##name = (value),
	LIST
#undef X
	X_END,
} list;
struct s { int a; char b[SHIFT(2)]; };
static int f(int a) { if (a == 1) { return 2; } return 3; }
#if SHIFT(2) > 3 || OTHER
enum { LATER = X_END + 1 };
#endif
#endif
`)
	got := map[string]int64{}
	for _, e := range s.Enumerators {
		got[e.Name] = e.Value
	}
	require.Equal(t, map[string]int64{"A": 0, "B": 5, "C": 6, "D": 11, "E": -1, "F": 16, "G": 97, "H": 1, "I": 255, "THERE": 40, "END": 41,
		"X_ONE": 1, "X_TWO": 2, "X_END": 3, "LATER": 4}, got)
	for _, e := range s.Enumerators {
		if e.Name == "X_TWO" {
			require.Equal(t, "a.h:9:2", e.Pos.String(), "each call of the list has its place")
		}
	}
}

func TestInitialisersAreTrees(t *testing.T) {
	s := read(t, `#define P(n) ((void *)n)
enum e { ZERO, ONE };
const struct x table[END] = {
	[ONE] = {"one", A | B, {{"p", T, P(1)}, {"q", T}}},
	/* ZERO */ {"zero", 0},
};
int none = 3, *nothing = &none;
`)
	require.Len(t, s.Arrays, 1)
	a := s.Arrays[0]
	require.Equal(t, "table", a.Name)
	require.Len(t, a.Init.List, 2)
	one := a.Init.List[0]
	require.Equal(t, "ONE", Text(one.Designator))
	require.Equal(t, "a.h:4:2", one.Pos.String())
	require.Equal(t, "A|B", Text(one.List[1].Tokens))
	require.Equal(t, `"q"`, Text(one.List[2].List[1].List[0].Tokens))
	v, err := s.Eval(one.List[2].List[0].List[2].Tokens)
	require.NoError(t, err)
	require.EqualValues(t, 1, v)
	require.Nil(t, a.Init.List[1].Designator)
}

func TestErrorsHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"int a; /* b":                  "a.h:1:8: comment has no end",
		"char *a = \"b\nc\";":          "a.h:1:11: \" has no end",
		"#if A\n":                      "a.h:1:2: #if without #endif",
		"\n#endif\n":                   "a.h:2:2: #endif without #if",
		"#if\n#endif\n":                "a.h:1:2: #if without a condition",
		"#if (1\n#endif\n":             "a.h:1:5: ( without )",
		"#if defined\n#endif\n":        "a.h:1:5: defined without a name",
		"#define\n":                    "a.h:1:2: #define without a name",
		"#define A(b\n":                "a.h:1:9: params of macro A have no end",
		"enum { A = B };":              "a.h:1:12: B has no value here",
		"enum { A = 1 / 0 };":          "a.h:1:14: division by zero",
		"enum { A = 08x };":            "a.h:1:12: bad number 08x",
		"enum { A = 1 2 };":            "a.h:1:14: unexpected 2 in a constant",
		"enum { A = 1 + };":            "a.h:1:14: a number is missing",
		"enum { A = };":                "a.h:1:10: unexpected = in an enum (want NAME or NAME = VALUE)",
		"enum { A B };":                "a.h:1:10: unexpected B in an enum (want NAME or NAME = VALUE)",
		"enum { A":                     "",
		"int a[] = { {1} 2 };":         "a.h:1:17: unexpected 2 after }",
		"int a[] = { [1 = 2 };":        "a.h:1:13: [ without ]",
		"void f() { if (1) { return; ": "a.h:1:10: { without }",
	} {
		var s Source
		if want == "" {
			want = "a.h:1:6: { without }"
		}
		require.EqualError(t, s.Read("a.h", []byte(text)), want, text)
	}
}

// No text makes it panic.
func FuzzRead(f *testing.F) {
	f.Add("#define A(x) x##A(x)\nenum { B = A(1), C = (A) };\nint t[] = { [B] = {\"x\", 1}, };\n#if defined(A) && B\n#endif\n")
	f.Add("#define A B B\n#define B A A\nenum { A };")
	f.Fuzz(func(t *testing.T, text string) {
		var s Source
		if err := s.Read("a.h", []byte(text)); err != nil {
			require.Contains(t, err.Error(), ":")
		}
	})
}
