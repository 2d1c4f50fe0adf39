// SPDX-License-Identifier: Apache-2.0
//
// Draws the map of calls, kernels and drivers, and the details of a case. What is shown is the part of the address
// after #, so that each view has a link and the browser's "back" works. All text goes into the page as text
// (textContent), never as HTML: events hold bytes that any program may choose.
"use strict";
(async () => {

const $ = (id) => document.getElementById(id);

/** make returns an element with attributes ("on..." are listeners) and children. */
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== undefined && value !== false) e.setAttribute(name, value);
  }
  e.append(...children.flat().filter((c) => c !== undefined && c !== null && c !== ""));
  return e;
}

const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const plural = (n, one, many) => `${thousands(n)} ${n === 1 ? one : many}`;

// ---------------------------------------------------------------------------------------------------------------
// The data. pack.go says what is where.

const statusNames = ["pass", "fail", "skip"];
const statusWords = { pass: "passed", fail: "failed", skip: "skipped" };

/** unpack reads the data of the page and gives numbers their meaning. */
async function unpack() {
  const bytes = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = await new Response(stream).json();
  const text = (i) => data.strings[i ?? 0];
  data.columns.forEach((c, i) => {
    c.name = [c.kernel, c.arch, c.driver].filter(Boolean).join(" ");
    c.label = c.driver.includes("=") ? "equal" : c.driver;
    const before = data.columns[i - 1];
    c.first = !before || before.kernel !== c.kernel || before.arch !== c.arch;
  });
  for (const call of data.calls) {
    call.className = data.classes[call.class];
    for (const one of call.cases) {
      one.call = call;
      one.suite = text(one.suite);
      one.verdicts = one.verdicts.map((v) => {
        const column = data.columns[v[0]];
        return {
          one, column, at: v[0], status: statusNames[v[1] ?? 0], class: text(v[2]), reason: text(v[3]), params: v[4] ?? 0,
          cell: `${call.name}/${one.name}@${column.kernel}/${column.driver}`, repro: v[5], ret: text(v[6]), ms: v[7] ?? 0,
          events: text(v[8]), console: text(v[9]), conformance: text(v[10]), missed: text(v[11]),
        };
      });
      // A joined report may have a cell of several runs: a failure hides none of the others, and is not hidden.
      one.by = new Map();
      for (const v of one.verdicts) {
        const have = one.by.get(v.at);
        if (!have || v.status === "fail") one.by.set(v.at, v);
      }
    }
  }
  data.text = text;
  data.paramsOf = (v) => {
    const n = data.params[v.params], list = [];
    for (let i = 0; i < n.length; i += 5) list.push({ name: text(n[i]), want: text(n[i + 1]), got: text(n[i + 2]), ok: n[i + 3] === 0, differs: text(n[i + 4]) });
    return list;
  };
  return data;
}

let data;
try {
  data = await unpack();
} catch (e) {
  $("map").replaceChildren(make("p", { class: "empty" }, `The data of this file cannot be read: ${e.message}`));
  $("matrix").hidden = false;
  return;
}

// ---------------------------------------------------------------------------------------------------------------
// What is shown: view, filters (status, class, kernel, driver, suite, q), and the chosen call, column and case.

const filterNames = ["status", "class", "kernel", "driver", "suite", "q"];
let state = {};

function readState() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const s = Object.fromEntries(hash);
  // A cell as command lines name it: CALL/CASE@KERNEL/DRIVER.
  const cell = s.cell && allVerdicts().find((v) => v.cell === s.cell);
  if (cell) Object.assign(s, { call: cell.one.call.name, case: cell.one.name, col: String(cell.at) });
  delete s.cell;
  return s;
}

function* allVerdicts() {
  for (const call of data.calls) for (const one of call.cases) yield* one.verdicts;
}

/** go changes the state. A choice is a step for "back", a filter is none. */
function go(changes, step = true) {
  const next = { ...state, ...changes };
  for (const name of Object.keys(next)) if (next[name] === undefined || next[name] === "") delete next[name];
  const hash = "#" + new URLSearchParams(next);
  if (hash === location.hash) return;
  history[step ? "pushState" : "replaceState"](null, "", hash);
  show();
}

const views = [...document.querySelectorAll(".view")];
const form = document.querySelector(".filters");
let drawn; // the filters that the map was drawn with

function show() {
  state = readState();
  const view = views.find((v) => v.id === state.view) ?? $("matrix");
  for (const v of views) v.hidden = v !== view;
  for (const a of document.querySelectorAll(".top nav a")) {
    if (a.hash === `#view=${view.id}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  if (view.id !== "matrix") return;
  for (const name of filterNames) if (form.elements[name] && form.elements[name].value !== (state[name] ?? "")) form.elements[name].value = state[name] ?? "";
  const filters = JSON.stringify(filterNames.map((n) => state[n] ?? ""));
  if (filters !== drawn) {
    drawn = filters;
    drawMap();
  }
  markChosen();
  chosenCell()?.scrollIntoView({ block: "nearest", inline: "nearest" }); // after a link
  drawDetail();
}

addEventListener("hashchange", show);
addEventListener("popstate", show);

// ---------------------------------------------------------------------------------------------------------------
// The map

const folded = new Set(); // classes
let rows = [];            // what the arrow keys move over: rows of focusable cells

/** selection returns what the filters leave: columns by index, and calls with their cases. */
function selection() {
  const q = (state.q ?? "").trim().toLowerCase();
  const columns = data.columns.map((c, i) => i).filter((i) => {
    const c = data.columns[i];
    return (!state.kernel || c.kernel === state.kernel) && (!state.driver || c.driver === state.driver);
  });
  const shown = new Set(columns);
  const has = (one) => one.verdicts.some((v) => shown.has(v.at) && (!state.status || v.status === state.status));
  const calls = [];
  for (const call of data.calls) {
    if (state.class && call.className !== state.class) continue;
    const byName = call.name.toLowerCase().includes(q);
    const cases = call.cases.filter((one) => (byName || `${call.name}/${one.name}`.toLowerCase().includes(q)) &&
      (!state.suite || one.suite === state.suite) && has(one));
    if (cases.length) calls.push({ call, cases });
  }
  return { columns, calls };
}

/** count returns how many of the cases have which status in a column. */
function count(cases, column) {
  const n = { pass: 0, fail: 0, skip: 0 };
  for (const one of cases) for (const v of one.verdicts) if (v.at === column) n[v.status]++;
  return n;
}

function tally(n) {
  const words = Object.keys(n).filter((s) => n[s]).map((s) => `${n[s]} ${statusWords[s]}`);
  return words.join(", ") || "no case";
}

function drawMap() {
  const { columns, calls } = selection();
  const verdicts = calls.reduce((sum, { cases }) => sum + cases.reduce((n, one) =>
    n + one.verdicts.filter((v) => columns.includes(v.at) && (!state.status || v.status === state.status)).length, 0), 0);
  const cases = calls.reduce((n, c) => n + c.cases.length, 0);
  $("shown").textContent = `${plural(calls.length, "call", "calls")}, ${plural(cases, "case", "cases")}, ${plural(verdicts, "verdict", "verdicts")}`;
  rows = [];
  if (!data.calls.length) {
    $("map").replaceChildren(make("p", { class: "empty" }, "This report has no verdicts."));
    return;
  }
  if (!calls.length) {
    const nothing = state.status === "fail" && filterNames.every((n) => n === "status" || !state[n]) ? "Nothing failed." : "No case matches these filters.";
    $("map").replaceChildren(make("p", { class: "empty" }, nothing, " ",
      make("button", { type: "button", class: "quiet", onclick: () => go(Object.fromEntries(filterNames.map((n) => [n, ""])), false) }, "Clear filters")));
    return;
  }

  const kernels = [];
  for (const i of columns) {
    const c = data.columns[i], name = c.arch ? `${c.kernel} ${c.arch}` : c.kernel;
    if (kernels.at(-1)?.name === name) kernels.at(-1).span++;
    else kernels.push({ name, span: 1 });
  }
  const firsts = new Set(columns.filter((c, i) => i === 0 || data.columns[columns[i - 1]].kernel !== data.columns[c].kernel || data.columns[columns[i - 1]].arch !== data.columns[c].arch));
  const first = (c) => (firsts.has(c) ? " first" : "");
  const head = make("thead", {},
    make("tr", {}, make("th", { class: "name", rowspan: 2, scope: "col" }, "Call"),
      kernels.map((k) => make("th", { class: "kernel first", colspan: k.span, scope: "colgroup", title: k.name }, k.name.split("/").at(-1)))),
    make("tr", {}, columns.map((c) => make("th", { class: `driver${first(c)}`, scope: "col", title: data.columns[c].name }, shortLabel(data.columns[c])))));

  const body = make("tbody");
  const byClass = Map.groupBy(calls, (c) => c.call.className);
  for (const [name, group] of byClass) {
    const open = !folded.has(name);
    const all = group.flatMap((c) => c.cases);
    const toggle = make("button", { type: "button", "aria-expanded": String(open), tabindex: -1, onclick: () => { open ? folded.add(name) : folded.delete(name); redraw(); } }, name);
    toggle.dataset.row = rows.length;
    rows.push([toggle]);
    body.append(make("tr", { class: "group" }, make("th", { class: "name", scope: "rowgroup" }, toggle, " ", make("span", {}, String(group.length))),
      columns.map((c) => {
        const n = count(all, c);
        return make("td", { class: (n.fail ? "fail" : "") + first(c), title: `${name}, ${data.columns[c].name}: ${tally(n)}` }, n.fail ? `✕${n.fail}` : open ? "" : n.pass || "");
      })));
    if (!open) continue;
    for (const { call, cases } of group) {
      const head = make("th", { class: "name", scope: "row", role: "rowheader", tabindex: -1, title: call.signature ?? call.name }, call.name);
      const line = [head];
      head.dataset.call = call.name;
      for (const c of columns) {
        const n = count(cases, c);
        const kind = n.fail ? "fail" : n.pass ? (n.skip ? "some" : "pass") : n.skip ? "skip" : "none";
        const cell = make("td", { class: `cell ${kind}${first(c)}`, role: "gridcell", tabindex: -1, "aria-label": `${call.name}, ${data.columns[c].name}: ${tally(n)}`,
          title: `${call.name}, ${data.columns[c].name}: ${tally(n)}` }, make("i", {}, n.fail ? `✕${n.fail}` : n.pass ? String(n.pass) : n.skip ? "–" : ""));
        cell.dataset.call = call.name;
        cell.dataset.col = c;
        line.push(cell);
      }
      line.forEach((e) => { e.dataset.row = rows.length; });
      rows.push(line);
      body.append(make("tr", {}, line));
    }
  }
  $("map").replaceChildren(make("table", { role: "grid", "aria-label": "Calls by kernel and driver", "aria-readonly": "true" }, head, body));
  const start = rows.find((r) => r.length > 1) ?? rows[0];
  (start[1] ?? start[0]).tabIndex = 0;
}

function shortLabel(c) {
  return innerWidth > 560 ? c.label : c.label === "equal" ? "=" : c.label[0];
}

function redraw() {
  const at = document.activeElement?.dataset?.row;
  drawMap();
  markChosen();
  if (at !== undefined) rows[Math.min(at, rows.length - 1)]?.[0].focus();
}

let narrow = innerWidth <= 560;
addEventListener("resize", () => {
  if (narrow !== (narrow = innerWidth <= 560)) redraw();
});

function markChosen() {
  for (const e of $("map").querySelectorAll("[aria-selected]")) e.removeAttribute("aria-selected");
  if (!state.call) return;
  for (const e of $("map").querySelectorAll("[data-call]")) {
    if (e.dataset.call === state.call && (e.dataset.col === undefined || e.dataset.col === state.col)) e.setAttribute("aria-selected", "true");
  }
}

function choose(e) {
  if (e.classList.contains("none")) return;
  go({ call: e.dataset.call, col: e.dataset.col, case: undefined });
}

function focusCell(e) {
  for (const old of $("map").querySelectorAll('[tabindex="0"]')) old.tabIndex = -1;
  e.tabIndex = 0;
  e.focus({ preventScroll: true });
  e.scrollIntoView({ block: "nearest", inline: "nearest" });
}

$("map").addEventListener("click", (event) => {
  const e = event.target.closest("[data-call]");
  if (!e) return;
  focusCell(e);
  choose(e);
});

$("map").addEventListener("keydown", (event) => {
  const e = event.target.closest("[data-row]");
  if (!e || event.altKey || event.metaKey) return;
  let y = Number(e.dataset.row);
  let x = rows[y].indexOf(e);
  const page = Math.max(1, Math.floor($("map").clientHeight / 24) - 4);
  const end = event.ctrlKey;
  switch (event.key) {
  case "ArrowUp": y--; break;
  case "ArrowDown": y++; break;
  case "ArrowLeft": x--; break;
  case "ArrowRight": x++; break;
  case "PageUp": y -= page; break;
  case "PageDown": y += page; break;
  case "Home": x = 0; if (end) y = 0; break;
  case "End": x = Infinity; if (end) y = Infinity; break;
  case "Enter":
  case " ":
    if (e.dataset.call === undefined) return; // a button
    event.preventDefault();
    choose(e);
    $("detail").focus();
    return;
  default: return;
  }
  event.preventDefault();
  if (rows[y]?.length === 1 && x > 0) keptX = x; // over a heading the column is kept
  y = Math.max(0, Math.min(y, rows.length - 1));
  if (rows[y].length > 1 && rows[Number(e.dataset.row)].length === 1 && (event.key === "ArrowUp" || event.key === "ArrowDown")) x = keptX;
  x = Math.max(0, Math.min(x, rows[y].length - 1));
  focusCell(rows[y][x]);
});
let keptX = 0;

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea");
  if (event.key === "/" && !typing && !$("matrix").hidden) {
    event.preventDefault();
    form.elements.q.select();
    form.elements.q.focus();
  } else if (event.key === "Escape" && typing?.name === "q") {
    if (state.q) go({ q: "" }, false);
    focusMap();
  } else if (event.key === "Escape" && !typing && state.call) {
    if (state.case) go({ case: undefined });
    else closeDetail();
  }
});

function chosenCell() {
  return $("map").querySelector('td[aria-selected="true"]') ?? $("map").querySelector('[aria-selected="true"]');
}

function focusMap() {
  const cell = chosenCell() ?? $("map").querySelector('[tabindex="0"]');
  if (cell) focusCell(cell);
}

function closeDetail() {
  focusMap();
  go({ call: undefined, col: undefined, case: undefined });
}

// ---------------------------------------------------------------------------------------------------------------
// Filters

for (const name of data.classes) form.elements.class.append(make("option", { value: name }, name));
for (const name of new Set(data.columns.map((c) => c.kernel))) form.elements.kernel.append(make("option", { value: name }, name.split("/").at(-1)));
for (const name of new Set(data.columns.map((c) => c.driver))) form.elements.driver.append(make("option", { value: name }, name));
const suites = new Set(data.calls.flatMap((c) => c.cases.map((one) => one.suite)).filter(Boolean));
if (suites.size) {
  form.elements.driver.closest("label").after(make("label", { class: "field" }, make("span", { class: "sr" }, "Truth suite"),
    make("select", { name: "suite" }, make("option", { value: "" }, "All suites"), [...suites].map((s) => make("option", { value: s }, s)))));
}
for (const select of form.querySelectorAll("select")) select.closest("label").hidden = select.options.length < 3; // no choice
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => go({ [event.target.name]: event.target.value }, false));
$("fold").addEventListener("click", () => {
  const all = folded.size < data.classes.length;
  folded.clear();
  if (all) for (const name of data.classes) folded.add(name);
  $("fold").textContent = all ? "Unfold classes" : "Fold classes";
  drawMap();
  markChosen();
});

// ---------------------------------------------------------------------------------------------------------------
// Details: of nothing, of a call, or of a case

function drawDetail() {
  const call = data.calls.find((c) => c.name === state.call);
  const one = call?.cases.find((c) => c.name === state.case);
  document.body.classList.toggle("open", Boolean(call));
  const panel = $("detail");
  const inside = panel.contains(document.activeElement);
  if (one) panel.replaceChildren(...caseDetail(call, one));
  else if (call) panel.replaceChildren(...callDetail(call));
  else panel.replaceChildren(...overview());
  panel.scrollTop = 0;
  if (inside || (call && innerWidth <= 900)) panel.focus({ preventScroll: true });
}

const closeButton = (narrow) => make("button", { type: "button", class: `quiet close${narrow ? " narrow" : ""}`, onclick: closeDetail }, "Close");

/** overview has the failures, if any, and says how to go on. */
function* overview() {
  const most = 100;
  const failures = [];
  let n = 0;
  for (const v of allVerdicts()) if (v.status === "fail" && n++ < most) failures.push(v);
  if (n) {
    yield make("h2", {}, plural(n, "verdict", "verdicts"), " failed");
    yield make("p", { class: "sub" }, "Choose one of them, or a cell of the map.");
    yield make("ul", { class: "failures" }, failures.map((v) => make("li", {},
      make("button", { type: "button", class: "link", onclick: () => openCase(v) }, make("b", {}, `${v.one.call.name}/${v.one.name}`)), " ",
      make("span", { class: "at" }, v.column.name), " ", make("span", { class: "class" }, v.class),
      make("p", {}, v.reason.split("\n")[0]))));
    if (n > most) yield make("p", {}, `${thousands(n - most)} more are in the map.`);
  } else {
    const ran = [...allVerdicts()].some((v) => v.status === "pass");
    yield make("h2", {}, ran ? "Nothing failed" : "Nothing ran");
    yield make("p", { class: "sub" }, ran ? "Every case that ran passed. Choose a cell of the map to see its cases." : "This report has no case that ran.");
  }
  if (data.columns.length) {
    const everything = data.calls.flatMap((c) => c.cases);
    yield make("h3", {}, "By kernel and driver");
    yield make("table", { class: "totals" },
      make("thead", {}, make("tr", {}, make("td"), ["Passed", "Failed", "Skipped"].map((t) => make("td", {}, t)))),
      make("tbody", {}, data.columns.map((c, i) => {
        const n = count(everything, i);
        return make("tr", {}, make("th", { scope: "row" }, c.name), make("td", {}, thousands(n.pass)), make("td", { class: n.fail ? "fail" : "" }, thousands(n.fail)), make("td", {}, thousands(n.skip)));
      })));
  }
  yield make("h3", {}, "Keys");
  yield make("div", { class: "keys" }, [
    [["↑", "↓", "←", "→"], "move over the map"], [["Enter"], "open a cell"], [["Esc"], "back"], [["/"], "search"],
  ].flatMap(([keys, what]) => [make("span", {}, keys.flatMap((k) => [make("kbd", {}, k), " "])), make("span", {}, what)]));
  yield make("h3", {}, "Legend");
  yield make("div", { class: "keys" }, [["pass", "passed, with the number of cases; paler when others of the call were skipped"], ["fail", "failed, with ✕ and the number of cases"], ["skip", "skipped"]]
    .flatMap(([kind, what]) => [make("i", { class: `key ${kind}` }), make("span", {}, what)]));
}

const openCase = (v) => go({ call: v.one.call.name, case: v.one.name, col: String(v.at) });

function* callDetail(call) {
  const chosen = data.columns[state.col];
  yield make("div", { class: "path" }, make("span", { class: "sub" }, call.className), closeButton());
  yield make("h2", {}, call.name);
  yield make("p", { class: "sub mono" }, call.signature);
  if (chosen) yield make("p", {}, make("b", {}, chosen.name), `: ${tally(count(call.cases, Number(state.col)))}`);
  // The cases that the filters leave come first; those that failed before others.
  const cases = selection().calls.find((c) => c.call === call)?.cases ?? [];
  const rank = (one) => (one.verdicts.some((v) => v.status === "fail" && (!chosen || v.at === Number(state.col))) ? 0 : 1);
  const list = [...cases].sort((a, b) => rank(a) - rank(b));
  const kernels = Object.entries(Object.groupBy(data.columns.keys(), (i) => data.columns[i].kernel + (data.columns[i].arch ? ` ${data.columns[i].arch}` : "")));
  yield make("div", { class: "scroll" }, make("table", { class: "cases" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, plural(list.length, "case", "cases"), list.length < call.cases.length ? ` of ${call.cases.length}` : ""),
      innerWidth > 560 ? kernels.sort((a, b) => a[1][0] - b[1][0]).map(([name, of]) => make("td", { colspan: of.length }, name.split("/").at(-1))) : "")),
    make("tbody", {}, list.map((one) => make("tr", {},
      make("th", { scope: "row" }, make("button", { type: "button", class: "link", onclick: () => openCase(one.by.get(Number(state.col)) ?? one.verdicts.find((v) => v.status === "fail") ?? one.verdicts[0]) }, one.name)),
      data.columns.map((c, i) => make("td", { class: c.first ? "first" : "" }, dot(one, i))))))));
  if (list.length < call.cases.length) {
    yield make("p", { class: "sub" }, make("button", { type: "button", class: "quiet", onclick: () => go(Object.fromEntries(filterNames.map((n) => [n, ""])), false) }, "Clear filters"),
      ` ${plural(call.cases.length - list.length, "case is", "cases are")} hidden by the filters.`);
  }
}

/** dot is a case's status in a column. */
function dot(one, i) {
  const v = one.by.get(i);
  if (!v) return "";
  const here = state.col !== undefined && Number(state.col) === i;
  return make("button", { type: "button", tabindex: -1, class: `dot ${v.status}${here ? " here" : ""}`, title: `${one.name}, ${v.column.name}: ${statusWords[v.status]}`,
    "aria-label": `${v.column.name}: ${statusWords[v.status]}`, onclick: () => openCase(v) }, v.status === "fail" ? "✕" : "");
}

function* caseDetail(call, one) {
  const v = one.by.get(Number(state.col)) ?? one.verdicts[0];
  yield make("div", { class: "path" }, make("button", { type: "button", class: "quiet", onclick: () => go({ case: undefined }) }, `‹ ${call.name}`), closeButton());
  yield make("h2", {}, one.name);
  yield make("p", { class: "sub mono" }, data.text(one.place), one.suite ? ` · ${one.suite}` : "");

  const groups = Map.groupBy([...one.by.values()].sort((a, b) => a.at - b.at), (x) => [x.column.kernel, x.column.arch].filter(Boolean).join(" "));
  yield make("div", { class: "strip", role: "group", "aria-label": "Kernel and driver" }, [...groups].map(([kernel, list]) => make("div", {}, make("b", {}, kernel.split("/").at(-1)),
    list.map((x) => make("button", { type: "button", "aria-pressed": String(x === v), "aria-label": `${x.column.name}: ${statusWords[x.status]}`, onclick: () => openCase(x) },
      make("i", { class: `key ${x.status}` }), x.column.label, x.status === "fail" ? " ✕" : "")))));

  // Usually one; a joined report may have several runs of the cell.
  const same = one.verdicts.filter((x) => x.at === v.at);
  for (const x of same) yield* verdictDetail(one, x);
}

function* verdictDetail(one, v) {
  const facts = [v.ms ? `${thousands(v.ms)} ms` : "", v.ret !== "" ? `returned ${v.ret}` : "", v.conformance ? `conformance: ${v.conformance}` : ""].filter(Boolean);
  yield make("p", {}, make("span", { class: `status ${v.status}` }, make("i", { class: `key ${v.status}` }), statusWords[v.status]), v.class ? [" ", make("span", { class: "class" }, v.class)] : "",
    facts.length ? [" ", make("span", { class: "at" }, facts.join(" · "))] : "");
  if (v.missed) yield make("p", {}, make("b", {}, "Not shown: "), v.missed);
  if (v.reason) yield make("pre", { class: v.status === "fail" ? "reason" : "skipped", tabindex: 0 }, v.reason.trimEnd());

  yield make("h3", {}, "To repeat it");
  yield copyable(data.text(v.repro).replace("\0", v.cell));

  const params = data.paramsOf(v);
  if (params.length) {
    const [want, got] = v.column.driver.includes("=") ? v.column.driver.split("=") : ["Wanted", "Got"];
    yield make("h3", {}, `Params: ${params.filter((p) => p.ok).length} of ${params.length} as wanted`);
    yield make("table", { class: "params" },
      make("thead", {}, make("tr", {}, [`Param`, want, got].map((t) => make("th", { scope: "col" }, t)))),
      make("tbody", {}, [...params].sort((a, b) => a.ok - b.ok).map((p) => make("tr", { class: p.ok ? "" : "wrong" },
        make("th", { scope: "row" }, p.name), make("td", {}, p.want), make("td", { class: p.ok && p.want === p.got ? "same" : "" }, p.got, p.differs ? make("p", { class: "why" }, p.differs) : "")))));
  }

  const drivers = v.column.driver.split("=");
  for (const driver of [...drivers, ...eventsOfOthers(one, v, drivers)]) {
    const found = eventsOf(one, v, driver);
    if (!found) continue;
    yield make("h3", {}, `Events of ${driver}${found.from === v || found.from.column.kernel === v.column.kernel ? "" : `, as on ${found.from.column.kernel}`}`);
    yield make("pre", { tabindex: 0 }, found.lines.join("\n"));
  }

  if (v.console) {
    yield make("h3", {}, "Console while the case ran");
    yield make("pre", { tabindex: 0 }, v.console);
  }

  const text = data.text(one.text);
  if (text) {
    yield make("h3", {}, "The case in the table");
    yield make("dl", { class: "recipe" }, text.trimEnd().split("\n").flatMap((line, i, all) => {
      const [key, value] = line.split("\t");
      return [make("dt", {}, i && all[i - 1].split("\t")[0] === key ? "" : key), make("dd", { class: key }, value)];
    }));
  }
}

/** eventsOfOthers returns the drivers besides those of the column whose events of the case are known. */
function eventsOfOthers(one, v, drivers) {
  const all = new Set(data.columns.flatMap((c) => c.driver.split("=")));
  return [...all].filter((d) => !drivers.includes(d) && eventsOf(one, v, d));
}

/** eventsOf finds the events of a driver: of this cell, else of this kernel, else of the kernel that the report has them of. */
function eventsOf(one, v, driver) {
  const near = (x) => (x === v ? 0 : x.column.kernel === v.column.kernel && x.column.arch === v.column.arch ? 1 : x.status === "pass" ? 2 : 3);
  for (const from of [...one.verdicts].sort((a, b) => near(a) - near(b))) {
    let of = "";
    const lines = [];
    for (const line of from.events.split("\n")) {
      if (line && !line.startsWith("\t")) of = line;
      else if (line && of === driver) lines.push(line.slice(1));
    }
    if (lines.length) return { lines, from };
  }
}

function copyable(text) {
  const pre = make("pre", { tabindex: 0 }, text);
  const button = make("button", { type: "button", class: "quiet", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no permission, or not a place where the browser has a clipboard
      getSelection().selectAllChildren(pre);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return make("div", { class: "copy" }, pre, button);
}

// ---------------------------------------------------------------------------------------------------------------
// Tables: sorted by a heading, filtered by text

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((th, i) => {
    const button = make("button", { type: "button", onclick: () => {
      const down = th.getAttribute("aria-sort") === "ascending" || (!th.hasAttribute("aria-sort") && th.classList.contains("n"));
      for (const h of heads) h.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[i].textContent.replaceAll(",", "");
      const sorted = [...table.tBodies[0].rows].sort((a, b) => value(a).localeCompare(value(b), "en", { numeric: true }));
      table.tBodies[0].append(...(down ? sorted.reverse() : sorted));
    } }, th.textContent);
    th.replaceChildren(button);
  });
}
for (const input of document.querySelectorAll("input[data-filter]")) {
  const body = $(input.dataset.filter).tBodies[0];
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) row.hidden = !words.every((w) => row.textContent.toLowerCase().includes(w));
  });
}

// ---------------------------------------------------------------------------------------------------------------
// Light and dark

const themes = ["auto", "light", "dark"];
const themeKey = "scaplab-theme";
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
}
let theme = "auto";
try { theme = themes.find((t) => t === localStorage.getItem(themeKey)) ?? "auto"; } catch { /* no storage for this file */ }
setTheme(theme);
$("theme").hidden = false;
$("theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  setTheme(theme);
  try { localStorage.setItem(themeKey, theme); } catch { /* as above */ }
});

document.body.classList.add("app");
show();

})();
