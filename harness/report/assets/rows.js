// Rows of states, faults and events on a canvas. Letters and patterns say what colours say.

const ROW = 15; // CSS pixels

const patterns = new Map();
function patternOf(ctx, name) {
  const key = `${name} ${density()}`;
  if (patterns.has(key)) return patterns.get(key);
  const [size, mark, draw] = {
    "s-warn": [6, "--orange", (c) => line(c, 0, 6, 6, 0)],
    "s-bad": [6, "--vermillion", (c) => (line(c, 0, 6, 6, 0), line(c, 0, 0, 6, 6))],
    "s-sync": [5, "--purple", (c) => (c.arc(2.5, 2.5, 1.5, 0, 7), c.fill())],
    "s-unknown": [4, "--grey", (c) => line(c, 0, 0, 4, 4)],
    "fault-edge": [4, "--shade", (c) => line(c, 0, 4, 4, 0)],
    "bp-B": [4, "--grey", (c) => line(c, 0, 4, 4, 0)],
    "bp-F": [6, "--vermillion", (c) => (line(c, 0, 6, 6, 0), line(c, 0, 0, 6, 6))],
    "bp-S": [5, "--green", (c) => (c.arc(2.5, 2.5, 1.5, 0, 7), c.fill())],
  }[name];
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(size * density());
  const own = tile.getContext("2d");
  own.scale(tile.width / size, tile.height / size);
  own.fillStyle = colour("--bg");
  own.fillRect(0, 0, size, size);
  own.strokeStyle = own.fillStyle = colour(mark);
  own.lineWidth = 1.6;
  own.beginPath();
  draw(own);
  own.stroke();
  patterns.set(key, ctx.createPattern(tile, "repeat"));
  return patterns.get(key);
}
function line(ctx, x0, y0, x1, y1) {
  ctx.moveTo(x0 - 1, y0 + (y0 > y1 ? 1 : -1));
  ctx.lineTo(x1 + 1, y1 + (y0 > y1 ? -1 : 1));
}

const PLAIN = {
  "s-primary": "--primary", "s-secondary": "--secondary", "s-good": "--green", "s-dead": "--ink",
  "bp-D": "--orange", "bp-P": "--primary", "bp-T": "--secondary", "bp-A": "--ink",
  "fault-bar": "--shade",
};
const ON_DARK = { "s-primary": "--on-primary", "s-dead": "--bg", "bp-P": "--on-primary", "bp-A": "--bg" };
const fillOf = (ctx, look) => (PLAIN[look] ? colour(PLAIN[look]) : patternOf(ctx, look));

// A box with a word in it, or a letter, or nothing, as far as it is wide.
function box(ctx, x0, x1, y, height, look, words) {
  if (look === "s-off") return;
  ctx.fillStyle = fillOf(ctx, look);
  ctx.fillRect(x0, y, x1 - x0, height);
  ctx.strokeStyle = colour("--bg");
  ctx.lineWidth = density();
  if (x1 - x0 > 3 * density()) ctx.strokeRect(x0, y, x1 - x0, height);
  ctx.font = font(9.5, 650);
  for (const word of words) {
    if (!word || x1 - x0 < ctx.measureText(word).width + 5 * density()) continue;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    const at = [x0 + 3 * density(), y + height / 2 + density() / 2];
    if (ON_DARK[look]) {
      ctx.fillStyle = colour(ON_DARK[look]);
    } else {
      // A halo, so that it can be read on a pattern.
      ctx.strokeStyle = colour("--bg");
      ctx.lineWidth = 3 * density();
      ctx.lineJoin = "round";
      ctx.strokeText(word, ...at);
      ctx.fillStyle = colour("--ink");
    }
    ctx.fillText(word, ...at);
    return;
  }
}

// Rows are { label, name, height, draw(u, y), tip(t, x) }; y and height in CSS pixels.
function faultRows() {
  return DATA.faults.map((fault) => ({
    label: `fault ${fault.letter}`,
    height: 26,
    draw(u, y) {
      const { ctx, bbox } = u;
      const d = density();
      const x = (t) => u.valToPos(t, "x", true);
      for (const bar of fault.bars) {
        const end = bar.healed === null ? DATA.to : bar.healed;
        const heal = bar.heal === null ? end : bar.heal;
        const bitten = bar.bitten === null ? heal : Math.min(bar.bitten, heal);
        ctx.fillStyle = fillOf(ctx, "fault-edge");
        ctx.fillRect(x(bar.inject), y + 15 * d, Math.max(x(end) - x(bar.inject), 1.5 * d), 9 * d);
        ctx.strokeStyle = colour("--shade");
        ctx.lineWidth = d;
        ctx.strokeRect(x(bar.inject), y + 15 * d, Math.max(x(end) - x(bar.inject), 1.5 * d), 9 * d);
        if (bar.bitten !== null) {
          ctx.fillStyle = colour("--shade");
          ctx.fillRect(x(bitten), y + 15 * d, x(heal) - x(bitten), 9 * d);
        }
      }
      ctx.font = font(10.5, 600);
      ctx.textAlign = "left";
      ctx.textBaseline = "middle";
      ctx.fillStyle = colour("--ink");
      const text = `${fault.letter}  ${fault.name}${fault.bars.length > 1 ? ` × ${fault.bars.length}` : ""}`;
      const first = x(fault.bars[0].inject);
      const left = Math.min(Math.max(first, bbox.left + 2 * d), bbox.left + bbox.width - ctx.measureText(text).width);
      ctx.fillText(text, Math.max(left, bbox.left + 2 * d), y + 7 * d);
    },
    tip(t) {
      const bar = fault.bars.find((one) => t >= one.inject && t <= (one.healed === null ? DATA.to : one.healed));
      if (!bar) return fault.name;
      const when = ["inject", "bitten", "heal", "healed"]
        .map((stage) => `${stage} ${bar[stage] === null ? "–" : timeText(bar[stage])}`).join(", ");
      return `${bar.tip} (${when})`;
    },
  }));
}

function blackoutRows() {
  return DATA.blackouts.map((parts) => ({
    label: "phases",
    height: ROW + 2,
    draw(u, y) {
      for (const part of parts) {
        const x0 = u.valToPos(part.from, "x", true);
        const x1 = u.valToPos(part.to, "x", true);
        box(u.ctx, x0, Math.max(x1, x0 + density()), y + density(), 13 * density(), `bp-${part.letter}`,
          [part.tip.split(":")[0], part.letter]);
      }
    },
    tip(t) {
      const part = parts.find((one) => t >= one.from && t <= one.to);
      return part ? part.tip : "";
    },
  }));
}

function stallRow() {
  const stall = DATA.stall;
  return {
    label: "stall",
    height: 30,
    draw(u, y) {
      const { ctx, bbox } = u;
      const d = density();
      const ink = colour(stall.over ? "--bad" : "--ink");
      const x0 = u.valToPos(stall.from, "x", true);
      const x1 = Math.max(u.valToPos(stall.to, "x", true), x0 + d);
      if (DATA.bound !== null) {
        ctx.fillStyle = colour("--grey");
        ctx.globalAlpha = 0.35;
        ctx.fillRect(x0, y + 19 * d, u.valToPos(stall.from + DATA.bound, "x", true) - x0, 5 * d);
        ctx.globalAlpha = 1;
      }
      ctx.strokeStyle = ink;
      ctx.lineWidth = (stall.over ? 2.6 : 1.8) * d;
      ctx.beginPath();
      ctx.moveTo(x0, y + 26 * d);
      ctx.lineTo(x0, y + 19 * d);
      ctx.lineTo(x1, y + 19 * d);
      ctx.lineTo(x1, y + 26 * d);
      ctx.stroke();
      ctx.font = font(11.5, 700);
      ctx.fillStyle = ink;
      ctx.textAlign = "center";
      ctx.textBaseline = "middle";
      const half = ctx.measureText(stall.text).width / 2;
      const right = bbox.left + bbox.width - half;
      ctx.fillText(stall.text, Math.max(Math.min((x0 + x1) / 2, right), bbox.left + half), y + 9 * d);
    },
    tip: () => `${stall.text}; ${timeText(stall.from)} to ${timeText(stall.to)}, ${stall.tip}`,
  };
}

const MARK_ROWS = 3;
function markRow() {
  let drawn = [];
  return {
    label: "events",
    height: MARK_ROWS * 15 + 2,
    draw(u, y) {
      const { ctx } = u;
      const d = density();
      const ends = new Array(MARK_ROWS).fill(-1e9);
      drawn = [];
      for (const mark of DATA.marks) {
        if (mark.t < view.min || mark.t > view.max) continue;
        const x = u.valToPos(mark.t, "x", true);
        let row = ends.findIndex((end) => end <= x - 6.5 * d);
        if (row < 0) row = ends.indexOf(Math.min(...ends));
        ends[row] = x + 6.5 * d;
        const middle = y + (8 + row * 15) * d;
        drawn.push({ x: x / d, y: middle / d, mark });
        ctx.beginPath();
        if (mark.grave) {
          ctx.moveTo(x, middle - 6.5 * d);
          for (const [dx, dy] of [[6.5, 0], [0, 6.5], [-6.5, 0]]) ctx.lineTo(x + dx * d, middle + dy * d);
          ctx.closePath();
        } else {
          ctx.arc(x, middle, 5.8 * d, 0, 7);
        }
        ctx.fillStyle = colour(mark.grave ? "--ink" : "--bg");
        ctx.strokeStyle = colour("--ink");
        ctx.lineWidth = 1.1 * d;
        ctx.fill();
        ctx.stroke();
        ctx.fillStyle = colour(mark.grave ? "--bg" : "--ink");
        ctx.font = font(9, 700);
        ctx.textAlign = "center";
        ctx.textBaseline = "middle";
        ctx.fillText(mark.letter, x, middle + 0.5 * d);
      }
    },
    tip(t, x, y) {
      const near = drawn.find((one) => Math.abs(one.x - x) < 8 && Math.abs(one.y - y) < 8);
      return near ? `${timeText(near.mark.t)} ${near.mark.tip}` : "";
    },
  };
}

function stateRows(lanes) {
  return lanes.flatMap((lane) => [
    { label: lane.name, name: true, height: ROW, draw() {}, tip: () => "" },
    ...lane.rows.map((row) => ({
      label: row.label,
      height: ROW,
      draw(u, y) {
        const { ctx, bbox } = u;
        const d = density();
        ctx.fillStyle = colour("--hair");
        ctx.fillRect(bbox.left, y + 6 * d, bbox.width, d);
        for (const [from, to, look, letter, calm, state] of row.spans) {
          if (to < view.min || from > view.max) continue;
          const x0 = u.valToPos(Math.max(from, view.min), "x", true);
          const x1 = Math.max(u.valToPos(Math.min(to, view.max), "x", true), x0 + 1.2 * d);
          const [inset, height] = !calm ? [0.5, 12] : look === "s-secondary" ? [3, 7] : [5, 3];
          box(ctx, x0, x1, y + inset * d, height * d, look, calm ? [] : [state, letter]);
        }
      },
      tip(t) {
        const span = row.spans.find(([from, to]) => t >= from && t <= to);
        if (!span) return "";
        return `${row.label} ${lane.name}: ${span[5]}, ${timeText(span[0])} to ${timeText(span[1])} (${secondsText(span[1] - span[0])})`;
      },
    })),
  ]);
}
