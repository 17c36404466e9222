// What all parts share: the data of the page, the visible stretch of time, colours, words.

const byId = (id) => document.getElementById(id);
const DATA = JSON.parse(byId("data").textContent);
const MINUS = "\u2212";

// Colours and patterns come from the style sheet, so that light, dark and paper agree with the rest.
const colours = new Map();
function colour(name) {
  if (!colours.has(name)) {
    colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return colours.get(name);
}

const density = () => window.devicePixelRatio || 1;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const font = (size, weight) => `${weight || 400} ${size * density()}px ${FONT}`;

function secondsText(value) {
  const size = Math.abs(value);
  if (size < 0.9995) return `${+(value * 1e3).toPrecision(3)} ms`;
  return size < 999.5 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

// A time relative to the first fault, as exact as the visible stretch makes sense.
function timeText(t, span) {
  const digits = Math.min(Math.max(1 - Math.floor(Math.log10((span || 100) / 10)), 1), 3);
  return `${t < 0 ? MINUS : "+"}${Math.abs(t).toFixed(digits)} s`;
}

function clockText(t) {
  const at = new Date(DATA.zeroMs + t * 1e3);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString().slice(11, 23);
}

// Index of the first of ascending values that is not below `wanted`.
function lowerBound(values, wanted, from, to) {
  let low = from || 0;
  let high = to === undefined ? values.length : to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

function niceStep(atLeast) {
  let power = 10 ** Math.floor(Math.log10(Math.max(atLeast, 1e-6)));
  for (;;) {
    for (const factor of [1, 2, 5]) if (factor * power >= atLeast * 0.999) return factor * power;
    power *= 10;
  }
}

const SHORTEST = 0.01; // seconds that the axis shows at least

// The stretch of time that is visible, the marker, and who wants to know of changes.
const view = {
  min: DATA.from,
  max: DATA.to,
  marker: null,
  hover: null,
  listeners: [],
  get span() {
    return this.max - this.min;
  },
  set(min, max) {
    if (!(Number.isFinite(min) && Number.isFinite(max))) return;
    const span = Math.min(Math.max(max - min, SHORTEST), DATA.to - DATA.from);
    const middle = (min + max) / 2;
    let from = Math.max(middle - span / 2, DATA.from);
    if (from + span > DATA.to) from = DATA.to - span;
    if (from === this.min && from + span === this.max) return;
    this.min = from;
    this.max = from + span;
    this.tell();
  },
  tell() {
    for (const listener of this.listeners) listener();
  },
  zoom(factor, around) {
    const inside = this.marker !== null && this.marker >= this.min && this.marker <= this.max;
    const at = around !== undefined ? around : inside ? this.marker : (this.min + this.max) / 2;
    const span = Math.min(Math.max(this.span * factor, SHORTEST), DATA.to - DATA.from);
    const share = (at - this.min) / this.span;
    this.set(at - share * span, at + (1 - share) * span);
  },
  pan(share) {
    // Stopping at an end must not change how much is visible.
    const by = Math.min(Math.max(share * this.span, DATA.from - this.min), DATA.to - this.max);
    this.set(this.min + by, this.max + by);
  },
  reset() {
    this.set(DATA.from, DATA.to);
  },
  show(from, to) {
    const margin = Math.max((to - from) * 0.15, 0.5);
    this.set(from - margin, to + margin);
  },
  mark(t) {
    this.marker = t;
    if (t < this.min || t > this.max) this.set(t - this.span / 2, t + this.span / 2);
    this.tell();
  },
};

// Every time that the keys n and p stop at.
const EVENTS = (() => {
  const times = DATA.marks.map((mark) => mark.t);
  for (const fault of DATA.faults) {
    for (const bar of fault.bars) times.push(bar.inject, bar.bitten, bar.heal, bar.healed);
  }
  for (const blackout of DATA.blackouts) for (const part of blackout) times.push(part.to);
  if (DATA.stall) times.push(DATA.stall.from, DATA.stall.to);
  const known = times.filter((t) => t !== null && t >= DATA.from && t <= DATA.to);
  return [...new Set(known)].sort((a, b) => a - b);
})();

function stepEvent(direction) {
  if (!EVENTS.length) return null;
  const at = view.marker;
  let index;
  if (at === null) {
    const first = lowerBound(EVENTS, view.min);
    index = direction > 0 ? first : lowerBound(EVENTS, view.max) - 1;
  } else if (direction > 0) {
    index = lowerBound(EVENTS, at + 1e-6);
  } else {
    index = lowerBound(EVENTS, at) - 1;
  }
  return EVENTS[Math.min(Math.max(index, 0), EVENTS.length - 1)];
}
