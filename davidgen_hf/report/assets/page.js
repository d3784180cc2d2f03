const PAGE = 25;
// Two sources of rows with the same two questions: which rows, and what is in them.
function embedded(rows) {
  for (const row of rows) {
    row.search = [row.text, row.output || "", ...row.candidates.map((one) => one.instruction)].join("\n").toLowerCase();
  }
  return async (wanted) => {
    const words = wanted.search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) =>
      words.every((word) => row.search.includes(word)) &&
      (!wanted.strategy || row.strategy === wanted.strategy) &&
      (!wanted.reason || row.reasons.includes(wanted.reason)) &&
      (wanted.kept === "" || row.kept === (wanted.kept === "1")) &&
      (wanted.margin === "" || (row.margin !== null && row.margin >= Number(wanted.margin))) &&
      (wanted.perplexity === "" || (row.perplexity !== null && row.perplexity <= Number(wanted.perplexity))));
    const key = wanted.sort.replace("-", ""), sign = wanted.sort.startsWith("-") ? -1 : 1;
    if (key !== "n") {
      found.sort((a, b) => (a[key] === null) - (b[key] === null) || sign * (a[key] - b[key]) || a.n - b.n);
    }
    return { total: found.length, more: false, rows: found.slice(wanted.page * PAGE, (wanted.page + 1) * PAGE) };
  };
}
async function served(wanted) {
  const answer = await fetch("rows?" + new URLSearchParams(wanted));
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function candidates(row) {
  const head = ["rank", "perplexity", "instruction", "style", "rejected for"];
  const cell = (name, ...content) => {
    const made = element("td", {}, ...content);
    made.dataset.name = name;
    return made;
  };
  const body = row.candidates.map((one) => {
    const text = element("span", { className: "candidate", dir: "auto" }, ...texts(one.instruction.slice(0, LONGEST) || "(empty)"));
    if (one.input) text.append("\n", element("b", { textContent: "Input: " }), ...texts(one.input.slice(0, LONGEST)));
    const won = row.kept ? one.kept : one.rank === 1;
    return element("tr", { className: won ? "won" : one.reason ? "lost" : "" },
      cell("rank", one.rank ? String(one.rank) : "–"), cell("perplexity", shown(one.perplexity)),
      element("td", {}, text), cell("style", (one.style || "–").replaceAll("_", " ")),
      cell("rejected for", one.reason ? one.reason.replaceAll("_", " ") : "–"));
  });
  const table = element("table", { className: "cells" },
    element("caption", { textContent: "Candidates, the winner first" }),
    element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col", textContent: name })))),
    element("tbody", {}, ...body));
  return table;
}
function item(row) {
  const winner = row.candidates.find((one) => one.rank === 1);
  const pairs = row.candidates.filter((one) => one.kept).length;
  const title = element("span", { className: "title", dir: "auto" },
    ...texts(winner ? winner.instruction.slice(0, 400) : "No candidate was left"));
  const about = element("span", { className: "about" },
    element("span", { textContent: row.strategy }), element("span", { textContent: `perplexity ${shown(row.perplexity)}` }),
    element("span", { textContent: `margin ${shown(row.margin, 3)}` }),
    element("span", { textContent: pairs > 1 ? `became ${pairs} pairs` : pairs ? "became a pair" : "became no pair" }));
  const details = element("details", {}, element("summary", {}, title, about));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector(".open")) return;
    const open = element("div", { className: "open" }, element("h3", { textContent: "Passage" }), passage(row));
    if (row.output !== null) {
      const output = element("p", { className: "text", dir: "auto", tabIndex: 0 }, element("mark", {}, ...texts(row.output.slice(0, LONGEST))));
      output.setAttribute("role", "region");
      output.setAttribute("aria-label", "Output");
      open.append(element("h3", { textContent: "Output" }), output);
    }
    const from = [row.source, row.id, row.license].filter(Boolean).join(" · ");
    open.append(candidates(row), element("p", { className: "about", dir: "auto" }, ...texts("From " + from)));
    details.append(open);
  });
  return element("li", {}, details);
}

const FIELDS = ["search", "strategy", "reason", "kept", "margin", "perplexity", "sort"];
let query, page = 0, turn = 0;
const state = () => Object.fromEntries(FIELDS.map((name) => [name, find(name).value]));
async function show() {
  const mine = ++turn, wanted = { ...state(), page };
  let answer;
  try {
    answer = await query(wanted);
  } catch (error) {
    find("found").textContent = "The rows cannot be read: " + error.message;
    return;
  }
  if (mine !== turn) return;
  find("list").replaceChildren(...answer.rows.map(item));
  const many = answer.total.toLocaleString("en") + (answer.more ? " or more" : "");
  find("found").textContent = answer.total === 1 ? "1 row" : `${many} rows`;
  const pages = Math.max(1, Math.ceil(answer.total / PAGE));
  find("page").textContent = `Page ${(page + 1).toLocaleString("en")} of ${pages.toLocaleString("en")}${answer.more ? " or more" : ""}`;
  find("previous").disabled = page === 0;
  find("next").disabled = page + 1 >= pages;
  const kept = new URLSearchParams(Object.entries(wanted).filter(([name, value]) => value && !(name === "sort" && value === "n")));
  document.documentElement.dataset.ready = String(mine);
  if (kept.size) history.replaceState(null, "", "#?" + kept);
  else if (location.hash.startsWith("#?")) history.replaceState(null, "", location.pathname + location.search);
}
function restore() {
  const given = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  for (const name of FIELDS) if (given.has(name)) find(name).value = given.get(name);
  page = Number(given.get("page")) || 0;
}
const turned = (by) => { page += by; show().then(() => find("rows-title").scrollIntoView()); };
find("previous").addEventListener("click", () => turned(-1));
find("next").addEventListener("click", () => turned(1));
find("filter").addEventListener("submit", (event) => event.preventDefault());
find("filter").addEventListener("input", () => { page = 0; show(); });
find("filter").addEventListener("reset", () => setTimeout(() => { page = 0; show(); }));
restore();
// After the first paint, so that the page is visible before its rows are unpacked.
requestAnimationFrame(() => setTimeout(async () => {
  try {
    query = document.body.dataset.served ? served : embedded(await unpack(find("data").textContent));
  } catch (error) {
    find("found").textContent = "The rows cannot be read: " + error.message;
    return;
  }
  show();
}));
