// SPDX-License-Identifier: Apache-2.0

package htmlreport

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest"
)

// browser is a page in Chromium, without a window.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string

	mu       sync.Mutex
	requests []string // besides that of the page
	said     []string // on the console, and exceptions
}

// TestInABrowser reads the page as its readers do. One Chromium is for all of it, with a profile for each part.
func TestInABrowser(t *testing.T) {
	testutil.SkipIfShort(t, "starts Chromium")
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium (scripts/setup chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 800))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses to be root's
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx))
	for name, part := range map[string]func(*testing.T, context.Context){
		"a cell opens its cases":             testCellsOpen,
		"a repro line is copied":             testCopy,
		"the map is filtered":                testFilters,
		"the keyboard is enough":             testKeyboard,
		"tables are shown and sorted":        testTables,
		"it is dark if wanted":               testDark,
		"nothing is cut off at 400 pixels":   testNarrow,
		"an empty report says that it is so": testEmpty,
	} {
		t.Run(name, func(t *testing.T) { part(t, ctx) })
	}
}

// open shows a report. What the page asks the network for, and what it complains about, fails the test at its end.
func open(t *testing.T, ctx context.Context, rep *vmtest.Report) *browser {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte(write(t, rep)), 0o600))
	b := &browser{t: t, url: "file://" + file}
	var cancel context.CancelFunc
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.listen), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b.do(chromedp.Navigate(b.url), chromedp.WaitVisible(chromedp.CSS("#detail h2")))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Empty(t, b.requests, "the page needs no network")
		require.Empty(t, b.said)
	})
	return b
}

func (b *browser) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if url, _, _ := strings.Cut(ev.Request.URL, "#"); url != b.url && !strings.HasPrefix(url, "data:") {
			b.requests = append(b.requests, url)
		}
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, fmt.Sprint(ev.ExceptionDetails.Text, " ", ev.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprint(ev.Type))
	case *log.EventEntryAdded:
		b.said = append(b.said, ev.Entry.Text)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// text returns what a reader sees of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return b.eval(fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// eval returns the value of an expression as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	require.NoError(b.t, err, expression)
	return s
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *browser) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// focus returns the label of the element that has the focus.
func (b *browser) focus() string {
	b.t.Helper()
	return b.eval("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || document.activeElement.name")
}

func cellOf(call string, column int) string {
	return fmt.Sprintf(`#map td[data-call="%s"][data-col="%d"]`, call, column)
}

const failed = 4 // the column of kmod on 6.12

func testCellsOpen(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	require.Equal(t, "3 calls, 4 cases, 24 verdicts", b.text("#shown"))
	require.Contains(t, b.text("#detail"), "1 verdict failed")
	require.Equal(t, "✕1", b.text(cellOf("openat", failed)))
	require.Equal(t, "2", b.text(cellOf("openat", 0)))
	require.Equal(t, "–", b.text(cellOf("getppid", 0)))

	b.click(cellOf("openat", failed))
	cases := b.text("#detail")
	require.Contains(t, cases, "openat(int dirfd, const char *path, int flags, umode_t mode)")
	require.Contains(t, cases, "6.12 kmod: 1 passed, 1 failed")
	require.Less(t, strings.Index(cases, "creates-a-file"), strings.Index(cases, "missing-file"), "the failed one is first")

	b.click("#detail .cases button.link")
	detail := b.text("#detail")
	for _, want := range []string{
		"creates-a-file", "tables/syscalls/file.yaml:", "failed", "name: want /no/such, got </script><img src=x", "line two",
		"scaplab repro 'openat/creates-a-file@6.12/kmod' --accel tcg", "Params: 1 of 2 as wanted", "theirs cuts it", "conformance: listed",
		"Events of kmod", "< openat name=</script>", "Console while the case ran", "scap: </script>",
		"The case in the table", `openat(AT_FDCWD, "$dir/new", O_RDWR | O_CREAT, 0640)`,
	} {
		require.Contains(t, detail, want)
	}
	require.Equal(t, "name", b.text("#detail .params tr.wrong th"))
	require.Equal(t, "/no/such", b.text("#detail .params tr.wrong td"))

	// The other drivers and kernels of the case are a click away.
	b.click(`#detail .strip button[aria-label="5.10 ebpf: passed"]`)
	require.Contains(t, b.text("#detail .status"), "passed")
	b.do(chromedp.NavigateBack())
	require.Contains(t, b.text("#detail .status"), "failed")

	// Events of a case that passed are those of the kernel that the report has them of.
	b.do(chromedp.Navigate(b.url + "#cell=openat/missing-file@6.12/ebpf%3Dkmod"))
	detail = b.text("#detail")
	require.Contains(t, detail, "Events of ebpf, as on 5.10\n> openat name=ebpf\n< openat fd=-2")
	require.Contains(t, detail, "Events of kmod, as on 5.10\n> openat name=kmod")
	require.Contains(t, detail, "returned -2")
	require.Contains(t, detail, "1,500 ms")
}

func testCopy(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	b.do(chromedp.Navigate(b.url + "#cell=getppid/works@6.12/ebpf"))
	b.eval("document.addEventListener('copy', () => { window.copied = String(getSelection()); }), navigator.clipboard.writeText = async (text) => { window.copied = text; }")
	b.click("#detail .copy button")
	require.Equal(t, "Copied", b.text("#detail .copy button"))
	require.Equal(t, "scaplab repro 'getppid/works@6.12/ebpf' --accel tcg", b.eval("window.copied"))
}

func testFilters(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	choose := func(name, value string) {
		t.Helper()
		b.eval(fmt.Sprintf("(() => { const e = document.querySelector('.filters').elements[%q]; e.value = %q; e.dispatchEvent(new Event('input', { bubbles: true })); })()", name, value))
	}
	b.click(`.segments input[value="fail"] + span`)
	require.Equal(t, "1 call, 1 case, 1 verdict", b.text("#shown"))
	b.click(`.segments input[value=""] + span`)
	choose("kernel", "5.10")
	require.Equal(t, "3 calls, 4 cases, 12 verdicts", b.text("#shown"))
	require.Equal(t, "0", b.eval(`document.querySelectorAll('#map [data-col="3"]').length`))
	choose("driver", "kmod")
	require.Equal(t, "3 calls, 4 cases, 4 verdicts", b.text("#shown"))
	choose("class", "file")
	require.Equal(t, "1 call, 2 cases, 2 verdicts", b.text("#shown"))
	choose("q", "missing")
	require.Equal(t, "1 call, 1 case, 1 verdict", b.text("#shown"))
	choose("q", "no such name")
	require.Contains(t, b.text("#map"), "No case matches these filters.")
	b.click("#map button")
	require.Equal(t, "3 calls, 4 cases, 24 verdicts", b.text("#shown"))
	require.Equal(t, "1 of 1 0 of 1 1 of 1 0 of 1", b.eval(`[...document.querySelectorAll("#suites tbody tr:first-child td.n")].map((e) => e.textContent).join(" ")`))
	choose("suite", "io_uring")
	require.Equal(t, "1 call, 1 case, 6 verdicts", b.text("#shown"))

	b.do(chromedp.Navigate(b.url + "#q=openat&kernel=6.12")) // a link has the filters
	require.Equal(t, "1 call, 2 cases, 6 verdicts", b.text("#shown"))
	b.click("#fold")
	require.Equal(t, "0", b.eval(`document.querySelectorAll('#map td.cell').length`))
	require.Contains(t, b.text("#map"), "file")
}

func testKeyboard(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	// Only the key: a browser makes no character of a key that the page takes for itself, the protocol would.
	_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: "/"})
	require.NoError(t, err)
	require.Equal(t, "q", b.focus())
	b.press("openat")
	require.Equal(t, "1 call, 2 cases, 12 verdicts", b.text("#shown"))
	b.press(kb.Escape)
	require.Equal(t, "3 calls, 4 cases, 24 verdicts", b.text("#shown"))
	require.Equal(t, "openat, 5.10 ebpf: 2 passed", b.focus(), "back on the map")
	b.press(strings.Repeat(kb.ArrowRight, 4))
	require.Equal(t, "openat, 6.12 kmod: 1 passed, 1 failed", b.focus())
	require.NotEqual(t, "none", b.eval("getComputedStyle(document.activeElement.firstElementChild).outlineStyle"), "the focus is visible")
	b.press(kb.ArrowDown + kb.ArrowDown) // over the heading of the next class
	require.Equal(t, "getppid, 6.12 kmod: 1 passed", b.focus())
	b.press(kb.Home)
	require.Equal(t, "getppid", b.focus())
	b.press(kb.End + kb.ArrowUp + kb.ArrowUp + kb.ArrowLeft + kb.Enter)
	require.Contains(t, b.text("#detail"), "6.12 kmod: 1 passed, 1 failed")
	require.Equal(t, "Details", b.focus())
	b.press(kb.Tab + kb.Tab + kb.Enter) // past Close, to the first case
	require.Contains(t, b.text("#detail h2"), "creates-a-file")
	b.press(kb.Escape)
	require.Equal(t, "openat", b.text("#detail h2"))
	b.press(kb.Escape)
	require.Contains(t, b.text("#detail h2"), "1 verdict failed")
	require.Equal(t, "openat, 6.12 kmod: 1 passed, 1 failed", b.focus())
}

func testTables(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	for view, want := range map[string]string{
		"summary": "1 verdict failed of 24", "cost": "1,690", "verifier": "too complex", "coverage": "Not proven", "conformance": "theirs cuts it", "suites": "the ring has no such tracepoint",
	} {
		b.click(fmt.Sprintf(`nav a[href="#view=%s"]`, view))
		require.Contains(t, b.text("#"+view), want)
		require.Equal(t, "1", b.eval(`[...document.querySelectorAll(".view")].filter((v) => v.offsetHeight).length`), "one view at a time")
		require.Equal(t, view, strings.TrimPrefix(b.eval(`document.querySelector("nav [aria-current]").hash`), "#view="))
	}
	b.click(`nav a[href="#view=verifier"]`)
	first := func() string { return b.eval(`document.querySelector("#verifier-table tbody th").firstChild.data`) }
	b.click("#verifier-table thead th:nth-child(4) button")
	require.Equal(t, "large", first(), "numbers by their size, the largest first")
	b.click("#verifier-table thead th:nth-child(4) button")
	require.Equal(t, "small", first())
	b.click(`#verifier input`)
	b.press("14 large")
	require.Equal(t, "1", b.eval(`[...document.querySelectorAll("#verifier-table tbody tr")].filter((r) => !r.hidden).length`))
	b.click(`nav a[href="#view=summary"]`)
	b.click(".failures a")
	require.Equal(t, "creates-a-file", b.text("#detail h2"), "a failure leads to its case")
}

func testDark(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	paper := func() string { return b.eval("getComputedStyle(document.body).backgroundColor") }
	prefer := func(scheme string) {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		require.NoError(t, err)
	}
	prefer("light")
	light := paper()
	prefer("dark")
	dark := paper()
	require.NotEqual(t, light, dark, "as the system is set")
	b.click("#theme")
	require.Equal(t, light, paper(), "light, whatever the system is")
	prefer("light")
	b.click("#theme")
	require.Equal(t, dark, paper())
	require.Equal(t, "Theme: dark", b.text("#theme"))
}

func testNarrow(t *testing.T, ctx context.Context) {
	b := open(t, ctx, sample(t))
	b.do(chromedp.EmulateViewport(400, 800))
	narrow := func(where string) {
		t.Helper()
		require.Equal(t, "true", b.eval("document.documentElement.scrollWidth <= 400 && document.querySelector('main').scrollWidth <= 400"), where)
	}
	narrow("the map")
	require.Equal(t, "true", b.eval("document.querySelector('#map').scrollWidth <= 400"), "two kernels with three drivers have room")
	b.click(cellOf("openat", failed))
	narrow("a call")
	require.Equal(t, "400", b.eval("document.querySelector('#detail').offsetWidth"), "details are over the map")
	b.click("#detail .cases button.link")
	narrow("a case")
	b.click("#detail .close")
	require.Equal(t, "0", b.eval("document.querySelector('#detail').offsetWidth"))
	for _, view := range []string{"summary", "cost", "verifier", "coverage", "conformance", "suites"} {
		b.do(chromedp.Navigate(b.url + "#view=" + view))
		narrow(view)
	}
}

func testEmpty(t *testing.T, ctx context.Context) {
	b := open(t, ctx, &vmtest.Report{})
	require.Contains(t, b.text("#map"), "This report has no verdicts.")
	require.Contains(t, b.text("#detail"), "Nothing ran")
	b.click(`nav a[href="#view=summary"]`)
	require.Contains(t, b.text("#summary"), "Nothing ran")
}
