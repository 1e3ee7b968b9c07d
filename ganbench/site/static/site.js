"use strict";

// Colours of the page for a chart, light or dark.
function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {gridcolor: colour("--line"), linecolor: colour("--line")};
  const themed = {
    margin: {l: 56, r: 16, t: 30, b: 48},
    legend: {orientation: "h", y: -0.2, yanchor: "top", x: 0},
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: {color: colour("--text"), family: "system-ui, sans-serif", size: 13},
  };
  for (const name of ["xaxis", "yaxis", "xaxis2", "yaxis2"]) {
    if (layout[name]) themed[name] = {...axis, ...layout[name]};
  }
  return themed;
}

function draw(plot, figure) {
  plot.figure = figure;
  return Plotly.react(plot, figure.data, themed(figure.layout), {responsive: true, displaylogo: false, displayModeBar: "hover"});
}

function drawCharts() {
  for (const data of document.querySelectorAll("figure.chart > script")) {
    draw(data.parentElement.querySelector(".plot"), JSON.parse(data.textContent));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of document.querySelectorAll(".plot")) if (plot.figure) draw(plot, plot.figure);
  });
}

// Sorting, search, pages and filters for a table of entries.
function enhanceBoard(table) {
  const filters = {};
  for (const each of document.querySelectorAll("[data-filter]")) filters[each.dataset.filter] = each;
  const at = {};
  for (const cell of table.tHead.rows[0].cells) if (cell.dataset.name) at[cell.dataset.name] = cell.cellIndex;
  const ranks = [...filters.track.options].map((option) => at["rank" + option.value]);
  const order = () => [...("task" in at ? [[at.task, "asc"]] : []), [ranks[filters.track.value], "asc"]];
  const rows = [...table.tBodies[0].rows];
  const facts = rows.map((row) => row.dataset);
  const here = (tracks) => tracks.split(" ").includes(filters.track.value);
  const board = new DataTable(table, {
    order: order(),
    pageLength: 50,
    autoWidth: false, // with thousands of rows it takes seconds, and the browser does it as well
    layout: {topStart: "search", topEnd: null, bottomStart: "info", bottomEnd: "paging"},
  });
  for (const name of ["task", "device", "hardware"]) {
    if (!filters[name]) continue;
    for (const value of [...new Set(facts.flatMap((each) => each[name].split("; ")))].sort()) {
      filters[name].add(new Option(value, value));
    }
  }
  board.search.fixed("filters", (_, cells, place) => {
    const row = facts[place];
    if (!here(row.tracks)) return false;
    if (here(row.apart) && !filters.apart.checked) return false;
    return ["task", "device", "hardware"].every((name) => !filters[name]?.value || row[name].split("; ").includes(filters[name].value));
  });
  const update = () => {
    for (const row of rows) {
      row.classList.toggle("leads", here(row.dataset.leads));
      row.classList.toggle("apart", here(row.dataset.apart));
    }
    ranks.forEach((place, track) => board.column(place).visible(String(track) === filters.track.value, false));
    board.order(order()).draw();
  };
  for (const filter of Object.values(filters)) filter.addEventListener("change", update);
  update();
}

function cell(row, text, kind = "td") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (kind === "th") made.scope = "row";
  row.append(made);
}

function verdict(found) {
  if (!found.told_apart) return "not told apart";
  return found.difference > 0 ? "A is better" : "B is better";
}

// The page that compares two: what Python has computed for each pair, put into words and a chart.
function enhanceComparison(form) {
  const {entries, pairs} = JSON.parse(document.getElementById("comparisons").textContent);
  const {a, b, task} = form.elements;
  const wanted = new URLSearchParams(location.search);
  for (const select of [a, b]) {
    if (Object.hasOwn(entries, wanted.get(select.name))) select.value = wanted.get(select.name);
  }
  if (a.value === b.value && a.options.length > 1) b.selectedIndex = a.selectedIndex ? 0 : 1;

  const seeds = () => {
    const plot = document.querySelector("#seeds .plot");
    const data = [a, b].map((side, place) => {
      const scores = entries[side.value]?.[task.value] ?? {};
      return {
        type: "scatter", mode: "markers", name: `${"AB"[place]}: ${side.value}`,
        x: Object.keys(scores).map((seed) => `seed ${seed}`), y: Object.values(scores),
        marker: {size: 10, symbol: place ? "diamond" : "circle", color: place ? "#D55E00" : "#0072B2"},
      };
    });
    document.querySelector("#seeds figcaption").textContent = `Scores of both on ${task.value}, by seed`;
    draw(plot, {data, layout: {height: 380, yaxis: {title: {text: `score on ${task.value}`}}, xaxis: {type: "category"}}});
  };
  const update = () => {
    const same = a.value === b.value;
    const found = pairs[a.value]?.[b.value] ?? {tasks: {}, skipped: []};
    const body = document.querySelector("#differences tbody");
    body.replaceChildren();
    for (const [name, each] of Object.entries(found.tasks)) {
      const row = body.insertRow();
      cell(row, name, "th");
      cell(row, each.difference.toFixed(3));
      cell(row, each.interval.map((end) => end.toFixed(3)).join(" to "));
      cell(row, each.p_value < 1e-4 ? "< 0.0001" : each.p_value.toFixed(4));
      cell(row, each.improvement.toFixed(2));
      cell(row, each.seeds);
      cell(row, verdict(each));
      cell(row, each.seeds_needed ?? "> 10,000");
    }
    const whole = found.tasks.all ?? Object.values(found.tasks)[0];
    const words = whole ? `A = ${a.value}, B = ${b.value}: ${verdict(whole)}.` : "Nothing to compare.";
    document.getElementById("verdict").textContent =
      [same ? "Choose two entries." : words, ...(same ? [] : found.skipped)].join(" ");
    const ran = (side) => Object.keys(entries[side.value] ?? {});
    const tasks = ran(a).filter((name) => ran(b).includes(name));
    const before = task.value;
    task.replaceChildren(...tasks.map((name) => new Option(name)));
    if (tasks.includes(before)) task.value = before;
    seeds();
  };
  for (const side of [a, b]) side.addEventListener("change", update);
  task.addEventListener("change", seeds);
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
}

document.querySelectorAll("table.board").forEach(enhanceBoard);
drawCharts();
const pair = document.getElementById("pair");
if (pair) enhanceComparison(pair);
