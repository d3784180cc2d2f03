"use strict";
// Texts come from passages and models and are hostile: they enter the page as text nodes and nowhere else.
const LONGEST = 6000;
const find = (id) => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
// Marks that turn text around or cannot be seen are shown by name; stacks of combining marks are cut.
const SIGNS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
const STACKS = /(\p{M}{6})\p{M}+/gu;
function texts(text) {
  const parts = [];
  let last = 0;
  text = text.replace(STACKS, "$1…");
  for (const sign of text.matchAll(SIGNS)) {
    const name = "U+" + sign[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(text.slice(last, sign.index), element("span", { className: "sign", textContent: "⟨" + name + "⟩" }));
    last = sign.index + 1;
  }
  parts.push(text.slice(last));
  return parts;
}
const shown = (value, digits = 2) => (value === null ? "–" : value.toFixed(digits));
function passage(row) {
  const block = element("p", { className: "text", tabIndex: 0, dir: "auto" });
  block.setAttribute("aria-label", "Passage");
  block.setAttribute("role", "region");
  const fill = (whole) => {
    const end = whole ? row.text.length : Math.min(row.text.length, Math.max(LONGEST, 0));
    block.replaceChildren();
    if (row.start === null || row.end - row.start >= row.text.trim().length) {
      block.append(...texts(row.text.slice(0, end)));
    } else {
      block.append(...texts(row.text.slice(0, Math.min(row.start, end))));
      if (row.start < end) block.append(element("mark", {}, ...texts(row.text.slice(row.start, Math.min(row.end, end)))));
      if (row.end < end) block.append(...texts(row.text.slice(row.end, end)));
    }
    if (end < row.text.length) {
      const button = element("button", { type: "button", textContent: `Show all ${row.text.length.toLocaleString("en")} characters` });
      button.addEventListener("click", () => fill(true));
      block.append("… ", button);
    }
  };
  fill(false);
  return block;
}
