/* A picture that the kernel draws: the page only puts in what has changed.
   Trait `view`: { html, summary, state }; `html` escapes what it shows; `summary` is read out when it
   changes; `state` is "" or why the picture has stopped following the engine. Stands behind pulse.js.
   Elements with the same `data-same` are marked together; an element with `data-key` that arrives later glows. */

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
    if (!was) { arrives(child); old.append(child); }
    else if (was.nodeType !== child.nodeType || was.nodeName !== child.nodeName || was.dataset?.key !== child.dataset?.key) {
      if (!before.some((other) => child.dataset?.key && other.dataset?.key === child.dataset.key)) arrives(child);
      was.replaceWith(child);
    }
    else if (child.nodeType === Node.TEXT_NODE) { if (was.data !== child.data) was.data = child.data; }
    else morph(was, child);
  });
  before.slice(after.length).forEach((child) => child.remove());
}

function arrives(element) { if (element.dataset?.key) element.classList.add("pd-new"); }

/* What is one thing seen from several sides is marked on all of them. */
function markSame(root) {
  const mark = (event) => {
    const same = event.type === "mouseover" || event.type === "focusin" ? event.target.closest?.("[data-same]")?.dataset.same : null;
    root.querySelectorAll("[data-same]").forEach((each) => each.classList.toggle("pd-same", Boolean(same) && each.dataset.same === same));
  };
  for (const name of ["mouseover", "mouseleave", "focusin", "focusout"]) root.addEventListener(name, mark);
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

  function show() {
    const view = model.get("view");
    const fresh = document.createElement("template");
    fresh.innerHTML = `<div>${view.html}</div>`;
    morph(picture, fresh.content.firstElementChild);
    if (said.textContent !== view.summary) said.textContent = view.summary;
  }

  el.append(root);
  markSame(picture);
  return pulse(model, state, show, () => model.get("view").state);
}

export default { render };
