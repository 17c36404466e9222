// The plots, one above the other on one axis of time; uPlot has the axes, the cursor and the drag.

const plots = []; // { u, rows, tip }
let writes = null;

const narrow = () => byId("plots").clientWidth < 620;
const gutter = () => (narrow() ? 88 : 128);

function shade(u) {
  const { ctx, bbox } = u;
  const d = density();
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const fault of DATA.faults) {
    for (const bar of fault.bars) {
      const x0 = u.valToPos(bar.inject, "x", true);
      const x1 = u.valToPos(bar.healed === null ? DATA.to : bar.healed, "x", true);
      ctx.fillStyle = colour("--shade");
      ctx.globalAlpha = 0.09;
      ctx.fillRect(x0, bbox.top, Math.max(x1 - x0, 1.5 * d), bbox.height);
      ctx.globalAlpha = 0.7;
      ctx.strokeStyle = colour("--shade");
      ctx.lineWidth = d;
      ctx.setLineDash([2 * d, 3 * d]);
      ctx.beginPath();
      for (const x of bar.healed === null ? [x0] : [x0, x1]) {
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
      }
      ctx.stroke();
    }
  }
  ctx.restore();
}

function marker(u) {
  if (view.marker === null || view.marker < view.min || view.marker > view.max) return;
  const { ctx, bbox } = u;
  const x = Math.round(u.valToPos(view.marker, "x", true));
  ctx.save();
  ctx.fillStyle = colour("--mark");
  ctx.fillRect(x - density(), 0, 2 * density(), bbox.top + bbox.height);
  ctx.restore();
}

function clipped(u, draw) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw(u);
  ctx.restore();
}

function drawLatency(u) {
  const { ctx, bbox } = u;
  const d = density();
  const y = (value) => u.valToPos(Math.max(value, u.scales.y.min), "y", true);
  if (DATA.bound) {
    ctx.strokeStyle = ctx.fillStyle = colour("--muted");
    ctx.lineWidth = d;
    ctx.setLineDash([7 * d, 3 * d]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y(DATA.bound));
    ctx.lineTo(bbox.left + bbox.width, y(DATA.bound));
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.font = font(9.5);
    ctx.textAlign = "right";
    // Below the line where the plot's edge would cut it.
    const above = y(DATA.bound) - 13 * d >= bbox.top;
    ctx.textBaseline = above ? "bottom" : "top";
    const place = y(DATA.bound) + (above ? -2 : 3) * d;
    ctx.fillText(`bound ${secondsText(DATA.bound)}`, bbox.left + bbox.width - 3 * d, place);
  }
  if (!writes) return;
  const width = Math.floor(bbox.width / d);
  const number = lowerBound(writes.t, view.max) - lowerBound(writes.t, view.min);
  if (number > 2 * width) drawColumns(u, y, columnsOf(writes, view.min, view.max, width));
  else drawSingle(u, y);
  drawHeld(u, y);
}

function drawColumns(u, y, found) {
  const { ctx, bbox } = u;
  const d = density();
  const { low, middle, high, size } = found;
  const levels = Array.from(writes.latency, y);
  const used = size.filter((n) => n > 0).sort();
  const cuts = [used[Math.floor(used.length / 3)], used[Math.floor((2 * used.length) / 3)]];
  ctx.fillStyle = colour("--range");
  for (let i = 0; i < size.length; i++) {
    if (!size[i]) continue;
    const x = bbox.left + i * d;
    ctx.globalAlpha = size[i] > cuts[1] ? 0.7 : size[i] > cuts[0] ? 0.5 : 0.34;
    const top = levels[high[i]];
    ctx.fillRect(x, top, d, Math.max(levels[low[i]] - top, d));
    ctx.globalAlpha = 1;
    if (writes.latency[high[i]] > 4 * writes.latency[middle[i]]) ctx.fillRect(x - d, top - d, 3 * d, 3 * d);
  }
  ctx.fillStyle = colour("--median");
  for (let i = 0; i < size.length; i++) {
    if (size[i]) ctx.fillRect(bbox.left + i * d, levels[middle[i]] - d, Math.max(d, 1), 2 * d);
  }
}

// Single writes: the shape says the job.
function drawSingle(u, y) {
  const { ctx } = u;
  const r = 2.4 * density();
  ctx.fillStyle = ctx.strokeStyle = colour("--range");
  ctx.lineWidth = 1.3 * density();
  const to = lowerBound(writes.t, view.max);
  for (let i = lowerBound(writes.t, view.min); i < to; i++) {
    const at = u.valToPos(writes.t[i], "x", true);
    const height = y(writes.latency[writes.level[i]]);
    switch (writes.job[i] % 3) {
      case 0:
        ctx.fillRect(at - r, height - r, 2 * r, 2 * r);
        break;
      case 1:
        ctx.strokeRect(at - r, height - r, 2 * r, 2 * r);
        break;
      default:
        ctx.beginPath();
        ctx.moveTo(at - r, height - r);
        ctx.lineTo(at + r, height + r);
        ctx.moveTo(at + r, height - r);
        ctx.lineTo(at - r, height + r);
        ctx.stroke();
    }
  }
}

// The longest writes, exactly, from issue to acknowledgement.
function drawHeld(u, y) {
  const { ctx } = u;
  const d = density();
  const least = Math.max(1, (4 * d * view.span) / u.bbox.width);
  ctx.strokeStyle = ctx.fillStyle = colour("--vermillion");
  ctx.lineWidth = d;
  ctx.globalAlpha = 0.8;
  for (const one of writes.exact) {
    if (one.latency < least || one.t < view.min || one.t - one.latency > view.max) continue;
    const x1 = u.valToPos(one.t, "x", true);
    const height = y(one.latency);
    ctx.beginPath();
    ctx.moveTo(u.valToPos(one.t - one.latency, "x", true), height);
    ctx.lineTo(x1, height);
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(x1, height, 2.3 * d, 0, 7);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

let rate = { bin: 1, start: 0, rates: new Float64Array(1) };
function drawRate(u) {
  const { ctx, bbox } = u;
  const d = density();
  const base = u.valToPos(0, "y", true);
  ctx.beginPath();
  ctx.moveTo(u.valToPos(rate.start, "x", true), base);
  rate.rates.forEach((value, i) => {
    const level = u.valToPos(value, "y", true);
    ctx.lineTo(u.valToPos(rate.start + i * rate.bin, "x", true), level);
    ctx.lineTo(u.valToPos(rate.start + (i + 1) * rate.bin, "x", true), level);
  });
  ctx.lineTo(u.valToPos(rate.start + rate.rates.length * rate.bin, "x", true), base);
  ctx.fillStyle = ctx.strokeStyle = colour("--range");
  ctx.globalAlpha = 0.3;
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.lineWidth = 0.8 * d;
  ctx.stroke();
  ctx.fillStyle = colour("--vermillion");
  for (const [from, to] of writes ? writes.silences : []) {
    if (to < view.min || from > view.max) continue;
    const x0 = u.valToPos(from, "x", true);
    ctx.fillRect(x0, base - 4 * d, u.valToPos(to, "x", true) - x0, 4 * d);
  }
}

function rateName(u) {
  laneName("writes/s")(u);
  const from = writes ? "" : DATA.counted.length ? ", from the initiator's block counters" : ": none are known";
  const { ctx, bbox } = u;
  ctx.font = font(9.5);
  ctx.fillStyle = colour("--muted");
  ctx.textAlign = "left";
  ctx.fillText(`in bins of ${secondsText(rate.bin)}${from}`, bbox.left + 4 * density(), bbox.top - 2 * density());
}

function drawRows(rows) {
  return (u) => {
    const d = density();
    let y = 0;
    for (const row of rows) {
      clipped(u, () => row.draw(u, u.bbox.top + y * d));
      const { ctx } = u;
      ctx.font = font(row.name ? 10.5 : 9.5, row.name ? 650 : 400);
      ctx.fillStyle = colour(row.name ? "--ink" : "--muted");
      ctx.textAlign = "right";
      ctx.textBaseline = "middle";
      ctx.save();
      ctx.beginPath();
      ctx.rect(0, u.bbox.top + y * d, u.bbox.left - 4 * d, row.height * d);
      ctx.clip();
      ctx.fillText(row.label, u.bbox.left - 8 * d, u.bbox.top + (y + Math.min(row.height, ROW) / 2) * d);
      ctx.restore();
      y += row.height;
    }
  };
}

function laneName(text) {
  return (u) => {
    const { ctx, bbox } = u;
    ctx.font = font(10.5, 650);
    ctx.fillStyle = colour("--ink");
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.fillText(text, bbox.left - 8 * density(), bbox.top - 2 * density());
  };
}

const isPower = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;
const latencyText = (value) =>
  value >= 0.9999 ? `${+value.toPrecision(1)} s` : value >= 0.0009999 ? `${+(value * 1e3).toPrecision(1)} ms` : `${+(value * 1e6).toPrecision(1)} µs`;

function timeAxis(side) {
  const shown = side !== null;
  return {
    side: side === 0 ? 0 : 2,
    size: shown ? 24 : 0,
    font: `10px ${FONT}`,
    stroke: () => colour("--muted"),
    grid: { stroke: () => colour("--hair"), width: 1 },
    ticks: { show: false },
    space: 56,
    gap: 4,
    values: (u, splits) => splits.map((t) => (shown ? `${t < 0 ? MINUS : ""}${+Math.abs(t).toFixed(4)}` : "")),
  };
}

function addPlot(height, { side, draw, y, axis, rows, tip, top, bottom }) {
  const place = document.createElement("div");
  byId("plots").append(place);
  const blank = { size: gutter(), grid: { show: false }, ticks: { show: false }, values: () => [] };
  const full = height + (top || 0) + (bottom || 0) + (side === null ? 0 : 24);
  const u = new uPlot(
    {
      width: Math.max(byId("plots").clientWidth, 240),
      height: full,
      padding: [top || 0, 10, bottom || 0, 0],
      legend: { show: false },
      scales: { x: { time: false, auto: false, min: view.min, max: view.max }, y: Object.assign({ auto: false, range: [0, 1] }, y) },
      axes: [timeAxis(side), Object.assign(blank, axis)],
      series: [{}, { show: true, paths: () => null, points: { show: false } }],
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: 4 },
        // The line under the mouse goes through all plots; a drag belongs to one of them.
        sync: { key: "one axis", filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        bind: { dblclick: () => () => view.reset() },
      },
      hooks: { drawClear: [shade], draw: [draw, marker], setSelect: [dragged] },
    },
    [[DATA.from, DATA.to], [1, 1]],
    place,
  );
  plots.push({ u, rows, tip, full });
  bindMouse(plots[plots.length - 1]);
  return u;
}

function dragged(u) {
  const { left, width } = u.select;
  if (width < 4) return;
  const from = u.posToVal(left, "x");
  const to = u.posToVal(left + width, "x");
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  view.set(from, to);
}

function bindMouse(plot) {
  const { over } = plot.u;
  let pressed = null;
  over.addEventListener("mousedown", (event) => (pressed = event.clientX));
  over.addEventListener("click", (event) => {
    const moved = pressed === null ? 0 : Math.abs(event.clientX - pressed);
    if (moved >= 4) return;
    const t = plot.u.posToVal(event.clientX - over.getBoundingClientRect().left, "x");
    goTo(t, "plot");
  });
  over.addEventListener("mousemove", (event) => {
    const place = over.getBoundingClientRect();
    hovered(plot, event.clientX - place.left, event.clientY - place.top);
  });
  over.addEventListener("mouseleave", () => hovered(null));
  over.addEventListener(
    "wheel",
    (event) => {
      // A plain wheel scrolls the page, as everywhere.
      if (!(event.ctrlKey || event.metaKey || event.shiftKey)) return;
      event.preventDefault();
      const by = event.deltaY || event.deltaX;
      if (event.shiftKey) view.pan(by > 0 ? 0.15 : -0.15);
      else view.zoom(by > 0 ? 1.3 : 1 / 1.3, plot.u.posToVal(event.clientX - over.getBoundingClientRect().left, "x"));
    },
    { passive: false },
  );
}

function rowAt(rows, y) {
  let top = 0;
  for (const row of rows) {
    if (y >= top && y < top + row.height) return row;
    top += row.height;
  }
  return null;
}
