// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/tables"
)

const tableDir = "../../tables"

func mustTable(t *testing.T) *tables.Table {
	t.Helper()
	table, err := tables.Load(tableDir)
	require.NoError(t, err)
	return table
}

// mustFacts reads the facts of kernel 6.12: go run ./cmd/scaplab kernels facts --calls --json 6.12
func mustFacts(t *testing.T) *kernelfacts.Facts {
	t.Helper()
	src, err := os.ReadFile("testdata/kernel-6.12.json")
	require.NoError(t, err)
	f := new(kernelfacts.Facts)
	require.NoError(t, json.Unmarshal(src, f))
	return f
}

// without returns the table as it would be without entries; strictly, also without the sets and structs that only they use. Those of
// the reference's events stay: the lock knows them.
func without(t *tables.Table, strictly bool, calls ...*tables.Syscall) *tables.Table {
	out := *t
	gone := func(s *tables.Syscall) bool {
		return slices.ContainsFunc(calls, func(c *tables.Syscall) bool { return c.Name == s.Name })
	}
	out.Syscalls = slices.DeleteFunc(slices.Clone(t.Syscalls), gone)
	if !strictly {
		return &out
	}
	kept, of := map[string]bool{}, map[string]bool{}
	for _, s := range t.Syscalls {
		into := kept
		if gone(s) && s.Exit.Code >= firstOwn {
			into = of
		}
		for _, a := range s.Params {
			into[kernelfacts.Target(a.Type)] = true
		}
		for _, p := range s.Exit.Params {
			into[p.Names] = true
			for _, w := range word.FindAllString(written(p), -1) {
				into[w] = true
			}
		}
	}
	out.Flags = slices.DeleteFunc(slices.Clone(t.Flags), func(f *tables.FlagSet) bool { return of[f.Name] && !kept[f.Name] })
	out.Structs = slices.DeleteFunc(slices.Clone(t.Structs), func(f *tables.Struct) bool { return of[f.Name] && !kept[f.Name] })
	return &out
}

// flat is a table whose entries are whole: what they inherit is written out.
type flat struct {
	files map[string]*yaml.Node
}

func flatten(t *testing.T) *flat {
	t.Helper()
	f := &flat{map[string]*yaml.Node{}}
	dir := os.DirFS(tableDir)
	for _, pattern := range []string{"*.yaml", "syscalls/*.yaml"} {
		names, err := fs.Glob(dir, pattern)
		require.NoError(t, err)
		for _, name := range names {
			if name == "suites.yaml" || name == "seen.yaml" { // they are about params of the entries that are
				continue
			}
			src, err := fs.ReadFile(dir, name)
			require.NoError(t, err)
			n := new(yaml.Node)
			require.NoError(t, yaml.Unmarshal(src, n), name)
			f.files[name] = n
		}
	}
	for name, n := range f.files {
		if strings.HasPrefix(name, "syscalls/") {
			f.inherit(list(n, "syscalls"))
		}
	}
	return f
}

func key(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func list(doc *yaml.Node, name string) *yaml.Node { return key(doc.Content[0], name) }

func callName(entry *yaml.Node) string {
	name, _, _ := strings.Cut(key(entry, "syscall").Value, "(")
	return name
}

func (f *flat) inherit(entries *yaml.Node) {
	byName := map[string]*yaml.Node{}
	for _, e := range entries.Content {
		byName[callName(e)] = e
		like := key(e, "like")
		if like == nil {
			continue
		}
		from := byName[like.Value]
		var own []*yaml.Node
		for i := 0; i+1 < len(e.Content); i += 2 {
			if e.Content[i].Value != "like" {
				own = append(own, e.Content[i], e.Content[i+1])
			}
		}
		for i := 0; i+1 < len(from.Content); i += 2 {
			k := from.Content[i].Value
			if slices.Contains([]string{"syscall", "nr", "event", "name", "hot", "socketcall"}, k) || key(e, k) != nil {
				continue
			}
			own = append(own, from.Content[i], renameCalls(from.Content[i+1], callName(from), callName(e)))
		}
		e.Content = own
	}
}

func renameCalls(n *yaml.Node, from, to string) *yaml.Node {
	c := *n
	c.Content = nil
	for i, x := range n.Content {
		y := renameCalls(x, from, to)
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "call" {
			y.Value = strings.Replace(y.Value, from+"(", to+"(", 1)
		}
		c.Content = append(c.Content, y)
	}
	return &c
}

// replace puts drafts in the place of entries, and loads the table.
func (f *flat) replace(t *testing.T, drafts map[string]*Entry) (*tables.Table, error) {
	t.Helper()
	parts := map[string]*yaml.Node{}
	for name, n := range f.files {
		if strings.HasPrefix(name, "syscalls/") {
			entries := list(n, "syscalls")
			entries.Content = slices.DeleteFunc(slices.Clone(entries.Content), func(e *yaml.Node) bool { return drafts[callName(e)] != nil })
			parts[name] = entries
		}
	}
	parse := func(text string) *yaml.Node {
		doc := new(yaml.Node)
		require.NoError(t, yaml.Unmarshal([]byte(text), doc), text)
		return doc.Content[0].Content[0]
	}
	have := map[string]bool{}
	for _, name := range sortedKeys(drafts) {
		e := drafts[name]
		part := parts["syscalls/"+e.Class+".yaml"]
		part.Content = append(part.Content, parse(e.Text()))
		for _, s := range e.Sets {
			if sets := list(f.files["flags.yaml"], "flags"); !have[s.Name] {
				have[s.Name] = true
				sets.Content = slices.DeleteFunc(sets.Content, func(n *yaml.Node) bool { return key(n, "set").Value == s.Name })
				sets.Content = append(sets.Content, parse(s.Text()))
			}
		}
		for _, s := range e.Structs {
			if structs := list(f.files["structs.yaml"], "structs"); !have["struct "+s.Name] {
				have["struct "+s.Name] = true
				structs.Content = slices.DeleteFunc(structs.Content, func(n *yaml.Node) bool { return key(n, "struct").Value == s.Name })
				structs.Content = append(structs.Content, parse(s.Text()))
			}
		}
	}
	for range 10 {
		files := fstest.MapFS{}
		for name, n := range f.files {
			var b bytes.Buffer
			enc := yaml.NewEncoder(&b)
			require.NoError(t, enc.Encode(n.Content[0]))
			require.NoError(t, enc.Close())
			files[name] = &fstest.MapFile{Data: b.Bytes()}
		}
		lock, err := os.ReadFile(filepath.Join(tableDir, "schema.lock"))
		require.NoError(t, err)
		lock = ofEntries.ReplaceAllFunc(lock, func(line []byte) []byte {
			if m := ofEntries.FindSubmatch(line); drafts[string(m[1])] != nil {
				return nil
			}
			return line
		})
		for name := range have {
			lock = regexp.MustCompile(`(?m)^value `+name+` .*\n`).ReplaceAll(lock, nil)
		}
		files["schema.lock"] = &fstest.MapFile{Data: lock}
		table, err := tables.LoadFS(files)
		if !f.drop(err) {
			return table, err
		}
	}
	return nil, errors.New("what is unused is not found")
}

// ofEntries are the lines of our own events.
var ofEntries = regexp.MustCompile(`(?m)^event 0x\w+ \w+ (\w+) .*\n`)

var unused = regexp.MustCompile(`(group|want|reducer) (\w+) is unused`)

// drop leaves out groups that no entry uses any more: reports whether there were any.
func (f *flat) drop(err error) bool {
	dropped := false
	if err == nil {
		return false
	}
	for _, m := range unused.FindAllStringSubmatch(all(err), -1) {
		place := map[string][2]string{"group": {"events.yaml", "groups"}, "want": {"", "wants"}, "reducer": {"helpers.yaml", "reducers"}}[m[1]]
		for name, n := range f.files {
			l := list(n, place[1])
			if l == nil || place[0] != "" && place[0] != name {
				continue
			}
			before := len(l.Content)
			l.Content = slices.DeleteFunc(l.Content, func(e *yaml.Node) bool {
				own, _, _ := strings.Cut(e.Content[1].Value, "(")
				return own == m[2] || m[1] == "reducer" && !f.changes(own)
			})
			dropped = dropped || len(l.Content) < before
		}
	}
	return dropped
}

// changes reports whether an entry or event names a reducer.
func (f *flat) changes(reducer string) bool {
	for name, n := range f.files {
		for _, l := range []string{"syscalls", "events"} {
			if entries := list(n, l); entries != nil && (name == "events.yaml" || strings.HasPrefix(name, "syscalls/")) {
				for _, e := range entries.Content {
					if s := key(e, "state"); s != nil && regexp.MustCompile(`^`+reducer+`\b`).MatchString(s.Value) {
						return true
					}
				}
			}
		}
	}
	return false
}

func all(err error) string {
	var list tables.ErrorList
	if !errors.As(err, &list) {
		return err.Error()
	}
	var lines []string
	for _, e := range list {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// compared is how a draft does beside the entry.
type compared struct {
	same, drafted, missing, wanted int
	why                            []string
}

// compare compares the params of two entries of a call. An argument is the same if it has the same place.
func compare(draft, entry *tables.Syscall) (c compared) {
	for _, both := range [][2]*tables.Event{{draft.Exit, entry.Exit}, {draft.Enter, entry.Enter}} {
		if both[0] == nil && both[1] == nil {
			continue
		}
		mine, theirs := map[string]string{}, map[string]string{}
		var order []string
		if both[0] != nil {
			for _, p := range both[0].Params {
				mine[p.Name] = spelled(draft, p)
				order = append(order, p.Name)
			}
		}
		if both[1] != nil {
			for _, p := range both[1].Params {
				theirs[p.Name] = spelled(entry, p)
				if mine[p.Name] == "" {
					c.missing++
				}
			}
		}
		c.wanted += len(theirs)
		for _, name := range order {
			c.drafted++
			switch {
			case theirs[name] == mine[name]:
				c.same++
			case theirs[name] == "":
				c.why = append(c.why, fmt.Sprintf("%s.%s: the entry has none of the name: %s", draft.Name, name, mine[name]))
			default:
				c.why = append(c.why, fmt.Sprintf("%s.%s: %s, but %s in the entry", draft.Name, name, mine[name], theirs[name]))
			}
		}
	}
	return c
}

// spelled writes all that a param says, with the places of arguments for their names.
func spelled(s *tables.Syscall, p *tables.Param) string {
	text := p.From.String()
	if p.Switch != nil {
		text += " variants"
	}
	if p.Len != nil {
		text += " len " + p.Len.String()
	}
	if p.When != nil {
		text += " when " + when(p)
	}
	for i, a := range s.Params {
		text = regexp.MustCompile(`\b`+a.Name+`\b`).ReplaceAllString(text, fmt.Sprintf("$$%d", i+1))
	}
	return fmt.Sprintf("%s from %s names %s show %s base %s snaplen %v", p.Type, text, p.Names, p.Show, p.Base, p.Snaplen)
}

func (c *compared) add(d compared) {
	c.same += d.same
	c.drafted += d.drafted
	c.missing += d.missing
	c.wanted += d.wanted
	c.why = append(c.why, d.why...)
}

func (c *compared) String() string {
	return fmt.Sprintf("%d of %d drafted params need no edit (%.1f %%); %d of %d params of the entries are not drafted", c.same, c.drafted,
		100*float64(c.same)/float64(max(c.drafted, 1)), c.missing, c.wanted)
}

// typed returns the calls of amd64 that the kernel and the table have, in order of number.
func typed(d *Drafter) []*tables.Syscall {
	calls := slices.DeleteFunc(slices.Clone(d.table.Syscalls), func(s *tables.Syscall) bool {
		_, has := s.NR["amd64"]
		return !has || d.calls[d.symbol(s.Name)].Args == nil
	})
	slices.SortFunc(calls, func(a, b *tables.Syscall) int { return a.NR["amd64"] - b.NR["amd64"] })
	return calls
}

// measure drafts calls, and compares the drafts with the entries. None of the calls is in the table that they are drafted for, or,
// if one says so, only each other.
func measure(t *testing.T, table *tables.Table, facts *kernelfacts.Facts, calls []*tables.Syscall, strictly, one bool) (total, ours compared) {
	t.Helper()
	drafts := map[string]*Entry{}
	next := New(table, facts).code()
	for _, s := range calls {
		out := calls
		if one {
			out = []*tables.Syscall{s}
		}
		d := New(without(table, strictly, out...), facts)
		d.next, d.unlocked = next, true
		e, err := d.Draft(s.Name)
		require.NoError(t, err)
		next = d.next
		drafts[s.Name] = e
	}
	again, err := flatten(t).replace(t, drafts)
	if err != nil {
		require.Fail(t, "drafts do not pass lint", all(err))
	}
	byName := map[string]*tables.Syscall{}
	for _, s := range again.Syscalls {
		byName[s.Name] = s
	}
	for _, s := range calls {
		c := compare(byName[s.Name], s)
		total.add(c)
		if s.Exit.Code >= firstOwn {
			ours.add(c)
		}
	}
	return total, ours
}

// sampled are 20 of the calls in order of number, at equal distances.
func sampled(all []*tables.Syscall) (sample []*tables.Syscall, names []string) {
	const n = 20
	for i := range n {
		s := all[(2*i+1)*len(all)/(2*n)]
		sample, names = append(sample, s), append(names, s.Name)
	}
	return sample, names
}

func TestFourOfFiveDraftedParamsNeedNoEdit(t *testing.T) {
	table, facts := mustTable(t), mustFacts(t)
	all := typed(New(table, facts))
	sample, names := sampled(all)
	total, ours := measure(t, table, facts, sample, false, false)
	t.Logf("of %d calls, %s", len(all), strings.Join(names, " "))
	t.Logf("%s", &total)
	t.Logf("calls that the reference has no event for: %s", &ours)
	t.Logf("\n%s", strings.Join(total.why, "\n"))
	require.GreaterOrEqual(t, total.same*100, total.drafted*80)

	strict, ours := measure(t, table, facts, sample, true, false)
	t.Logf("without the sets and structs that only these calls use: %s", &strict)
	t.Logf("calls that the reference has no event for: %s", &ours)
}

func TestAllTypedCallsAreDrafted(t *testing.T) {
	testutil.SkipIfShort(t, "drafts 357 entries twice")
	table, facts := mustTable(t), mustFacts(t)
	for _, strictly := range []bool{false, true} {
		total, ours := measure(t, table, facts, typed(New(table, facts)), strictly, true)
		if strictly {
			t.Logf("without the sets and structs that only these calls use:")
		}
		t.Logf("%s", &total)
		t.Logf("calls that the reference has no event for: %s", &ours)
		t.Logf("\n%s", strings.Join(total.why, "\n"))
	}
}

// fetched returns a kernel for amd64 that was fetched before.
func fetched(t *testing.T, name string) *kernelfacts.Facts {
	t.Helper()
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	list, err := (&kernels.Store{Catalog: catalog, Arch: "amd64"}).List()
	if err != nil {
		t.Skip(err)
	}
	for _, k := range list {
		if k.Series != name || k.Kernel == nil {
			continue
		}
		types, err := kernels.LoadBTF(k.Kernel.Image)
		require.NoError(t, err)
		image, err := os.ReadFile(k.Kernel.Image)
		require.NoError(t, err)
		f, err := kernelfacts.Of(image, "amd64", types, nil)
		require.NoError(t, err)
		f.Kernel = name
		return f
	}
	t.Skipf("kernel %s was not fetched yet (scaplab kernels fetch %[1]s)", name)
	return nil
}

// The facts in testdata are those of the kernel.
func TestDraftsOfTheKernelItself(t *testing.T) {
	table, facts := mustTable(t), fetched(t, "6.12")
	sample, _ := sampled(typed(New(table, facts)))
	total, _ := measure(t, table, facts, sample, false, false)
	t.Logf("%s", &total)
	require.GreaterOrEqual(t, total.same*100, total.drafted*80)
}

// The rules were made with the calls of 6.12: those that came later tell how good the drafts of new calls are.
func TestCallsThatCameLater(t *testing.T) {
	table, facts := mustTable(t), fetched(t, "7.3")
	before := New(table, mustFacts(t))
	later := slices.DeleteFunc(typed(New(table, facts)), func(s *tables.Syscall) bool {
		_, had := before.calls[before.symbol(s.Name)]
		return had
	})
	var names []string
	for _, s := range later {
		names = append(names, s.Name)
	}
	require.Subset(t, names, []string{"getxattrat", "open_tree_attr", "file_setattr", "listns"})
	total, _ := measure(t, table, facts, later, false, false)
	t.Logf("%s", strings.Join(names, " "))
	t.Logf("%s", &total)
	t.Logf("\n%s", strings.Join(total.why, "\n"))
	strict, _ := measure(t, table, facts, later, true, false)
	t.Logf("without the sets and structs that only these calls use: %s", &strict)
}
