// What every page needs beyond its HTML: nothing here is needed to use a form, only to use it with less effort.
"use strict";

// Send a form once: a second click does nothing until the answer is here.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented || "download" in form.dataset) return; // after a download the page stays
  if (form.dataset.sending) {
    event.preventDefault();
    return;
  }
  form.dataset.sending = "yes";
  for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sending]")) {
    delete form.dataset.sending;
    for (const button of form.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// While somebody types, their session is in use: a long form must not meet its end.
let seen = Date.now();
document.addEventListener("input", () => {
  if (Date.now() - seen < 5 * 60_000 || !document.querySelector("input[name=csrf_token]")) return;
  seen = Date.now();
  fetch("/api/v1/me").catch(() => {}); // without an answer the form says so itself, when it is sent
});

// The list of what is wrong takes the focus, so that it is read first.
document.getElementById("masalah")?.focus();

// htmx parts of unsafe calls carry the session's token.
document.addEventListener("htmx:config:request", (event) => {
  const token = document.querySelector("input[name=csrf_token]")?.value;
  if (token && event.detail.ctx?.request?.headers) event.detail.ctx.request.headers["X-CSRF-Token"] = token;
});

// `data-copy="#id"`: copy the text of an element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
  button.dataset.copied = "yes";
});

// `data-print`: print this page.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

// `data-all="name"`: choose all boxes of a name at once, those of its own `data-group` that are shown.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]");
  if (!all) return;
  const group = all.closest("[data-group]") ?? document;
  for (const box of group.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]:not(:disabled)`)) {
    if (!box.closest("[hidden]")) box.checked = all.checked;
  }
});

// `data-count="name"`: how many boxes of a name are chosen.
const count = () => {
  for (const shown of document.querySelectorAll("[data-count]")) {
    shown.textContent = document.querySelectorAll(`input[name="${shown.dataset.count}"]:checked`).length;
  }
};
document.addEventListener("change", count);
count();

// `data-narrow="selector"`: show only the items that contain what is typed, spaces and colons aside.
const plain = (text) => text.replace(/[\s:-]/g, "").toUpperCase();
for (const field of document.querySelectorAll("[data-narrow]")) {
  field.closest("[hidden]")?.removeAttribute("hidden");
  field.addEventListener("input", () => {
    for (const item of document.querySelectorAll(field.dataset.narrow)) item.hidden = !plain(item.textContent).includes(plain(field.value));
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
}
