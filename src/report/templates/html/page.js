
// What stands on the page is of everybody and the whole period. This adds up
// the same numbers for a team or a part of the period, and draws the charts.

const data = JSON.parse(document.getElementById("data").textContent);
const slots = data.slots.length;
const MOST_SERIES = 7;
const SVG = "http://www.w3.org/2000/svg";
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MEASURES = ["requests", "errors", "unpriced", "estimated", "prompt", "cached", "output", "cost", "estimated_cost", "cache_savings", "batch_savings"];

const numbers = (text, length) => {
  const parts = (text || "").split(",");
  return Array.from({ length }, (_, at) => (parts[at] ? BigInt(parts[at]) : 0n));
};
for (const cell of data.cells) {
  for (const name of MEASURES) {
    if (name in cell) cell[name] = numbers(cell[name], slots);
  }
}
for (const cell of [...data.keys.cells, ...data.users.cells, ...data.violations]) {
  for (const name of ["times", "requests", "cost"]) {
    if (name in cell) cell[name] = numbers(cell[name], slots);
  }
}
for (const side of data.reconciled.sides) {
  for (const name of ["ours", "theirs", "lines", "to_investigate"]) side[name] = numbers(side[name], slots);
  side.causes = side.causes.map(([name, text]) => [name, numbers(text, slots)]);
}
for (const missing of data.reconciled.unlogged) {
  for (const name of ["requests", "tokens", "cost", "unknown"]) missing[name] = numbers(missing[name], slots);
}
const hours = data.hours.map(([team, slot, text]) => ({ team, slot, cost: numbers(text, 168) }));
const restTeam = data.teams.findIndex((team) => team.kind === "rest");
const restModel = data.models.length - 1;

// -- What is chosen -----------------------------------------------------------

const state = { team: null, from: 0, to: slots - 1, by: "team", open: new Set() };

const isWhole = () => state.from === 0 && state.to === slots - 1;
const isChosen = () => state.team !== null || !isWhole();
const within = (series) => {
  let sum = 0n;
  for (let slot = state.from; slot <= state.to; slot += 1) sum += series[slot];
  return sum;
};
const ofTeam = (cell) => state.team === null || cell.team === state.team;
const sharesOf = (pool) => (pool ? pool.shares : []);
const sharesPool = (pool) => sharesOf(pool).some(([team]) => team === state.team);

// A team's part of a pool's total.
function partOf(total, pool, team) {
  return divide(total, pool.shares).filter((part) => part.team === team).reduce((sum, part) => sum + part.cost, 0n);
}

function readAddress() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) return false;
  const asked = new URLSearchParams(text);
  const slotOf = (day, fallback) => {
    const at = data.slots.findIndex(([first]) => first === day);
    return at < 0 ? fallback : at;
  };
  const kind = asked.get("of");
  let team = -1;
  if (asked.has("team")) team = data.teams.findIndex((it) => it.id === asked.get("team") && it.kind === "team");
  else if (kind === "nobody" || kind === "rest") team = data.teams.findIndex((it) => it.kind === kind);
  state.team = team < 0 ? null : team;
  state.from = slotOf(asked.get("from"), 0);
  state.to = Math.max(state.from, slotOf(asked.get("to"), slots - 1));
  state.by = asked.get("by") === "model" ? "model" : "team";
  return true;
}

function writeAddress() {
  const asked = new URLSearchParams();
  if (state.team !== null) {
    const team = data.teams[state.team];
    if (team.kind === "team") asked.set("team", team.id);
    else asked.set("of", team.kind);
  }
  if (state.from !== 0) asked.set("from", data.slots[state.from][0]);
  if (state.to !== slots - 1) asked.set("to", data.slots[state.to][0]);
  if (state.by !== "team") asked.set("by", state.by);
  const text = asked.toString();
  try {
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  } catch {
    // A page inside of another one may have no address of its own.
  }
}

// -- Sums ---------------------------------------------------------------------

function sums() {
  const total = Object.fromEntries(MEASURES.map((name) => [name, 0n]));
  const models = data.models.map(() => Object.fromEntries(MEASURES.map((name) => [name, 0n])));
  const teams = data.teams.map(() => ({ requests: 0n, cost: 0n }));
  let unattributed = { requests: 0n, cost: 0n };
  for (const cell of data.cells) {
    for (const name of MEASURES) {
      if (!cell[name]) continue;
      const sum = within(cell[name]);
      if (name === "requests" || name === "cost") teams[cell.team][name] += sum;
      if (!ofTeam(cell)) continue;
      total[name] += sum;
      models[cell.model][name] += sum;
      if (data.teams[cell.team].kind === "nobody" && (name === "requests" || name === "cost")) unattributed[name] += sum;
    }
  }
  // Charges of a pool are with the teams that share it.
  const shared = [];
  for (const pool of data.pools) {
    const whole = teams[pool.team].cost;
    if (state.team !== null && sharesPool(pool)) shared.push({ pool, cost: partOf(whole, pool, state.team) });
    for (const part of divide(whole, pool.shares)) teams[part.team].cost += part.cost;
    teams[pool.team] = { requests: 0n, cost: 0n };
  }
  const parts = shared.reduce((sum, { cost }) => sum + cost, 0n);
  return { total, models, teams, shared, unattributed, cost: total.cost + parts };
}

// -- Making things ------------------------------------------------------------

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function nameCell(name, below, ...more) {
  const cell = el("th", { scope: "row" }, el("bdi", {}, name));
  if (below) cell.append(el("span", { class: "below" }, el("bdi", {}, below)));
  cell.append(...more);
  return cell;
}

const numberCell = (text, kind = "num") => el("td", { class: kind }, text);

// Cells of a column of amounts, whose points stand one below the other.
function amountCells(amounts) {
  const texts = amounts.map((amount) => (amount === null ? null : usd(amount)));
  const places = (text) => (text === null ? 0 : text.length - text.lastIndexOf(".") - 1);
  const most = Math.max(0, ...texts.map(places));
  return texts.map((text) => (text === null ? null : numberCell(text, "num p" + (most - places(text)))));
}

function barOf(part, whole) {
  const tenths = whole > 0n ? (part * 1000n) / whole : 0n;
  const bar = svg("svg", { class: "bar", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
  bar.append(svg("rect", { class: "fill", width: String(Number(tenths) / 10), height: "1" }));
  return bar;
}

// -- Lists --------------------------------------------------------------------

const originals = new Map();
for (const node of document.querySelectorAll("[data-live]")) originals.set(node.dataset.live, node.cloneNode(true));
const live = (name) => document.querySelector(`[data-live="${name}"]`);
const restore = (name) => live(name).replaceChildren(...originals.get(name).cloneNode(true).childNodes);

// and 12 more, $3.20 together; without a number where that is not known.
function more(number, cost) {
  if (number === null) return cost > 0n ? `and others, ${usd(cost)} together` : "";
  return number > 0 ? `and ${count(BigInt(number))} more, ${usd(cost)} together` : "";
}

const byCost = (a, b) => {
  if (a.cost !== b.cost) return a.cost > b.cost ? -1 : 1;
  if (a.requests !== b.requests) return a.requests > b.requests ? -1 : 1;
  return a.order - b.order;
};

// `hidden` says how many are in no row at all, and what they cost.
function renderList(id, rows, whole, hidden) {
  const table = live(id);
  if (!table) return;
  const most = Number(table.dataset.most);
  rows = rows.filter((row) => row.cost !== 0n || row.requests !== 0n).sort(byCost);
  const isOpen = state.open.has(id);
  const shown = isOpen ? rows : rows.slice(0, most);
  const rest = rows.slice(shown.length);
  const costs = amountCells(shown.map((row) => row.cost));
  table.tBodies[0].replaceChildren(...shown.map((row, at) => el("tr", {},
    nameCell(row.name, row.below, barOf(row.cost, whole)), numberCell(count(row.requests)), costs[at], numberCell(share(row.cost, whole)))));
  const number = hidden.number === null ? null : rest.length + hidden.number;
  const text = more(number, rest.reduce((sum, row) => sum + row.cost, hidden.cost));
  live(id + "-more").replaceChildren(text || (shown.length ? "" : "None."));
  offerMore(live(id + "-more"), id, rows.length, most);
}

// A button that shows the rows there are, or fewer again.
function offerMore(place, id, rows, most) {
  if (rows <= most) return;
  const isOpen = state.open.has(id);
  const button = el("button", { type: "button", class: "plain", "aria-expanded": String(isOpen) }, isOpen ? "Show fewer" : `Show ${count(BigInt(rows))}`);
  button.addEventListener("click", () => {
    if (isOpen) state.open.delete(id);
    else state.open.add(id);
    render();
    const next = document.querySelector(`[data-live="${id}-more"] button, #${id} [data-more] button`);
    if (next) next.focus();
  });
  if (place.textContent) place.append(el("span", { class: "dot" }, " · "));
  place.append(button);
}

function renderLists(of) {
  const teams = data.teams.map((team, at) => ({ name: team.name, below: "", order: team.kind === "nobody" ? -1 : at, ...of.teams[at] }));
  const rest = restTeam < 0 ? { cost: 0n } : of.teams[restTeam];
  const section = document.getElementById("list-teams");
  if (section) section.hidden = state.team !== null;
  const hiddenTeams = data.more_teams > 0 ? { number: isWhole() ? data.more_teams : null, cost: rest.cost } : { number: 0, cost: 0n };
  renderList("teams", teams.filter((_, at) => at !== restTeam), of.cost, hiddenTeams);

  const models = data.models.slice(0, restModel).map(([name, below], order) => ({ name, below, order, requests: of.models[order].requests, cost: of.models[order].cost }));
  for (const { pool, cost } of of.shared) {
    models.push({ name: "shared: " + pool.name, below: "its part", order: models.length, requests: 0n, cost });
  }
  const others = of.models[restModel];
  const hiddenModels = data.more_models > 0 && (others.cost || others.requests) ? { number: isChosen() ? null : data.more_models, cost: others.cost } : { number: 0, cost: 0n };
  renderList("models", models, of.cost, hiddenModels);

  for (const id of ["keys", "users"]) renderSpenders(id, of);
}

function renderSpenders(id, of) {
  const spenders = data[id];
  const rows = spenders.names.map(([name, below], order) => ({ name, below: state.team === null ? below : "", order, requests: 0n, cost: 0n }));
  for (const cell of spenders.cells) {
    if (!ofTeam(cell)) continue;
    rows[cell.who].requests += within(cell.requests);
    rows[cell.who].cost += within(cell.cost);
  }
  const told = rows.reduce((sum, row) => sum + row.cost, 0n);
  const all = state.team === null ? spenders.all : data.teams[state.team][id];
  const known = state.team === null ? spenders.names.length : new Set(spenders.cells.filter(ofTeam).map((cell) => cell.who)).size;
  const number = all === known ? 0 : isWhole() ? all - known : null;
  renderList(id, rows, of.cost, { number, cost: of.total.cost - told });
}

// -- Figures, savings, violations, quality -------------------------------------

function renderFigures(of) {
  const { total } = of;
  const tokens = total.prompt + total.output;
  const days = (Date.parse(dayAfter(state.to)) - Date.parse(data.slots[state.from][0])) / 86400000;
  const figures = [
    [usd(of.cost), usd(dividedEvenly(of.cost, BigInt(Math.max(1, days)))) + " a day"],
    [compact(total.requests), share(total.errors, total.requests) + " ended in an error"],
    [compact(tokens), share(total.cached, total.prompt) + " of the prompt from a cache"],
    [tokens > 0n ? usd(dividedEvenly(total.cost * 1000000n, tokens)) : "–", "input and output together"],
  ];
  document.querySelectorAll(".figures dl > div").forEach((node, at) => {
    const [value, note] = figures[at];
    node.children[1].textContent = value;
    node.children[2].textContent = note;
  });
}

const dayAfter = (slot) => (slot + 1 < slots ? data.slots[slot + 1][0] : data.end);

function renderSavings(of) {
  const { cache_savings: cache, batch_savings: batch } = of.total;
  const told = [];
  if (cache < 0n) told.push(`Writing to caches cost ${usd(-cache)} more than reading from them saved.`);
  const saved = [[cache, "caching"], [batch, "batches"]].filter(([amount]) => amount > 0n);
  if (saved.length) told.push(`Saved: ${list(saved.map(([amount, how]) => `${usd(amount)} by ${how}`))}.`);
  live("savings-told").textContent = told.join(" ") || "Nothing was saved by caching or batches.";
  const models = of.models.map((sum, order) => ({ ...sum, order, name: data.models[order] }));
  const saving = models.filter((sum) => sum.cache_savings !== 0n || sum.batch_savings !== 0n);
  const all = (sum) => sum.cache_savings + sum.batch_savings;
  saving.sort((a, b) => (all(a) === all(b) ? a.order - b.order : all(a) > all(b) ? -1 : 1));
  const shown = saving.slice(0, 10);
  const [caches, batches] = [amountCells(shown.map((sum) => sum.cache_savings)), amountCells(shown.map((sum) => sum.batch_savings))];
  live("savings").hidden = shown.length === 0;
  live("savings").tBodies[0].replaceChildren(...shown.map((sum, at) => el("tr", {},
    nameCell(sum.order === restModel ? sum.name[0] + " models" : sum.name[0], sum.name[1]), numberCell(share(sum.cached, sum.prompt)), caches[at], batches[at])));
  const rest = saving.slice(10);
  live("savings-more").textContent = more(rest.length, rest.reduce((sum, it) => sum + all(it), 0n));
}

function renderViolations() {
  const table = live("violations");
  if (!table) return;
  const rows = [...table.tBodies[0].rows].map((row) => {
    const sum = { row, times: 0n, requests: 0n, cost: 0n };
    for (const cell of data.violations.filter((it) => it.kind === row.dataset.kind && ofTeam(it))) {
      for (const name of ["times", "requests", "cost"]) sum[name] += within(cell[name]);
    }
    return sum;
  });
  const shown = rows.filter((sum) => sum.times > 0n);
  const costs = amountCells(shown.map((sum) => sum.cost));
  rows.forEach(({ row, times }) => (row.hidden = times === 0n));
  shown.forEach(({ row, times, requests }, at) => {
    row.cells[1].textContent = count(times);
    row.cells[2].textContent = count(requests);
    row.replaceChild(costs[at], row.cells[3]);
  });
  table.hidden = shown.length === 0;
  live("violations-told").textContent = shown.length ? "" : "Nothing broke a policy.";
}

// Both sides of each source, and what is in no log.
function renderReconciled() {
  if (!live("unlogged")) return;
  const isOfAll = state.team === null;
  restore("reconciled-told");
  if (!isOfAll) live("reconciled-told").textContent = "Providers know nothing of teams: both sides are shown for all teams together.";
  const table = live("reconciled");
  if (table) {
    table.parentElement.hidden = !isOfAll;
    [...table.tBodies[0].rows].forEach((row, at) => {
      const side = data.reconciled.sides[at];
      const text = side.is_money ? usd : count;
      const [ours, theirs, lines] = [within(side.ours), within(side.theirs), within(side.lines)];
      const size = (part) => (part < 0n ? -part : part);
      const causes = side.causes.map(([name, series]) => [name, within(series)]).filter(([, part]) => part !== 0n);
      causes.sort(([, a], [, b]) => (size(a) === size(b) ? 0 : size(a) > size(b) ? -1 : 1));
      row.hidden = lines === 0n;
      const texts = [text(ours), text(theirs), text(theirs - ours), causes.map(([name, part]) => `${name} ${text(part)}`).join(", ") || "–", count(lines), count(within(side.to_investigate))];
      texts.forEach((it, column) => (row.cells[column + 1].textContent = it));
    });
  }
  renderUnlogged();
}

function renderUnlogged() {
  const sum = (it, order) => ({ order, name: data.teams[it.team].name, ...Object.fromEntries(["requests", "tokens", "cost", "unknown"].map((name) => [name, within(it[name])])) });
  const rows = data.reconciled.unlogged.filter(ofTeam).map(sum).filter((it) => it.requests || it.tokens || it.cost || it.unknown);
  rows.sort((a, b) => (a.cost !== b.cost ? (a.cost > b.cost ? -1 : 1) : a.tokens !== b.tokens ? (a.tokens > b.tokens ? -1 : 1) : a.order - b.order));
  const shown = rows.slice(0, 10);
  const told = (number) => (number === 0n ? "–" : count(number));
  const cost = (it) => (it.unknown === 0n ? usd(it.cost) : it.cost === 0n ? "not known" : `at least ${usd(it.cost)}`);
  live("unlogged").hidden = shown.length === 0;
  live("unlogged").tBodies[0].replaceChildren(...shown.map((it) => el("tr", {}, nameCell(it.name, ""), numberCell(told(it.requests)), numberCell(told(it.tokens)), numberCell(cost(it)))));
  live("unlogged-told").textContent = shown.length ? "" : "Nothing that providers report is missing from the logs.";
  live("unlogged-more").textContent = more(rows.length - shown.length, rows.slice(10).reduce((sum, it) => sum + it.cost, 0n));
}

function renderQuality(of) {
  const { total, unattributed } = of;
  const rows = [
    [total.requests, total.cost],
    [total.unpriced, null],
    [total.estimated, total.estimated_cost],
    [unattributed.requests, unattributed.cost],
    [total.errors, null],
  ];
  const costs = amountCells(rows.map(([, cost]) => cost));
  [...live("quality").tBodies[0].rows].forEach((row, at) => {
    const [requests, cost] = rows[at];
    row.cells[1].textContent = count(requests);
    row.cells[2].textContent = share(requests, total.requests);
    if (cost === null) {
      row.cells[3].textContent = row.dataset.row === "unpriced" && requests > 0n ? "not known" : "–";
      return;
    }
    row.replaceChild(costs[at], row.cells[3]);
    row.cells[4].textContent = share(cost, total.cost);
  });
}

function renderBudgets() {
  const section = document.getElementById("budgets");
  if (!section) return;
  const table = section.querySelector("table");
  const rows = [...table.tBodies[0].rows];
  const id = state.team === null ? null : data.teams[state.team].id;
  const meant = rows.filter((row) => state.team === null || (id !== null && row.dataset.team === id));
  const most = Number(table.dataset.most);
  const isOpen = state.open.has("budgets");
  const shown = new Set(isOpen ? meant : meant.slice(0, most));
  rows.forEach((row) => (row.hidden = !shown.has(row)));
  table.hidden = shown.size === 0;
  const place = section.querySelector("[data-more]");
  const rest = meant.length - shown.size;
  place.textContent = shown.size === 0 ? "It has no budget of its own." : rest > 0 ? `and ${count(BigInt(rest))} more` : "";
  offerMore(place, "budgets", meant.length, most);
}
