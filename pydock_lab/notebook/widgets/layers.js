/* The layers of an image, instruction by instruction.
   Trait `view`: { image, id, size, explained, steps: [{ keyword, text, size, empty, base, cached, reason,
   added, changed, deleted, wasted, tree: pages of filetree.js }],
   waste: { wasted_bytes, efficiency, wasted: [{ path, size }], wasted_paths } or nothing }; `step`: the index that is looked at.
   More comes on request: { type: "entries", step, directory, offset, search } → { …, entries, total } or { …, error }. */

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function cacheChip(step) {
  if (step.base) return node("span", { class: "pd-chip", title: "Comes with the base image" }, "base");
  if (step.empty || step.cached === null || step.cached === undefined) return null;
  const [mark, text] = step.cached ? ["↺", "cached"] : ["●", "built"];
  return node("span", { class: `pd-chip ${step.cached ? "" : "pd-fresh"}`, title: step.reason || null }, `${mark} ${text}`);
}

function render({ model, el }) {
  const root = node("section", { class: "pd pd-layers" });
  const files = node("div", { class: "pd-files" });
  const caption = node("p", { class: "pd-layers-now", "aria-live": "polite" });
  // JupyterLab takes the arrows that nobody keeps: they fold the notebook's headings.
  const slider = node("input", { type: "range", min: 0, step: 1, oninput: () => go(Number(slider.value)), onkeydown: (event) => event.stopPropagation() });
  const play = node("button", { type: "button", class: "pd-button", onclick: togglePlay }, "Play");
  let rows = [], segments = [], trees = [], found = { search: "", entries: [], total: 0 }, timer = null, asked = 0;

  const view = () => model.get("view");
  const steps = () => view().steps || [];
  const current = () => Math.min(Math.max(model.get("step"), 0), steps().length - 1);

  function go(index) {
    index = Math.min(Math.max(index, 0), steps().length - 1);
    if (index === current()) return;
    model.set("step", index);
    model.save_changes();
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function togglePlay() {
    if (timer) { stop(); return; }
    if (current() >= steps().length - 1) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => { if (current() >= steps().length - 1) stop(); else go(current() + 1); }, 900);
  }

  function build() {
    const { image, size } = view(), all = steps();
    trees = [];
    const layers = all.filter((step) => !step.empty).length;
    slider.max = Math.max(all.length - 1, 0);
    slider.setAttribute("aria-label", "Instruction");
    segments = all.map((step, i) => node("button", {
      type: "button", class: "pd-segment", tabindex: -1, "aria-hidden": "true", title: `${step.keyword} ${step.text}`,
      style: `flex: ${step.empty ? 0 : Math.max(step.size, size / 250, 1)} 0 ${step.empty ? "0" : "3px"}`,
      onclick: () => go(i),
    }));
    rows = all.map((step, i) => row(step, i, Math.max(...all.map((s) => s.size), 1)));
    const list = node("div", { class: "pd-steps", role: "listbox", "aria-label": "Instructions", onkeydown: onKey }, ...rows);
    root.setAttribute("aria-label", `Layers of ${image}`);
    root.replaceChildren(
      node("header", {},
        node("h3", { class: "pd-title" }, image),
        node("p", { class: "pd-note" }, `${plural(all.length, "instruction")}, ${plural(layers, "layer")}, ${bytes(size)}` +
          (view().explained ? "" : " · this engine does not tell which files a layer changes"))),
      node("div", { class: "pd-ribbon" }, ...segments),
      node("div", { class: "pd-time" }, play, slider),
      caption,
      node("div", { class: "pd-panes" }, list, files),
      ...wasted());
    show();
  }

  /* Bytes that are pulled and stored, and no container sees. */
  function wasted() {
    const waste = view().waste;
    if (!waste) return [];
    const share = Number((100 * waste.efficiency).toFixed(1));
    if (!waste.wasted_bytes) return [node("p", { class: "pd-note" }, "Efficiency 100 %: no layer replaces or removes a file of another")];
    const left = waste.wasted_paths - waste.wasted.length;
    return [node("details", { class: "pd-wasted" },
      node("summary", {}, `Efficiency ${share} %: ${bytes(waste.wasted_bytes)} of files that a later layer replaces or removes`),
      node("ul", {}, ...waste.wasted.map(({ path, size }) => node("li", {}, node("code", {}, path), node("span", { class: "pd-num pd-soft" }, bytes(size)))),
        ...(left > 0 ? [node("li", { class: "pd-soft" }, `and ${left.toLocaleString("en")} more`)] : [])))];
  }

  function row(step, i, largest) {
    return node("div", { class: `pd-step ${step.empty ? "pd-empty" : ""}`, role: "option", id: `${root.id}-${i}`, onclick: () => { go(i); rows[i].focus(); } },
      node("span", { class: "pd-step-mark", "aria-hidden": "true" }),
      node("code", { class: "pd-step-text", title: `${step.keyword} ${step.text}` }, node("b", {}, step.keyword), ` ${step.text}`),
      node("span", { class: "pd-step-facts" },
        cacheChip(step),
        step.empty ? node("span", { class: "pd-soft" }, "metadata only") : null,
        ...counts(step),
        step.wasted ? node("span", { class: "pd-lost" }, `${bytes(step.wasted)} wasted`) : null),
      step.empty ? node("span", {}) : node("span", { class: "pd-num pd-step-size" }, bytes(step.size),
        node("span", { class: "pd-bar", "aria-hidden": "true" },
          node("span", { style: `width: ${100 * Math.sqrt(step.size / largest)}%` }))));
  }

  function onKey(event) {
    const move = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    go(current() + move);
    rows[current()].focus();
  }

  function show() {
    const at = current(), step = steps()[at];
    if (!step) return;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${at + 1} of ${steps().length}: ${step.keyword} ${step.text}`);
    const soFar = steps().slice(0, at + 1).reduce((sum, s) => sum + s.size, 0);
    caption.textContent = `After instruction ${at + 1} of ${steps().length} the image holds ${bytes(soFar)}.`;
    rows.forEach((element, i) => {
      element.classList.toggle("pd-later", i > at);
      element.setAttribute("aria-selected", i === at);
      element.tabIndex = i === at ? 0 : -1;
    });
    segments.forEach((element, i) => {
      element.classList.toggle("pd-later", i > at);
      element.classList.toggle("pd-here", i === at);
    });
    showFiles();
  }

  function treeOf(at) {
    const label = `Files of instruction ${at + 1}`;
    trees[at] ||= fileTree(steps()[at].tree || {}, label, (directory, offset) => ask({ step: at, directory, offset, search: "" }));
    return trees[at];
  }

  function ask(question) {
    asked += 1;
    model.send({ type: "entries", request: asked, ...question });
  }

  /* What has come with the view is searched here, the rest by the kernel. */
  function look(search, offset = 0) {
    const tree = treeOf(current()), here = search && !offset ? tree.search(search) : null;
    if (search && !here) { ask({ step: current(), directory: "", offset, search }); return; }
    found = { search, entries: here || [], total: (here || []).length };
    showFound();
  }

  function onMessage(message) {
    if (message.type !== "entries") return;
    if (!message.search) { treeOf(message.step).take(message); return; }
    if (message.request !== asked || message.step !== current()) return;
    found = {
      search: message.search, total: message.total || 0, note: message.error,
      entries: message.offset ? [...found.entries, ...message.entries] : message.entries || [],
    };
    showFound();
  }

  function showFiles() {
    const step = steps()[current()], total = step.added + step.changed + step.deleted;
    const search = total > 8 ? node("input", {
      type: "search", class: "pd-search", placeholder: "Find a path", "aria-label": "Find a path in this layer",
      oninput: () => look(search.value.trim()),
    }) : null;
    files.replaceChildren(
      node("div", { class: "pd-files-head" }, node("h4", { class: "pd-title" }, headline(step)), search),
      ...(step.reason ? [node("p", { class: "pd-note" }, step.reason)] : []),
      node("div", { class: "pd-files-list" }));
    found = { search: "", entries: [], total: 0 };
    showFound();
  }

  /* The tree, or the paths that were looked for. */
  function showFound() {
    const step = steps()[current()], list = files.lastElementChild;
    if (!found.search) {
      list.replaceChildren(...(step.added + step.changed + step.deleted ? [treeOf(current()).element] : []));
      return;
    }
    const left = found.total - found.entries.length;
    const note = found.note || (found.total ? `${plural(found.total, "path")} found` : "no such path in this layer");
    list.replaceChildren(node("p", { class: "pd-note", role: "status" }, note),
      node("ul", { class: "pd-found", "aria-label": "Paths found", tabindex: found.entries.length ? 0 : null },
        ...found.entries.map((entry) => node("li", {}, ...fileCells(entry, entry.name)))),
      ...(left > 0 ? [node("button", { type: "button", class: "pd-button", onclick: () => look(found.search, found.entries.length) },
        `Show ${Math.min(left, PAGE).toLocaleString("en")} more of ${left.toLocaleString("en")}`)] : []));
  }

  function headline(step) {
    if (step.empty) return "No files: only the image's configuration changes";
    if (!view().explained) return `A layer of ${bytes(step.size)}`;
    return `${plural(step.added + step.changed + step.deleted, "path")} in this layer`;
  }

  root.id = `pd-layers-${Math.random().toString(36).slice(2)}`;
  model.on("change:view", build);
  model.on("change:step", show);
  model.on("msg:custom", onMessage);
  el.append(root);
  build();
  return () => {
    stop();
    model.off("change:view", build);
    model.off("change:step", show);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
