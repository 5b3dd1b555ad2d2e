/* Whether a view still follows the engine: the page and the kernel tell each other that they are there.
   Stands in front of a view's own module. While the page is looked at it sends { type: "watch" }, and { type: "rest" }
   when the view has gone from it: the cell was run again, or closed;
   { type: "alive" } or a changed `view` comes back. A restarted kernel is noticed at once, one that hangs after a while. */

const WATCH_MS = 8000, SILENT_MS = 30000;

/* Calls show() when `view` changes, and keeps `label` saying whether it does; returns what ends that.
   `stopped()` is why the view itself says that it has stopped, or "". */
function pulse(model, label, show, stopped) {
  let heard = Date.now(), gone = false;

  function beat() {
    const silent = gone ? "the kernel was restarted: run the cell again"
      : stopped() || (Date.now() - heard > SILENT_MS ? "the kernel does not answer" : "");
    const text = silent ? `○ not live: ${silent}` : "● live";
    if (label.textContent !== text) label.textContent = text;
    label.classList.toggle("pd-silent", Boolean(silent));
  }
  function hear() { heard = Date.now(); gone = false; }
  function onChange() { hear(); show(); beat(); }
  function onMessage(message) { if (message.type === "alive") { hear(); beat(); } }
  function watch() {
    if (document.visibilityState === "visible") { try { model.send({ type: "watch" }); } catch { gone = true; } }
    beat();
  }
  function onComm() { gone = true; beat(); setTimeout(watch, 0); }

  label.setAttribute("role", "status");
  model.on("change:view", onChange);
  model.on("msg:custom", onMessage);
  model.on("comm_live_update", onComm);
  const timer = setInterval(watch, WATCH_MS);
  show();
  watch();
  return () => {
    clearInterval(timer);
    try { model.send({ type: "rest" }); } catch { /* the kernel is gone, and its side of the view with it */ }
    model.off("change:view", onChange);
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onComm);
  };
}

