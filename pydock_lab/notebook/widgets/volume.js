/* A volume's data as the host and every container see it, live.
   Trait `view`: { volume, state, path, verdict, observers: [{ key, kind, title, image, state, path, writable,
   files: [{ path, size, directory, text, identity }] | null, note }] }. Stands behind elements.js and pulse.js. */

const ICONS = {
  host: "M3 4h14v9H3zM1 15.5h18",
  container: "M10 2l7 4v8l-7 4-7-4V6zM3 6l7 4 7-4M10 10v8",
  volume: "M3 5c0-1.7 14-1.7 14 0v10c0 1.7-14 1.7-14 0zM3 5c0 1.7 14 1.7 14 0M3 10c0 1.7 14 1.7 14 0",
};
const STATES = { running: "●", exited: "○", created: "○", paused: "‖", removed: "✕" };

function icon(kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of Object.entries({ viewBox: "0 0 20 20", class: "pd-icon", "aria-hidden": "true" })) svg.setAttribute(name, value);
  path.setAttribute("d", ICONS[kind] || ICONS.container);
  svg.append(path);
  return svg;
}

function render({ model, el }) {
  const root = node("section", { class: "pd pd-volume" });
  const head = node("header", { class: "pd-volume-head" });
  const cards = node("div", { class: "pd-cards" });
  const verdict = node("p", { class: "pd-verdict", "aria-live": "polite" });
  const live = node("span", { class: "pd-live" });
  const known = new Map();
  root.append(head, cards, verdict);

  function mark(identity) {
    root.querySelectorAll("[data-identity]").forEach((row) =>
      row.classList.toggle("pd-same", Boolean(identity) && row.dataset.identity === identity));
  }

  function fileRow(file, fresh) {
    return node("li", {
      class: fresh ? "pd-new" : null, "data-identity": file.identity || null, tabindex: 0,
      title: file.identity ? `device:inode ${file.identity}` : null,
      onmouseenter: () => mark(file.identity), onmouseleave: () => mark(null),
      onfocus: () => mark(file.identity), onblur: () => mark(null),
    },
    node("code", {}, file.directory ? `${file.path}/` : file.path),
    node("span", { class: "pd-num pd-soft" }, file.directory ? "" : bytes(file.size)),
    file.text ? node("code", { class: "pd-peek" }, file.text) : null);
  }

  function card(observer, wasKnown) {
    const gone = observer.state === "removed";
    const before = known.get(observer.key) || new Set();
    const files = observer.files || [];
    const paths = new Set(files.map((file) => `${file.path}\n${file.size}\n${file.text || ""}`));
    const rows = files.map((file) =>
      fileRow(file, wasKnown && !before.has(`${file.path}\n${file.size}\n${file.text || ""}`)));
    known.set(observer.key, paths);
    return node("article", { class: `pd-card ${gone ? "pd-removed" : ""}`, "aria-label": `${observer.kind} ${observer.title}` },
      node("div", { class: "pd-card-head" }, icon(observer.kind),
        node("h4", { class: "pd-title" }, observer.title),
        observer.kind === "container"
          ? node("span", { class: `pd-chip pd-is-${observer.state}` }, `${STATES[observer.state] || "○"} ${observer.state}`)
          : null),
      node("p", { class: "pd-where" }, gone ? "saw it at " : "sees it at ", node("code", {}, observer.path),
        observer.writable === false ? " (read only)" : ""),
      observer.note ? node("p", { class: "pd-note" }, observer.note) : null,
      rows.length ? node("ul", { "aria-label": `Files seen by ${observer.title}` }, ...rows)
        : observer.files ? node("p", { class: "pd-soft" }, "empty") : null);
  }

  function show() {
    const view = model.get("view");
    root.setAttribute("aria-label", `Volume ${view.volume}`);
    head.replaceChildren(icon("volume"),
      node("div", {}, node("h3", { class: "pd-title" }, "volume ", view.volume),
        node("p", { class: "pd-where" }, view.state === "removed" ? "removed: its data is gone"
          : "kept by the engine, outside every container")),
      live);
    root.classList.toggle("pd-volume-gone", view.state === "removed");
    cards.replaceChildren(...(view.observers || []).map((observer) => card(observer, known.has(observer.key))));
    lines();
    if (verdict.textContent !== view.verdict) verdict.textContent = view.verdict;
  }

  /* The lines from the volume down to its observers are drawn for the first row of cards only. */
  function lines() {
    const top = cards.firstElementChild?.offsetTop;
    [...cards.children].forEach((element) => element.classList.toggle("pd-wrapped", element.offsetTop > top));
  }

  const resized = new ResizeObserver(lines);
  resized.observe(cards);
  el.append(root);
  const end = pulse(model, live, show, () => (model.get("view").state === "unknown" ? model.get("view").verdict : ""));
  return () => { resized.disconnect(); end(); };
}

export default { render };
