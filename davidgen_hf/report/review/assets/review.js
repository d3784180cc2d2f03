const token = new URLSearchParams(location.search).get("token") || "";
const FIELDS = ["order", "only", "sample", "strategy", "style"];
const RETRY_MILLISECONDS = 300;
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const reviewer = () => find("reviewer").value.trim() || "reviewer";
const said = (text) => { find("said").textContent = text; };
const refused = (text) => { find("refused").textContent = text; };

async function ask(path, body) {
  const options = { headers: { "X-Davidgen-Token": token }, cache: "no-store" };
  if (body) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error), { refusal: content });
  return content;
}
// A decision whose answer is lost is sent again under the same id, which counts once.
async function send(decision) {
  for (;;) {
    try {
      const row = await ask("decisions", decision);
      refused("");
      return row;
    } catch (error) {
      if (error.refusal) throw error;
      refused("Not saved yet: the server does not answer. Trying again…");
      await wait(RETRY_MILLISECONDS);
    }
  }
}

// The rows of the queue, and the place of the one that is shown.
let queue = [], at = 0, last = null, total = "", reasons = [], row = null, mine = 0;
const ahead = new Map();
const fetched = (n) => {
  if (!ahead.has(n)) ahead.set(n, ask("row?" + new URLSearchParams({ n, reviewer: reviewer() })));
  return ahead.get(n);
};
async function more() {
  const fields = Object.fromEntries(FIELDS.filter((name) => find(name)?.value).map((name) => [name, find(name).value]));
  const after = last === null ? {} : { after: last };
  const answer = await ask("queue?" + new URLSearchParams({ ...fields, ...after, reviewer: reviewer() }));
  const known = new Set(queue);
  const fresh = answer.rows.filter((n) => !known.has(n));
  queue.push(...fresh);
  last = answer.rows.at(-1) ?? last;
  total = `${answer.reviewed.toLocaleString("en")} of ${answer.total.toLocaleString("en")}${answer.more ? " or more" : ""} rows of this queue are reviewed`;
  return fresh.length;
}
async function progress() {
  const found = await ask("progress?" + new URLSearchParams({ reviewer: reviewer() }));
  mine = found.mine;
  const parts = [
    `${found.reviewed.toLocaleString("en")} of ${found.rows.toLocaleString("en")} rows reviewed by ${found.people}`,
    `${found.accepted || 0} accepted, ${found.rejected || 0} rejected, ${found.edited || 0} edited, ${found.promoted || 0} promoted`,
    `${mine} by you${found.per_hour ? `, ${found.per_hour.toLocaleString("en")} decisions per hour` : ""}`,
  ];
  if (found.shared) {
    const kappa = found.kappa === null ? "" : `, kappa ${found.kappa}`;
    parts.push(`agreement ${found.agreed} of ${found.shared}${kappa}`);
  }
  find("progress").textContent = parts.join(" · ");
}
async function start() {
  queue = [];
  at = 0;
  last = null;
  ahead.clear();
  await more();
  await Promise.all([show(), progress()]);
}

const winner = (one) => one.candidates.find((candidate) => candidate.rank === 1);
const chosen = (one) => one.state.candidate === null ? winner(one) : one.candidates.find((candidate) => candidate.number === one.state.candidate);
const wording = (one) => one.state.instruction ?? chosen(one)?.instruction ?? "";

function close() {
  for (const name of ["edit", "reject", "remark"]) find(name).hidden = true;
}
function candidate(one, number) {
  const isChosen = row.state.instruction === null && one === chosen(row);
  const about = [
    one.rank ? `rank ${one.rank}` : null, one.perplexity === null ? null : `perplexity ${shown(one.perplexity)}`,
    one.style ? one.style.replaceAll("_", " ") : null, one.reason ? `rejected: ${one.reason.replaceAll("_", " ")}` : null,
    isChosen ? "shown above" : null].filter(Boolean).join(" · ");
  const key = number <= 9 ? [element("kbd", { textContent: String(number) })] : [element("span", { textContent: "·" })];
  const text = element("span", { dir: "auto" }, ...texts(one.instruction.slice(0, LONGEST) || "(empty)"));
  const button = element("button", { type: "button" }, ...key, text, element("span", { className: "about", textContent: about }));
  button.disabled = !one.instruction || one.reason === "overlaps_evaluation";
  button.addEventListener("click", () => press(() => promote(number)));
  return element("li", { className: isChosen ? "chosen" : "" }, button);
}
async function show(focus = false) {
  close();
  row = null;
  // Two people who review what nobody has reviewed do not get the same rows.
  while (at < queue.length || await more()) {
    row = await fetched(queue[at]);
    if (find("only").value !== "unreviewed" || row.mine || !(row.others || row.busy)) break;
    ahead.delete(row.n);
    row = null;
    queue.splice(at, 1);
  }
  if (!row) {
    find("row").hidden = true;
    find("about").textContent = total;
    find("place").textContent = queue.length ? "The end of the queue" : "No rows in this queue";
  } else {
    draw();
    if (at + 1 < queue.length) fetched(queue[at + 1]).catch(() => ahead.delete(queue[at + 1]));
  }
  document.documentElement.dataset.row = row ? row.key : "";
  document.documentElement.dataset.shown = String(Number(document.documentElement.dataset.shown || 0) + 1);
  if (focus) find("place").focus({ preventScroll: true });
}
function draw() {
  find("row").hidden = false;
  find("place").textContent = `Row ${(at + 1).toLocaleString("en")} of this sitting`;
  const words = [row.strategy, `perplexity ${shown(row.perplexity)}`, `margin ${shown(row.margin, 3)}`, row.kept ? null : "became no pair", total];
  find("about").replaceChildren(...words.filter(Boolean).map((text) => element("span", { textContent: text })));
  find("passage").replaceChildren(passage(row));
  find("output").replaceChildren();
  if (row.output !== null) {
    const output = element("p", { className: "text", dir: "auto", tabIndex: 0 }, element("mark", {}, ...texts(row.output.slice(0, LONGEST))));
    output.setAttribute("role", "region");
    output.setAttribute("aria-label", "Output");
    find("output").append(element("h3", { textContent: "Output" }), output);
  }
  find("instruction").replaceChildren(...texts(wording(row).slice(0, LONGEST) || "(no instruction is left)"));
  find("input").replaceChildren(...(chosen(row)?.input ? ["Input: ", ...texts(chosen(row).input.slice(0, LONGEST))] : []));
  const state = [
    row.state.verdict, row.state.reason ? `because ${row.state.reason}` : null,
    row.state.instruction === null ? null : "instruction written by a person",
    row.state.candidate === null ? null : "another candidate was promoted",
    row.others ? `${row.others} other${row.others > 1 ? "s have" : " has"} judged this row` : null,
    row.state.note ? `note: ${row.state.note}` : null].filter(Boolean);
  find("state").replaceChildren(...state.map((text) => element("span", { dir: "auto" }, ...texts(text))));
  find("candidates").replaceChildren(...row.candidates.map((one, place) => candidate(one, place + 1)));
}
async function decide(action, about, content = {}, step = 1) {
  const decision = { id: crypto.randomUUID(), reviewer: reviewer(), action, ...content };
  if (action !== "undo") Object.assign(decision, { row: row.key, version: row.state.version });
  try {
    const answer = await send(decision);
    ahead.set(answer.n, Promise.resolve(answer));
    if (action === "undo") {
      const place = queue.indexOf(answer.n);
      if (place >= 0) at = place;
      else queue.splice(at, 0, answer.n);
    }
    at += step;
    await show(true);
    said(`${about} ${row ? find("place").textContent : "The end of the queue"}`);
  } catch (error) {
    if (!error.refusal) throw error;
    refused(error.message);
    if (error.refusal.row) {
      ahead.set(error.refusal.row.n, Promise.resolve(error.refusal.row));
      await show(true);
    }
  }
  await progress();
}
function promote(number) {
  const one = row?.candidates[number - 1];
  if (one) return decide("promote", `Candidate ${number} promoted.`, { candidate: one.number });
}
function open(name, field, value) {
  close();
  if (!row) return;
  find(name).hidden = false;
  find(field).value = value;
  find(field).focus();
}
async function move(by) {
  if (at + by < 0) return;
  at = Math.min(at + by, queue.length);
  refused("");
  await show(true);
  said(row ? find("place").textContent : "The end of the queue");
}
const KEYS = {
  a: () => row && decide("accept", "Accepted."),
  r: () => { open("reject", "reason", ""); find("reasons").querySelector("button")?.focus(); },
  e: () => open("edit", "text", row ? wording(row) : ""),
  n: () => open("remark", "note", row?.state.note || ""),
  u: () => decide("undo", "Undone.", {}, 0),
  j: () => move(1),
  k: () => move(-1),
  "?": () => find("help").showModal(),
};
// Keys are carried out one after another, however fast they are pressed.
let turn = Promise.resolve();
const press = (action) => {
  turn = turn.then(action).catch((error) => refused(error.message));
  return turn;
};
const reject = (reason) => press(() => row && decide("reject", "Rejected.", reason ? { reason } : {}));
const typing = (target) => target.closest("textarea, select, input:not([type=checkbox])");
// The letter of a key, on keyboards of other scripts too.
const letter = (event) => /^[\x20-\x7e]$/.test(event.key) ? event.key.toLowerCase() : event.code.replace(/^(Key|Digit)/, "").toLowerCase();
document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Escape" && !find("help").open) {
    press(() => { close(); find("place").focus({ preventScroll: true }); });
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
    event.preventDefault();
    event.target.form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || find("help").open || typing(event.target) || !find("single").checked) return;
  const key = letter(event), number = /^[1-9]$/.test(key) ? Number(key) : 0;
  if (!number && !KEYS[key]) return;
  event.preventDefault();
  if (event.repeat && key !== "j" && key !== "k") return; // a key that is held decides once
  press(() => {
    if (!number) return KEYS[key]();
    if (find("reject").hidden) return promote(number);
    if (number <= reasons.length) return row && decide("reject", "Rejected.", { reason: reasons[number - 1] });
  });
});
for (const button of find("keys").children) button.addEventListener("click", () => press(KEYS[button.dataset.key]));
for (const name of ["edit", "reject", "remark"]) {
  find(name + "-cancel").addEventListener("click", () => press(() => { close(); find("place").focus({ preventScroll: true }); }));
}
const submitted = (name, action) => find(name).addEventListener("submit", (event) => { event.preventDefault(); action(); });
submitted("edit", () => {
  const instruction = find("text").value.trim();
  if (instruction) press(() => decide("edit", "Saved.", { instruction }));
});
submitted("remark", () => press(() => decide("note", "Note saved.", { note: find("note").value.trim() }, 0)));
submitted("reject", () => reject(find("reason").value.trim()));
submitted("list", () => press(async () => {
  const lines = find("lines").value.split("\n").map((line) => line.trim()).filter(Boolean);
  offer((await ask("reasons", { reasons: lines })).reasons);
  said("Reasons saved.");
}));
submitted("queue", () => {});
function offer(list) {
  reasons = list;
  find("lines").value = list.join("\n");
  find("reasons").replaceChildren(...list.map((reason, place) => {
    const key = place < 9 ? element("kbd", { textContent: String(place + 1) }) : element("span", { textContent: "·" });
    const button = element("button", { type: "button" }, key, element("span", { dir: "auto" }, ...texts(reason)));
    button.addEventListener("click", () => reject(reason));
    return element("li", {}, button);
  }));
}
find("queue").addEventListener("change", () => {
  try { localStorage.setItem("reviewer", reviewer()); } catch { /* storage may be switched off */ }
  press(start);
});
try { find("reviewer").value = localStorage.getItem("reviewer") || find("reviewer").value; } catch { /* as above */ }
press(async () => {
  offer((await ask("reasons")).reasons);
  await start();
  document.documentElement.dataset.ready = "1";
});
