/* A picture that the kernel draws: the page only puts in what has changed.
   Trait `view`: { html, summary, state }; `html` escapes what it shows; `summary` is read out when it
   changes; `state` is "" or why the picture has stopped following the engine.
   While the page is looked at it sends { type: "watch" }; { type: "alive" } comes back from the kernel. */

const WATCH_MS = 8000, SILENT_MS = 30000;

/* What the reader does to the page, and the picture must not undo. */
const READERS_OWN = new Set(["open"]);

function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !READERS_OWN.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!READERS_OWN.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const before = [...old.childNodes], after = [...fresh.childNodes];
  after.forEach((child, i) => {
    const was = before[i];
    if (!was) old.append(child);
    else if (was.nodeType !== child.nodeType || was.nodeName !== child.nodeName || was.dataset?.key !== child.dataset?.key) was.replaceWith(child);
    else if (child.nodeType === Node.TEXT_NODE) { if (was.data !== child.data) was.data = child.data; }
    else morph(was, child);
  });
  before.slice(after.length).forEach((child) => child.remove());
}

function render({ model, el }) {
  const root = document.createElement("section");
  root.className = "pd pd-picture-live";
  const state = document.createElement("p");
  state.className = "pd-live";
  const said = document.createElement("p");
  said.className = "pd-sr";
  said.setAttribute("aria-live", "polite");
  const picture = document.createElement("div");
  root.append(state, picture, said);
  let heard = Date.now();

  function show() {
    const view = model.get("view");
    const fresh = document.createElement("template");
    fresh.innerHTML = `<div>${view.html}</div>`;
    morph(picture, fresh.content.firstElementChild);
    if (said.textContent !== view.summary) said.textContent = view.summary;
    heartbeat();
  }

  function heartbeat() {
    const stopped = model.get("view").state;
    const silent = stopped || (Date.now() - heard > SILENT_MS ? "the kernel does not answer" : "");
    const text = silent ? `○ not live: ${silent}` : "● live";
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("pd-silent", Boolean(silent));
  }

  function onChange() { heard = Date.now(); show(); }
  function onMessage(message) { if (message.type === "alive") { heard = Date.now(); heartbeat(); } }
  function watch() {
    if (document.visibilityState === "visible") { try { model.send({ type: "watch" }); } catch { /* the kernel is gone; heartbeat says so */ } }
    heartbeat();
  }

  model.on("change:view", onChange);
  model.on("msg:custom", onMessage);
  const timer = setInterval(watch, WATCH_MS);
  el.append(root);
  show();
  watch();
  return () => {
    clearInterval(timer);
    model.off("change:view", onChange);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
