
// -- Charts ---------------------------------------------------------------------

// The only numbers that are not exact: heights, lengths and shades.
const dollars = (pico) => Number(pico) / 1e12;

// What is spent in each slot, by team or by model, the most first.
function seriesOf(of) {
  const length = state.to - state.from + 1;
  const sums = new Map();
  const add = (key, name, cost) => {
    if (!sums.has(key)) sums.set(key, { name, costs: Array.from({ length }, () => 0n) });
    const { costs } = sums.get(key);
    for (let at = 0; at < length; at += 1) costs[at] += cost(state.from + at);
  };
  const isByTeam = state.by === "team" && state.team === null;
  const pools = new Map(data.pools.map((pool) => [pool.team, pool]));
  const ofPools = new Map(data.pools.map((pool) => [pool.team, Array.from({ length: slots }, () => 0n)]));
  for (const cell of data.cells) {
    if (!cell.cost) continue;
    const pool = pools.get(cell.team);
    if (pool && (isByTeam || (state.team !== null && sharesPool(pool)))) {
      ofPools.get(cell.team).forEach((_, slot, sums) => (sums[slot] += cell.cost[slot]));
      continue;
    }
    if (!ofTeam(cell)) continue;
    if (isByTeam) add(cell.team, data.teams[cell.team].name, (slot) => cell.cost[slot]);
    else add(cell.model, modelName(cell.model), (slot) => cell.cost[slot]);
  }
  for (const [team, costs] of ofPools) {
    const pool = pools.get(team);
    if (isByTeam) {
      for (const to of new Set(pool.shares.map(([to]) => to))) add(to, data.teams[to].name, (slot) => partOf(costs[slot], pool, to));
    } else if (state.team !== null && sharesPool(pool)) {
      add("pool" + team, "shared: " + pool.name, (slot) => partOf(costs[slot], pool, state.team));
    }
  }
  const whole = (costs) => costs.reduce((sum, cost) => sum + cost, 0n);
  const all = [...sums].map(([key, { name, costs }]) => ({ name, costs, total: exactTotal(of, key, isByTeam, whole(costs)), isRest: isByTeam ? key === restTeam : key === restModel }));
  all.sort((a, b) => (a.isRest !== b.isRest ? (a.isRest ? 1 : -1) : a.total === b.total ? 0 : a.total > b.total ? -1 : 1));
  const named = all.filter((it) => it.total !== 0n);
  if (named.length <= MOST_SERIES) return named;
  const others = named.splice(MOST_SERIES);
  const costs = others[0].costs.map((_, at) => others.reduce((sum, it) => sum + it.costs[at], 0n));
  return [...named, { name: "others", costs, total: others.reduce((sum, it) => sum + it.total, 0n), isRest: true }];
}

// A part of a pool is of its total, as budgets have it; those of days are only
// shown, and may differ from it in the last digit.
function exactTotal(of, key, isByTeam, total) {
  if (isByTeam) return of.teams[key].cost;
  const part = of.shared.find(({ pool }) => key === "pool" + pool.team);
  return part ? part.cost : total;
}

const modelName = (model) => (model === restModel ? data.models[model][0] + " models" : data.models[model][0]);

// Round steps of an axis that ends at or above the most.
function ticksOf(most) {
  if (!(most > 0)) return [0];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((it) => it * power >= rough * 0.999999);
  const ticks = [];
  for (let at = 0; at * step < most * 1.0001 || ticks.length < 2; at += 1) ticks.push(at * step);
  if (ticks[ticks.length - 1] < most) ticks.push(ticks.length * step);
  return ticks;
}

function tickText(tick, step) {
  const places = Math.max(0, Math.min(12, Math.ceil(-Math.log10(step) + 1e-9)));
  const isFine = step < 1 && Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) > 1e-6;
  return "$" + tick.toLocaleString("en-US", { minimumFractionDigits: step < 1 ? Math.max(2, places + (isFine ? 1 : 0)) : step % 1 ? 2 : 0, maximumFractionDigits: 13 });
}

// 9 Jun; with its year where slots are months.
function slotText(slot) {
  const [year, month, day] = data.slots[slot][0].split("-").map(Number);
  return data.step === "month" ? `${MONTHS[month - 1]} ${year}` : `${day} ${MONTHS[month - 1]}`;
}

const cells = (series, at) => series
  .filter((it) => it.costs[at] !== 0n)
  .sort((a, b) => (a.costs[at] === b.costs[at] ? 0 : a.costs[at] > b.costs[at] ? -1 : 1))
  .map((it) => `${it.name} ${usd(it.costs[at])}`);
const classOf = (series, at) => "s" + (series[at].isRest ? MOST_SERIES : at);

// Paper is narrower than most screens: charts are drawn anew for it, so that
// their words keep their size.
const PAPER_WIDTH = 690;
let isPrinting = false;
const widthOf = (place) => (isPrinting ? PAPER_WIDTH : Math.max(280, Math.floor(place.clientWidth) || 1000));

function renderTime(of) {
  const place = document.getElementById("time-chart");
  if (!place) return;
  const series = seriesOf(of);
  const length = state.to - state.from + 1;
  const totals = Array.from({ length }, (_, at) => series.reduce((sum, it) => sum + it.costs[at], 0n));
  const width = widthOf(place);
  const height = width < 520 ? 220 : 280;
  const most = Math.max(0, ...totals.map(dollars));
  const ticks = ticksOf(most);
  const step = ticks.length > 1 ? ticks[1] : 1;
  const texts = ticks.map((tick) => tickText(tick, step));
  const left = 10 + 7.2 * Math.max(...texts.map((text) => text.length));
  const [top, bottom, right] = [8, 26, 2];
  const [plotWidth, plotHeight] = [width - left - right, height - top - bottom];
  const end = ticks[ticks.length - 1] || 1;
  const y = (amount) => top + plotHeight * (1 - amount / end);
  const summary = timeSummary(totals);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-describedby": "time-read", "aria-label": timeLabel(totals, summary) });
  ticks.forEach((tick, at) => {
    const line = Math.round(y(tick)) + 0.5;
    chart.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: line, y2: line }));
    chart.append(svg("text", { x: left - 8, y: line + 4, "text-anchor": "end" }, texts[at]));
  });
  const each = plotWidth / length;
  const wide = Math.min(56, Math.max(1, each * (length > 60 ? 0.86 : 0.74)));
  const cursor = svg("rect", { class: "cursor", y: top, height: plotHeight, width: each, x: -1000 });
  chart.append(cursor);
  for (let at = 0; at < length; at += 1) {
    let sum = 0;
    series.forEach((it, of) => {
      const part = dollars(it.costs[at]);
      if (part <= 0) return;
      const [from, to] = [y(sum + part), y(sum)];
      sum += part;
      chart.append(svg("rect", { class: classOf(series, of), x: (left + each * at + (each - wide) / 2).toFixed(2), y: from.toFixed(2), width: wide.toFixed(2), height: Math.max(0.4, to - from).toFixed(2) }));
    });
  }
  const every = Math.max(1, Math.ceil((data.step === "month" ? 78 : 62) / each));
  for (let at = 0; at < length; at += every) {
    const middle = left + each * (at + 0.5);
    const anchor = middle > width - 24 ? "end" : "middle";
    chart.append(svg("text", { x: (anchor === "end" ? width : middle).toFixed(1), y: height - 6, "text-anchor": anchor }, slotText(state.from + at)));
  }
  const read = document.getElementById("time-read");
  const say = (at) => {
    cursor.setAttribute("x", at === null ? -1000 : left + each * at);
    read.textContent = at === null ? summary : `${data.slots[state.from + at][1]}: ${[usd(totals[at]), ...cells(series, at)].join(" · ")}`;
  };
  follow(chart, length, 1, (x) => Math.floor(((x * width) - left) / each), say);
  place.replaceChildren(chart);
  renderLegend(series, of);
  timeTable(series, totals);
}

const timeLabel = (totals, summary) => `Spend by ${data.step}, ${totals.length} bars. ${summary} The table below has all of them.`;

// What is read out where no bar is pointed at.
function timeSummary(totals) {
  const most = totals.reduce((best, cost, at) => (cost > totals[best] ? at : best), 0);
  return totals[most] > 0n ? `The most: ${data.slots[state.from + most][1]}, ${usd(totals[most])}.` : "Nothing was spent.";
}

function renderLegend(series, of) {
  document.getElementById("time-legend").replaceChildren(...series.map((it, at) => {
    const mark = svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true", focusable: "false" }, svg("rect", { class: classOf(series, at), width: "10", height: "10", rx: "2" }));
    return el("li", {}, mark, el("bdi", {}, it.name), el("span", { class: "num" }, usd(it.total)), el("span", { class: "num none" }, share(it.total, of.cost)));
  }));
}

function timeTable(series, totals) {
  const details = document.getElementById("time-details");
  details.hidden = false;
  const head = el("tr", {}, el("th", { scope: "col" }, data.step), el("th", { scope: "col", class: "num" }, "all"), ...series.map((it) => el("th", { scope: "col", class: "num" }, el("bdi", {}, it.name))));
  const columns = [amountCells(totals), ...series.map((it) => amountCells(it.costs))];
  const rows = totals.map((_, at) => el("tr", {}, el("th", { scope: "row" }, data.slots[state.from + at][1]), ...columns.map((column) => column[at])));
  document.getElementById("time-table").replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
}

// Says what is under the pointer, or where the arrow keys have led.
function follow(chart, columns, rows, columnAt, say) {
  let at = null;
  const go = (next) => {
    at = next;
    say(at);
  };
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const column = columnAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    go(column === null || column < 0 || column >= columns * rows ? null : column);
  });
  chart.addEventListener("pointerleave", () => go(null));
  chart.addEventListener("blur", () => go(null));
  chart.addEventListener("keydown", (event) => {
    const last = columns * rows - 1;
    const [row, first] = [rows > 1 ? columns : 1, at === null];
    const next = {
      ArrowRight: first ? 0 : at + 1,
      ArrowLeft: first ? last : at - 1,
      ArrowDown: first ? 0 : at + row,
      ArrowUp: first ? last : at - row,
      Home: 0,
      End: last,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    go(Math.min(last, Math.max(0, next)));
  });
}

// -- Hours of the week -----------------------------------------------------------

function renderHours(of) {
  const place = document.getElementById("hours-chart");
  if (!place) return;
  const sums = Array.from({ length: 168 }, () => 0n);
  const isOfAll = data.hours_of_all;
  for (const cell of hours) {
    if (!ofTeam(cell) || (!isOfAll && (cell.slot < state.from || cell.slot > state.to))) continue;
    cell.cost.forEach((cost, hour) => (sums[hour] += cost));
  }
  const notes = ["What was spent in each hour, added up over the weeks."];
  if (isOfAll && !isWhole()) notes.push("There are too many hours to choose a part of the period: these are of all of it.");
  if (of.shared.length) notes.push("Without the team’s part of shared keys.");
  document.getElementById("hours-note").textContent = notes.join(" ");
  const width = widthOf(place);
  const left = 38;
  const each = (width - left) / 24;
  const high = Math.min(26, Math.max(18, each * 0.72));
  const chart = svg("svg", { viewBox: `0 0 ${width} ${Math.ceil(high * 7 + 22)}`, role: "img", tabindex: "0", "aria-describedby": "hours-read" });
  const most = sums.reduce((most, cost) => (cost > most ? cost : most), 0n);
  const level = (cost) => (most > 0n && cost > 0n ? Math.min(5, Math.max(1, Math.ceil(Math.sqrt(dollars(cost) / dollars(most)) * 5))) : 0);
  sums.forEach((cost, hour) => {
    const [row, column] = [Math.floor(hour / 24), hour % 24];
    chart.append(svg("rect", { class: "h" + level(cost), x: (left + each * column + 1).toFixed(2), y: (high * row + 1).toFixed(2), width: (each - 2).toFixed(2), height: (high - 2).toFixed(2), rx: 2 }));
  });
  WEEKDAYS.forEach((day, row) => chart.append(svg("text", { x: 0, y: high * row + high / 2 + 4 }, day)));
  for (let hour = 0; hour < 24; hour += width < 520 ? 6 : 3) {
    chart.append(svg("text", { x: (left + each * hour + 1).toFixed(1), y: high * 7 + 17 }, String(hour).padStart(2, "0")));
  }
  const ring = svg("rect", { class: "ring", width: (each - 1).toFixed(2), height: (high - 1).toFixed(2), rx: 2, x: -1000, y: 0 });
  chart.append(ring);
  const best = sums.indexOf(most);
  const told = (hour) => `${WEEKDAYS[Math.floor(hour / 24)]} ${String(hour % 24).padStart(2, "0")}:00 to ${String(hour % 24).padStart(2, "0")}:59`;
  const summary = most > 0n ? `The most in ${told(best)}: ${usd(most)}.` : "Nothing was spent.";
  chart.setAttribute("aria-label", `Spend by hour of the week. ${summary} The table below has all hours.`);
  const read = document.getElementById("hours-read");
  const say = (hour) => {
    ring.setAttribute("x", hour === null ? -1000 : left + each * (hour % 24) + 0.5);
    ring.setAttribute("y", hour === null ? 0 : high * Math.floor(hour / 24) + 0.5);
    read.textContent = hour === null ? summary : `${told(hour)}: ${usd(sums[hour])}`;
  };
  say(null);
  const height = Math.ceil(high * 7 + 22);
  follow(chart, 24, 7, (x, y) => {
    const [column, row] = [Math.floor((x * width - left) / each), Math.floor((y * height) / high)];
    return column < 0 || column > 23 || row > 6 ? null : row * 24 + column;
  }, say);
  place.replaceChildren(chart);
  hoursTable(sums);
}

function hoursTable(sums) {
  document.getElementById("hours-details").hidden = false;
  const head = el("tr", {}, el("th", { scope: "col" }, "hour"), ...WEEKDAYS.map((day) => el("th", { scope: "col", class: "num" }, day)));
  const columns = WEEKDAYS.map((_, day) => amountCells(sums.slice(day * 24, day * 24 + 24)));
  const rows = Array.from({ length: 24 }, (_, hour) => el("tr", {}, el("th", { scope: "row" }, String(hour).padStart(2, "0") + ":00"), ...columns.map((column) => column[hour])));
  document.getElementById("hours-table").replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
}

// -- All of it ---------------------------------------------------------------------

const form = document.getElementById("filters");

function choose(change) {
  Object.assign(state, change);
  if (state.to < state.from) [state.from, state.to] = [state.to, state.from];
  writeAddress();
  render();
}

// Parts of the period that are often wanted.
function quickParts() {
  const parts = [["All", 0, slots - 1]];
  const last = (number, name) => {
    if (slots > number) parts.push([name, slots - number, slots - 1]);
  };
  if (data.step === "day") {
    const months = [...new Set(data.slots.map(([first]) => first.slice(0, 7)))];
    if (months.length > 1 && months.length < 5) {
      for (const month of months) {
        const of = data.slots.map(([first], at) => (first.startsWith(month) ? at : -1)).filter((at) => at >= 0);
        parts.push([MONTHS[Number(month.slice(5)) - 1], of[0], of[of.length - 1]]);
      }
    }
    last(30, "Last 30 days");
    last(7, "Last 7 days");
  } else if (data.step === "week") {
    last(26, "Last 26 weeks");
    last(13, "Last 13 weeks");
    last(4, "Last 4 weeks");
  } else {
    last(12, "Last 12 months");
    last(3, "Last 3 months");
  }
  return parts;
}

function buildForm() {
  const team = el("select", { id: "team" }, el("option", { value: "" }, "All teams"));
  data.teams.forEach((it, at) => {
    const isEmpty = it.kind === "pool" || (it.kind === "rest" && data.more_teams === 0) || (it.kind === "nobody" && !data.cells.some((cell) => cell.team === at));
    if (!isEmpty) team.append(el("option", { value: String(at) }, it.name));
  });
  team.addEventListener("change", () => choose({ team: team.value === "" ? null : Number(team.value) }));
  const pick = (id) => {
    const select = el("select", { id }, ...data.slots.map(([, name], at) => el("option", { value: String(at) }, name)));
    select.addEventListener("change", () => choose({ [id]: Number(select.value) }));
    return select;
  };
  form.append(el("label", { class: "team" }, "Team", team), el("label", {}, "From", pick("from")), el("label", {}, "To", pick("to")));
  const quick = el("div", { class: "quick", role: "group", "aria-label": "Parts of the period" });
  for (const [name, from, to] of quickParts()) {
    const button = el("button", { type: "button", "data-from": from, "data-to": to }, name);
    button.addEventListener("click", () => choose({ from, to }));
    quick.append(button);
  }
  form.append(quick);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  const by = document.getElementById("time-by");
  if (!by) return;
  by.setAttribute("role", "group");
  by.setAttribute("aria-label", "What the colours tell apart");
  for (const kind of ["team", "model"]) {
    const button = el("button", { type: "button", "data-by": kind }, `by ${kind}`);
    button.addEventListener("click", () => choose({ by: kind }));
    by.append(button);
  }
}

function renderForm() {
  form.querySelector("#team").value = state.team === null ? "" : String(state.team);
  form.querySelector("#from").value = String(state.from);
  form.querySelector("#to").value = String(state.to);
  for (const button of form.querySelectorAll(".quick button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.from) === state.from && Number(button.dataset.to) === state.to));
  }
  const by = document.getElementById("time-by");
  if (by) {
    by.hidden = state.team !== null;
    for (const button of by.children) button.setAttribute("aria-pressed", String(button.dataset.by === state.by));
  }
  const shown = document.getElementById("shown");
  shown.replaceChildren();
  if (!isChosen()) return;
  const [from, to] = [data.slots[state.from], data.slots[state.to]];
  const parts = [];
  if (state.team !== null) parts.push(el("bdi", {}, data.teams[state.team].name));
  if (!isWhole()) parts.push(state.from === state.to ? from[1] : `${from[0]} to ${lastDay()}`);
  shown.append("Shown: ", ...parts.flatMap((part, at) => (at ? [", ", part] : [part])), ". ");
  const reset = el("button", { type: "button", class: "plain" }, "Show everything");
  reset.addEventListener("click", () => choose({ team: null, from: 0, to: slots - 1 }));
  shown.append(reset);
}

// The last day that is shown.
const lastDay = () => new Date(Date.parse(dayAfter(state.to)) - 86400000).toISOString().slice(0, 10);

function render() {
  renderForm();
  const of = sums();
  const isAsWritten = !isChosen();
  if (isAsWritten) {
    for (const name of originals.keys()) {
      restore(name);
    }
    const savings = live("savings");
    if (savings) savings.hidden = savings.tBodies[0].rows.length === 0;
    const violations = live("violations");
    if (violations) violations.hidden = false;
    const unlogged = live("unlogged");
    if (unlogged) unlogged.hidden = unlogged.tBodies[0].rows.length === 0;
    const sides = live("reconciled");
    if (sides) sides.parentElement.hidden = false;
  } else {
    renderFigures(of);
  }
  if (document.getElementById("time-chart")) {
    if (isAsWritten) {
      const section = document.getElementById("list-teams");
      if (section) section.hidden = false;
      offerLists(of);
    } else {
      renderLists(of);
      renderSavings(of);
      renderViolations();
    }
    renderTime(of);
    renderHours(of);
  }
  if (!isAsWritten) {
    renderQuality(of);
    renderReconciled();
  }
  renderBudgets();
}

// Where nothing is chosen the lists are as written; only one that somebody
// wants to see more of is made here.
function offerLists(of) {
  const isOpen = (id) => state.open.has(id);
  if (["teams", "models", "keys", "users"].some(isOpen)) {
    renderLists(of);
    return;
  }
  const told = { teams: data.teams.filter((_, at) => of.teams[at].requests || of.teams[at].cost).length - (data.more_teams > 0 ? 1 : 0), models: restModel, keys: data.keys.names.length, users: data.users.names.length };
  for (const [id, rows] of Object.entries(told)) {
    if (live(id)) offerMore(live(id + "-more"), id, rows, Number(live(id).dataset.most));
  }
}

buildForm();
readAddress();
render();
window.addEventListener("hashchange", () => readAddress() && render());
let drawn = document.documentElement.clientWidth;
window.addEventListener("resize", () => {
  if (document.documentElement.clientWidth === drawn) return;
  drawn = document.documentElement.clientWidth;
  render();
});
for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(event, () => {
    isPrinting = printing;
    render();
  });
}
