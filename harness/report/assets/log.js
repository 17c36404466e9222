// The log: filtered by text, source and channel, and linked with the plots both ways.

const log = { rows: [], times: [], here: null };

function setUpLog() {
  const body = document.querySelector("#logbox tbody");
  if (!body) return;
  log.rows = [...body.querySelectorAll("tr[data-t]")];
  log.times = log.rows.map((row) => Number(row.dataset.t));
  const gaps = [...body.querySelectorAll("tr.gap")];
  const words = log.rows.map((row) => row.textContent.toLowerCase());
  const filters = document.querySelector("#log .filters");
  filters.hidden = false;
  const box = filters.querySelector("input.filter");
  const apply = () => {
    const wanted = box.value.trim().toLowerCase();
    const chosen = {};
    for (const choices of filters.querySelectorAll(".choices")) {
      const checked = [...choices.querySelectorAll("input:checked")];
      chosen[choices.dataset.of] = new Set(checked.map((one) => one.value));
    }
    let shown = 0;
    log.rows.forEach((row, i) => {
      const fits =
        chosen.s.has(row.dataset.s) && chosen.c.has(row.dataset.c) && (wanted === "" || words[i].includes(wanted));
      row.hidden = !fits;
      shown += fits;
    });
    const all = shown === log.rows.length;
    for (const gap of gaps) gap.hidden = !all;
    byId("shown").textContent = all ? "" : `${shown} of ${log.rows.length} lines`;
  };
  box.addEventListener("input", apply);
  filters.addEventListener("change", apply);
  // A browser that goes back keeps what was filled in.
  apply();
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-t]");
    if (row && String(getSelection()) === "") showRow(row);
  });
  byId("logbox").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && log.here) showRow(log.here);
    else if (step) {
      const visible = log.rows.filter((row) => !row.hidden);
      const at = visible.indexOf(log.here);
      const next = visible[at < 0 ? 0 : Math.min(Math.max(at + step, 0), visible.length - 1)];
      if (next) showRow(next, true);
    } else return;
    event.preventDefault();
  });
}

function showRow(row, stay) {
  highlight(row, false);
  const t = Number(row.dataset.t);
  // Lines from before or after the axis are marked at its end.
  goTo(Math.min(Math.max(t, DATA.from), DATA.to), "log", stay);
}

function highlight(row, scroll) {
  if (log.here) {
    log.here.classList.remove("here");
    log.here.removeAttribute("aria-current");
  }
  log.here = row;
  if (!row) return;
  row.classList.add("here");
  row.setAttribute("aria-current", "true");
  const place = byId("logbox");
  const top = row.offsetTop - place.offsetTop;
  if (scroll || top < place.scrollTop || top > place.scrollTop + place.clientHeight - 30) {
    place.scrollTop = row.offsetTop - place.clientHeight / 3;
  }
}

// The visible line that is nearest to a time.
function nearestRow(t) {
  let best = null;
  let distance = Infinity;
  log.rows.forEach((row, i) => {
    const away = Math.abs(log.times[i] - t);
    if (away < distance && !row.hidden) {
      best = row;
      distance = away;
    }
  });
  return best;
}

// The log begins long before the fault; what is of interest begins with it.
function scrollTo0() {
  const row = nearestRow(0);
  if (row) byId("logbox").scrollTop = Math.max(row.offsetTop - 60, 0);
}
