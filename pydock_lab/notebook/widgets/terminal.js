/* A terminal on a container's pty. Stands behind vendor/xterm.js in one module, which exports Terminal and FitAddon, and behind elements.js.
   Traits `label`, `state` ("running", or why nothing more will come).
   To the kernel: { type: "ready" }, { type: "size", rows, columns }, { type: "in", data } (typed or pasted) and
   { type: "answer", data } (to what the process asked the terminal), these three with { page, number } as they may
   arrive in another order, { type: "ack", packet }, { type: "watch" }.
   From it: { type: "out", packet } with the bytes as a buffer, { type: "screen", packet } with two, what a page has
   drawn before and what none has (they replace what is there), { type: "alive" }.
   Shift+Escape leaves the terminal, for those who have no mouse: Tab belongs to the shell. */

const WATCH_MS = 8000, SILENT_MS = 30000;
const COLOURS = { background: "#11161b", foreground: "#e4e8ec", cursor: "#5db7dd", selectionBackground: "#2d5063" };

function render({ model, el }) {
  const screen = node("div", { class: "pd-terminal-screen" });
  const state = node("span", { class: "pd-terminal-state", role: "status" });
  const back = node("button", { type: "button", class: "pd-button", onclick: () => terminal.focus() }, "Type here");
  const keys = node("span", {}, node("kbd", {}, "Shift+Esc"), " leaves the terminal, ",
    node("kbd", {}, "Ctrl+P"), " ", node("kbd", {}, "Ctrl+Q"), " detaches, ", node("kbd", {}, "Ctrl+V"), " pastes");
  const root = node("section", { class: "pd pd-terminal", "aria-label": `Terminal: ${model.get("label")}`, "data-lm-suppress-shortcuts": "true" },
    screen, node("div", { class: "pd-terminal-foot" }, back, keys, state));
  el.append(root);

  const terminal = new Terminal({
    cols: 80, rows: 24, scrollback: 5000, fontSize: 13, theme: COLOURS, minimumContrastRatio: 4.5, cursorBlink: false,
    fontFamily: getComputedStyle(root).getPropertyValue("--pd-mono") || "monospace",
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);
  terminal.textarea.setAttribute("aria-label", `Terminal: ${model.get("label")}. Shift+Escape leaves it`);

  let expected = null, heard = Date.now(), told = "", gone = false, byHand = false, answering = true;
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  let number = 0;
  const sendInOrder = (message) => send({ ...message, page, number: ++number });
  const send = (message) => { try { model.send(message); } catch { /* the kernel is gone; heartbeat says so */ } };

  function draw(packet, data) {
    terminal.write(data, () => send({ type: "ack", packet }));
    expected = packet + 1;
  }

  function drawAnew(packet, seen, unseen) {
    terminal.reset();
    terminal.write("", () => { answering = false; }); // the process has had the answers, and waits for no others
    terminal.write(seen, () => { answering = true; });
    draw(packet, unseen);
  }

  function onMessage(message, buffers) {
    heard = Date.now();
    gone = false;
    const bytes = (buffers ?? []).map((view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    if (message.type === "screen") drawAnew(message.packet, ...bytes);
    else if (message.type === "out" && expected !== null) {
      if (message.packet === expected) draw(message.packet, ...bytes);
      else if (message.packet > expected) { expected = null; send({ type: "ready" }); }
    }
    heartbeat();
  }

  function measure() {
    if (!root.isConnected || !screen.clientWidth) return;
    const size = fit.proposeDimensions();
    if (size?.cols > 1) terminal.resize(size.cols, 24);
    const now = `${terminal.rows}x${terminal.cols}`;
    if (now !== told) { told = now; sendInOrder({ type: "size", rows: terminal.rows, columns: terminal.cols }); }
  }

  function heartbeat() {
    const ended = model.get("state") !== "running";
    const text = ended ? `○ ${model.get("state")}` : gone ? "○ not live: the kernel was restarted"
      : Date.now() - heard > SILENT_MS ? "○ not live: the kernel does not answer" : "● live";
    if (state.textContent !== text) state.textContent = text;
    root.classList.toggle("pd-ended", ended);
    terminal.options.disableStdin = ended;
    back.disabled = ended;
  }

  function watch() {
    if (document.visibilityState === "visible" && model.get("state") === "running") send({ type: "watch" });
    heartbeat();
  }

  function onComm() { gone = true; heartbeat(); send({ type: "watch" }); }

  terminal.attachCustomKeyEventHandler((event) => {
    if (event.key === "Escape" && event.shiftKey) {
      if (event.type === "keydown") back.focus();
      return false;
    }
    // As in JupyterLab's own terminals: Ctrl+V pastes, Ctrl+C copies what is selected, and is the shell's otherwise.
    const key = event.ctrlKey && !event.shiftKey && !event.altKey ? event.key.toLowerCase() : "";
    return !(key === "v" || (key === "c" && terminal.hasSelection()));
  });
  // onData tells of what is typed and of answers; only this, which xterm.js does not document, tells them apart.
  terminal._core.coreService.onUserInput(() => { byHand = true; });
  terminal.onData((data) => {
    if (byHand || answering) sendInOrder({ type: byHand ? "in" : "answer", data });
    byHand = false;
  });
  const resized = new ResizeObserver(measure);
  resized.observe(screen);
  model.on("msg:custom", onMessage);
  model.on("change:state", heartbeat);
  model.on("comm_live_update", onComm);
  const timer = setInterval(watch, WATCH_MS);
  measure();
  send({ type: "ready" });
  heartbeat();
  if (model.get("state") === "running" && document.activeElement?.closest?.(".jp-Notebook")) terminal.focus();
  return () => {
    clearInterval(timer);
    resized.disconnect();
    model.off("msg:custom", onMessage);
    model.off("change:state", heartbeat);
    model.off("comm_live_update", onComm);
    terminal.dispose();
  };
}

export default { render };
