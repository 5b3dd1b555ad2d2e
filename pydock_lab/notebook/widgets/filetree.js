/* A tree of files that folds: stands behind elements.js and in front of a view's own module.
   `pages`: path of a directory → { entries: [{ name, kind, directory, size, wasted, by, added, changed, deleted }], total };
   the root is "". What is not there is asked for by load(directory, offset); take() gives the answer to the tree.
   Keys as in the tree view pattern of the ARIA Authoring Practices. */

const MARKS = { A: ["+", "added"], C: ["~", "changed"], D: ["−", "deleted"] };
const PAGE = 200, AT_ONCE = 16;

/* Sign and number, and for those who can't see the sign the word. */
function counts({ added, changed, deleted }) {
  const parts = [["A", added], ["C", changed], ["D", deleted]].filter(([, count]) => count);
  return parts.map(([kind, count]) => node("span", { class: `pd-${kind}` },
    node("span", { "aria-hidden": "true" }, `${MARKS[kind][0]}${count.toLocaleString("en")}`),
    node("span", { class: "pd-sr" }, `${count} ${MARKS[kind][1]} `)));
}

/* The cells of one line: what happened, the name, what is lost, the size. */
function fileCells(entry, path) {
  const cut = path.lastIndexOf("/") + 1;
  const lost = !entry.wasted ? null
    : entry.by === undefined || entry.by === null ? `${bytes(entry.wasted)} wasted in it`
    : `${bytes(entry.wasted)} wasted: instruction ${entry.by + 1} replaces or removes it`;
  const mark = entry.kind ? MARKS[entry.kind] : ["", ""];
  return [
    node("span", { class: `pd-file-mark pd-${entry.kind}`, "aria-hidden": "true" }, mark[0]),
    node("span", { class: "pd-file-name" },
      node("code", { class: entry.kind === "D" ? "pd-gone" : null }, node("span", { class: "pd-soft" }, path.slice(0, cut)), path.slice(cut), entry.directory ? "/" : ""),
      lost ? node("span", { class: "pd-lost" }, lost) : null),
    node("span", { class: "pd-file-facts" }, ...(entry.directory ? counts(entry) : [node("span", { class: `pd-${entry.kind}` }, mark[1])])),
    node("span", { class: "pd-num pd-soft" }, entry.kind === "D" && !entry.size ? "" : bytes(entry.size)),
  ];
}

/* Returns { element, take, pages, search }. */
function fileTree(first, label, load) {
  const pages = { ...first }, open = new Set(), notes = {};
  const element = node("div", { class: "pd-tree", role: "tree", "aria-label": label, onkeydown: onKey, onclick: onClick, onfocusin: onFocus });
  let lines = [], here = 0;

  // What is small stands open: nearest to the root first.
  let room = AT_ONCE - (pages[""] ? pages[""].total : 0);
  for (const [directory, page] of Object.entries(pages)) {
    if (!directory || page.total > room || (directory.lastIndexOf("/") && !open.has(directory.slice(0, directory.lastIndexOf("/"))))) continue;
    open.add(directory);
    room -= page.total;
  }

  function collect(directory, level) {
    const page = pages[directory];
    const found = page ? page.entries.flatMap((entry, i) => {
      const path = `${directory}/${entry.name}`;
      const line = { path, entry, level, directory, place: i + 1, of: page.total };
      return open.has(path) ? [line, ...collect(path, level + 1)] : [line];
    }) : [];
    const left = page ? page.total - page.entries.length : 0;
    if (notes[directory]) found.push({ note: notes[directory], directory, level });
    else if (!page) found.push({ note: "asking the kernel …", directory, level });
    else if (left > 0) found.push({ more: left, directory, level });
    return found;
  }

  function draw(focus) {
    const at = lines[here] && key(lines[here]);
    lines = collect("", 1);
    const still = lines.findIndex((line) => key(line) === at);
    here = still >= 0 ? still : Math.max(Math.min(here, lines.length - 1), 0);
    element.replaceChildren(...lines.map(drawLine));
    if (focus && lines.length) element.children[here].focus();
  }

  const key = (line) => line.path || `${line.directory}/${line.more ? "*more" : "*note"}`;

  function drawLine(line, i) {
    const { entry, level } = line;
    const folds = entry && entry.directory;
    const row = node("div", {
      class: "pd-tree-row", role: "treeitem", "aria-level": level, tabindex: i === here ? 0 : -1, style: `--level: ${level - 1}`,
      "aria-expanded": folds ? String(open.has(line.path)) : null, "aria-selected": "false",
      "aria-posinset": entry ? line.place : null, "aria-setsize": entry ? line.of : null,
    }, node("span", { class: "pd-tree-fold", "aria-hidden": "true" }, !folds ? "" : open.has(line.path) ? "▾" : "▸"));
    if (entry) row.append(...fileCells(entry, entry.name));
    else row.append(node("span", {}), node("span", { class: "pd-soft" }, line.note
      || `Show ${Math.min(line.more, PAGE).toLocaleString("en")} more of ${line.more.toLocaleString("en")}`));
    return row;
  }

  function toggle(line, want = !open.has(line.path)) {
    if (!line.entry || !line.entry.directory || want === open.has(line.path)) return;
    if (want) open.add(line.path); else open.delete(line.path);
    delete notes[line.path];
    if (want && !pages[line.path]) load(line.path, 0);
    draw(true);
  }

  function act(line) {
    if (line.more) load(line.directory, pages[line.directory].entries.length);
    else toggle(line);
  }

  function go(to) { element.children[Math.min(Math.max(to, 0), lines.length - 1)].focus(); }

  function onFocus(event) {
    const to = [...element.children].indexOf(event.target);
    if (to < 0) return;
    if (element.children[here]) element.children[here].tabIndex = -1;
    here = to;
    element.children[here].tabIndex = 0;
  }

  function onClick(event) {
    const row = event.target.closest(".pd-tree-row");
    if (!row) return;
    row.focus();
    act(lines[here]);
  }

  function onKey(event) {
    const line = lines[here];
    if (!line || event.ctrlKey || event.altKey || event.metaKey) return;
    const above = lines.findLastIndex((other, i) => i < here && other.level < line.level);
    const moves = {
      ArrowDown: () => go(here + 1), ArrowUp: () => go(here - 1), Home: () => go(0), End: () => go(lines.length - 1),
      Enter: () => act(line), " ": () => act(line),
      ArrowRight: () => (open.has(line.path) ? go(here + 1) : toggle(line, true)),
      ArrowLeft: () => (open.has(line.path) ? toggle(line, false) : above >= 0 && go(above)),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    moves[event.key]();
  }

  function take({ directory, offset, entries, total, error }) {
    if (error) notes[directory] = error;
    else pages[directory] = { entries: offset ? [...pages[directory].entries, ...entries] : entries, total };
    draw(element.contains(document.activeElement));
  }

  /* What is here, if that is all there is: paths that hold the text; else nothing. */
  function search(text) {
    const whole = Object.entries(pages).every(([directory, page]) => page.total === page.entries.length
      && page.entries.every((entry) => !entry.directory || entry.kind === "D" || pages[`${directory}/${entry.name}`]));
    if (!whole || !pages[""]) return null;
    return Object.entries(pages).sort().flatMap(([directory, page]) => page.entries
      .map((entry) => ({ ...entry, name: `${directory}/${entry.name}`, directory: false }))
      .filter((entry) => entry.kind && entry.name.toLowerCase().includes(text.toLowerCase())));
  }

  draw(false);
  return { element, take, search };
}

