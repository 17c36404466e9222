// Puts the parts together: what the keys, the buttons, the mouse and the log do to each other.

// The marker goes to a time, from wherever it was asked for; the other sides follow.
function goTo(t, from, stay) {
  view.mark(t);
  if (from !== "log") highlight(nearestRow(t), true);
  if (from !== "plot" && !stay) {
    const place = byId("live").getBoundingClientRect();
    if (place.top < 0 || place.top > innerHeight * 0.6) byId("live").scrollIntoView({ block: "start" });
  }
}

function hovered(plot, x, y) {
  if (!plot) {
    byId("readout").textContent = markerText();
    return;
  }
  const t = plot.u.posToVal(x, "x");
  const row = plot.rows ? rowAt(plot.rows, y) : null;
  const d = plot.u.bbox.left / density();
  const told = row ? row.tip(t, x + d, y + plot.u.bbox.top / density()) : plot.tip ? plot.tip(t, x, y) : "";
  byId("readout").textContent = `${timeText(t, view.span)} · ${clockText(t)} UTC${told ? " · " : ""}${told.replaceAll("\n", ", ")}`;
}

const markerText = () =>
  view.marker === null ? "" : `marker at ${timeText(view.marker, view.span)} · ${clockText(view.marker)} UTC`;

const ACTIONS = {
  in: () => view.zoom(1 / 1.6),
  out: () => view.zoom(1.6),
  left: () => view.pan(-0.2),
  right: () => view.pan(0.2),
  reset: () => view.reset(),
  stall: () => DATA.stall && view.show(DATA.stall.from, DATA.stall.to),
  next: () => toEvent(1),
  previous: () => toEvent(-1),
};
function toEvent(direction) {
  const t = stepEvent(direction);
  if (t !== null) goTo(t, "plot");
}
const KEYS = {
  "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "reset", Home: "reset",
  Escape: "reset", n: "next", p: "previous", b: "stall",
};

let changed = 0;
function refresh() {
  const width = Math.floor((byId("plots").clientWidth - gutter()) || 600);
  rate = ratesOf(writes, DATA.counted, view.min, view.max, width);
  let peak = 1;
  for (const value of rate.rates) if (value > peak) peak = value;
  for (const plot of plots) {
    plot.u.batch(() => {
      plot.u.setScale("x", { min: view.min, max: view.max });
      if (plot.rate) plot.u.setScale("y", { min: 0, max: peak * 1.06 });
    });
    // Where neither scale has changed the marker may have.
    plot.u.redraw(false);
  }
  const place = byId("plots");
  place.dataset.from = view.min.toFixed(4);
  place.dataset.to = view.max.toFixed(4);
  place.dataset.marker = view.marker === null ? "" : view.marker.toFixed(4);
  byId("range").textContent = `${timeText(view.min, view.span)} to ${timeText(view.max, view.span)} (${secondsText(view.span)})`;
  byId("readout").textContent = markerText();
  changed += 1;
}

// The whole power of ten below the quickest write, at most 1 ms: scenarios can be compared.
function lowest() {
  let least = Infinity;
  if (writes) for (const level of writes.level) if (level < least) least = level;
  const seconds = least === Infinity ? 1e-3 : Math.max(writes.latency[least], 1e-5);
  return Math.min(1e-3, 10 ** Math.floor(Math.log10(seconds)));
}

function build() {
  byId("plots").textContent = "";
  for (const { u } of plots.splice(0)) u.destroy();
  const head = [...faultRows(), ...(DATA.stall ? [stallRow()] : []), ...blackoutRows()];
  if (DATA.marks.length) head.push(markRow());
  const height = (rows) => rows.reduce((sum, row) => sum + row.height, 0);
  addPlot(Math.max(height(head), 8), { side: 0, draw: drawRows(head), rows: head });
  const top = Math.max(100, (DATA.bound || 0) * 2.5, writes ? writes.latency[writes.latency.length - 1] * 2.5 : 0);
  const name = laneName(narrow() ? "latency" : "write latency");
  const powers = (u, splits) => splits.map((value) => (isPower(value) ? value : null));
  addPlot(150, {
    side: null,
    top: 18,
    bottom: 7,
    draw: (u) => (name(u), clipped(u, drawLatency)),
    y: { distr: 3, log: 10, range: [lowest(), top] },
    axis: {
      values: (u, splits) => splits.map((value) => (value && isPower(value) ? latencyText(value) : "")),
      filter: powers,
      font: `10px ${FONT}`,
      stroke: () => colour("--muted"),
      grid: { show: true, stroke: () => colour("--hair"), width: 1, filter: powers },
    },
    tip: (t) => (writes ? writesText(writes, t, view.span / 400) : DATA.counted.length || DATA.writes ? "" : "no writes known"),
  });
  addPlot(62, {
    side: null,
    top: 18,
    bottom: 7,
    draw: (u) => (rateName(u), clipped(u, drawRate)),
    y: { range: null },
    axis: {
      values: (u, splits) => splits.map((value) => `${+value.toPrecision(4)}`),
      space: 18,
      font: `10px ${FONT}`,
      stroke: () => colour("--muted"),
      grid: { show: true, stroke: () => colour("--hair"), width: 1 },
    },
    tip: (t) => {
      const i = Math.floor((t - rate.start) / rate.bin);
      return i >= 0 && i < rate.rates.length ? `${Math.round(rate.rates[i])} writes/s` : "";
    },
  });
  plots[plots.length - 1].rate = true;
  const states = stateRows(byId("single").checked ? DATA.single : DATA.lanes);
  addPlot(Math.max(height(states), 20), { side: 2, top: 8, draw: drawRows(states), rows: states });
  refresh();
}

function restyle() {
  colours.clear();
  patterns.clear();
  for (const { u } of plots) u.redraw(false, true);
}

function bind() {
  byId("plots").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    ACTIONS[action]();
  });
  for (const button of document.querySelectorAll("#live [data-do]")) {
    button.addEventListener("click", () => ACTIONS[button.dataset.do]());
  }
  byId("single").addEventListener("change", build);
  view.listeners.push(refresh);
  let width = byId("plots").clientWidth;
  new ResizeObserver(() => {
    const now = byId("plots").clientWidth;
    if (now && now !== width) {
      width = now;
      build();
    }
  }).observe(byId("plots"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  // Moments that checks name, and lines of the timeline that they refer to.
  for (const place of document.querySelectorAll("main [data-t]:not(tr)")) {
    const t = Number(place.dataset.t);
    if (!(t >= DATA.from && t <= DATA.to)) continue;
    place.classList.add("jump");
    place.tabIndex = 0;
    place.title = "show in the timeline";
    const go = () => goTo(t, "check");
    place.addEventListener("click", (event) => event.target.closest("a") || go());
    place.addEventListener("keydown", (event) => event.key === "Enter" && !event.target.closest("a") && go());
  }
}

async function start() {
  byId("live").hidden = false;
  setUpLog();
  build();
  bind();
  if (DATA.writes) writes = await unpack(DATA.writes, byId("writes").textContent);
  build();
  document.documentElement.classList.add("live");
  scrollTo0();
  document.documentElement.dataset.ready = "yes";
}

// For whoever measures how long it takes to draw a stretch of time.
window.failoverReport = { show: (from, to) => view.set(from, to) };

start().catch((error) => {
  // What was drawn before the scripts ran is as true: show it.
  document.documentElement.classList.remove("live");
  byId("live").hidden = true;
  console.error(error);
});
