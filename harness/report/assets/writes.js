// The writes: unpacked once, then summed up by pixel column for whatever stretch is visible.

// harness.report.packing says how they are packed.
async function unpack(head, text) {
  const raw = atob(text.trim());
  const packed = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const n = head.n;
  if (planes.length !== 4 * n) throw new Error(`${planes.length} bytes for ${n} writes`);
  const t = new Float64Array(n);
  const level = new Uint16Array(n);
  let ms = head.first_ms;
  let gap = 0;
  for (let i = 0; i < n; i++) {
    ms += planes[i] === 255 ? head.gaps[gap++] : planes[i];
    t[i] = ms / 1e3;
    level[i] = (planes[2 * n + i] << 8) | planes[3 * n + i];
  }
  let top = 0;
  for (let i = 0; i < n; i++) if (level[i] > top) top = level[i];
  const latency = new Float64Array(top + 1); // seconds by level
  for (let i = 0; i <= top; i++) latency[i] = head.step ** i / 1e9;
  const silences = [];
  for (let i = 1; i < n; i++) if (t[i] - t[i - 1] >= 1) silences.push([t[i - 1], t[i]]);
  const exact = head.exact.map(([done, ns, job]) => ({ t: done / 1e3, latency: ns / 1e9, job }));
  return { n, t, level, latency, job: planes.subarray(n, 2 * n), jobs: head.jobs, silences, exact };
}

// Smallest, median and largest level and how many, of each of `width` columns from `min` to `max`.
// Each column's median is found by counting its levels, so that it costs one pass over the writes.
function columnsOf(writes, min, max, width) {
  const low = new Uint16Array(width);
  const middle = new Uint16Array(width);
  const high = new Uint16Array(width);
  const size = new Uint32Array(width);
  const counts = new Uint32Array(writes.latency.length);
  const { t, level } = writes;
  const scale = width / (max - min);
  let at = lowerBound(t, min);
  const end = lowerBound(t, max);
  while (at < end) {
    const column = Math.min(Math.floor((t[at] - min) * scale), width - 1);
    let next = lowerBound(t, min + (column + 1) / scale, at + 1, end);
    // Rounding must not put a write into no column.
    if (next <= at) next = at + 1;
    let least = 65535;
    let most = 0;
    for (let i = at; i < next; i++) {
      const value = level[i];
      counts[value]++;
      if (value < least) least = value;
      if (value > most) most = value;
    }
    const half = size[column] === 0 ? (next - at + 1) >> 1 : 1;
    let seen = 0;
    let median = least;
    for (let value = least; value <= most; value++) {
      if (seen < half) {
        seen += counts[value];
        median = value;
      }
      counts[value] = 0;
    }
    if (size[column] === 0) {
      low[column] = least;
      high[column] = most;
      middle[column] = median;
    } else {
      low[column] = Math.min(low[column], least);
      high[column] = Math.max(high[column], most);
    }
    size[column] += next - at;
    at = next;
  }
  return { low, middle, high, size };
}

// Acknowledged writes per second in bins of a round length that fit the visible stretch.
function ratesOf(writes, counted, min, max, width) {
  const bin = Math.max(niceStep(((max - min) / width) * 3), writes ? 0.01 : 1);
  const first = Math.floor(min / bin);
  const number = Math.ceil(max / bin) - first;
  const rates = new Float64Array(Math.max(number, 1));
  if (writes) {
    let at = lowerBound(writes.t, first * bin);
    for (let i = 0; i < number; i++) {
      const next = lowerBound(writes.t, (first + i + 1) * bin, at);
      rates[i] = (next - at) / bin;
      at = next;
    }
  } else {
    for (const [t, count] of counted) {
      const i = Math.floor(t / bin) - first;
      if (i >= 0 && i < number) rates[i] += count / bin;
    }
  }
  return { bin, start: first * bin, rates };
}

// What the writes around a time were like, in words.
function writesText(writes, t, around) {
  const from = lowerBound(writes.t, t - around);
  const to = lowerBound(writes.t, t + around);
  if (from === to) return "no acknowledged write here";
  if (to - from === 1) {
    const job = writes.jobs[writes.job[from]] || "";
    return `a write of ${job}: ${secondsText(writes.latency[writes.level[from]])}, acknowledged ${timeText(writes.t[from], 1)}`;
  }
  const levels = writes.level.slice(from, to).sort();
  const word = (share) => secondsText(writes.latency[levels[Math.floor((levels.length - 1) * share)]]);
  return `${(to - from).toLocaleString("en")} writes: ${word(0)} to ${word(1)}, median ${word(0.5)}`;
}
