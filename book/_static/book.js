/* What pages do when a reader moves: terms explain themselves, self-tests open at once, what scrolls takes the focus. */

"use strict";

// Opened from a folder, a page may not read its neighbours, and the search need not try.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/** A term shows its meaning on hover and on focus; Escape closes it, and the pointer may move onto it. */
function explain(link, number) {
  const meaning = (window.glossary || {})[decodeURIComponent(link.hash).slice("#term-".length)];
  if (!meaning) return;
  const tip = document.createElement("span");
  tip.setAttribute("role", "tooltip");
  tip.id = `meaning-${number}`;
  tip.textContent = meaning;
  tip.hidden = true;
  document.body.append(tip);
  link.setAttribute("aria-describedby", tip.id);
  let leaving;
  const show = () => {
    clearTimeout(leaving);
    tip.hidden = false;
    const word = link.getClientRects()[0];
    const left = Math.min(word.left, document.documentElement.clientWidth - tip.offsetWidth - 16);
    const above = word.top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(16, left) + scrollX}px`;
    tip.style.top = `${(above > 0 ? above : word.bottom + 6) + scrollY}px`;
  };
  const hide = () => { tip.hidden = true; };
  const leave = () => { leaving = setTimeout(hide, 150); };
  link.addEventListener("focus", show);
  link.addEventListener("blur", hide);
  for (const element of [link, tip]) {
    element.addEventListener("mouseenter", show);
    element.addEventListener("mouseleave", leave);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}

/** A button above a self-test opens all its answers, and closes them again. */
function addShowAll(table) {
  const answers = [...table.querySelectorAll("details.answer")];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "show-all";
  const name = () => { button.textContent = answers.every((answer) => answer.open) ? "Hide all answers" : "Show all answers"; };
  button.addEventListener("click", () => {
    const open = !answers.every((answer) => answer.open);
    for (const answer of answers) answer.open = open;
  });
  for (const answer of answers) answer.addEventListener("toggle", name);
  name();
  (table.closest(".table-wrapper") || table).before(button);
}

/** What is wider than its place can be reached and scrolled by keyboard; what is not takes no tab stop. */
function markScrollers() {
  for (const element of document.querySelectorAll("article pre, article .table-wrapper, article p:has(> img)")) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

/** The theme's drawers open by labels, which a keyboard does not reach: buttons take their place. */
function makeButton(label) {
  const box = document.getElementById(label.htmlFor);
  const button = document.createElement("button");
  button.type = "button";
  button.className = label.className;
  button.setAttribute("aria-label", box.getAttribute("aria-label"));
  button.append(...label.childNodes);
  const tell = () => button.setAttribute("aria-expanded", String(box.checked));
  box.addEventListener("change", tell);
  button.addEventListener("click", () => box.click());
  label.replaceWith(button);
  tell();
}

document.querySelectorAll('a[href*="#term-"]:has(> .term)').forEach(explain);
document.querySelectorAll("table.self-test").forEach(addShowAll);
document.querySelectorAll("label.nav-overlay-icon, label.toc-overlay-icon:not(.no-toc)").forEach(makeButton);
markScrollers();
addEventListener("resize", markScrollers);
addEventListener("load", markScrollers);
document.addEventListener("toggle", markScrollers, true);
