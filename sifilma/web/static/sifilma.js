// What every page has beyond its HTML. Forms work without it; it only saves effort.
"use strict";

// Sends a form once: a second click does nothing until the answer arrives.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented || "download" in form.dataset) return; // a download leaves the page as it is
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

// `/` goes to the search from everywhere but a field. On a narrow page its box opens first.
const seek = document.getElementById("cari");
if (seek) {
  const box = seek.closest(".collapse");
  box.addEventListener("shown.bs.collapse", () => seek.focus());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    if (seek.checkVisibility()) seek.select();
    else window.bootstrap.Collapse.getOrCreateInstance(box).show();
  });
}

// Keeps the session alive while the user types, so that it does not end during a long form.
let seen = Date.now();
document.addEventListener("input", () => {
  if (Date.now() - seen < 5 * 60_000 || !document.querySelector("input[name=csrf_token]")) return;
  seen = Date.now();
  fetch("/api/v1/me").catch(() => {}); // errors are ignored: the form reports them when it is sent
});

// Opens the filters on a wide screen where the style sheet cannot.
if (!CSS.supports("selector(::details-content)") && window.matchMedia("(min-width: 768px)").matches) {
  for (const fold of document.querySelectorAll(".fold")) fold.open = true;
}

// Gives the list of errors the focus, so that screen readers read it first.
document.getElementById("masalah")?.focus();

// Adds the session's CSRF token to unsafe calls of htmx.
document.addEventListener("htmx:config:request", (event) => {
  const token = document.querySelector("input[name=csrf_token]")?.value;
  if (token && event.detail.ctx?.request?.headers) event.detail.ctx.request.headers["X-CSRF-Token"] = token;
});

// `data-copy="#id"`: copies the text of an element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
  button.dataset.copied = "yes";
});

// `data-printed`: the moment at which the page is printed, which the server cannot know.
window.addEventListener("beforeprint", () => {
  const now = new Date().toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("[data-printed]")) time.textContent = now;
});

// `data-print`: prints this page.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

// `data-all="name"`: checks all boxes of a name that are shown and in its own `data-group`.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]");
  if (!all) return;
  const group = all.closest("[data-group]") ?? document;
  for (const box of group.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]:not(:disabled)`)) {
    if (!box.closest("[hidden]")) box.checked = all.checked;
  }
});

// `data-count="name"`: shows how many boxes of a name are checked. `data-needs="name"`: a button that does nothing without one.
const count = () => {
  for (const shown of document.querySelectorAll("[data-count]")) {
    shown.textContent = document.querySelectorAll(`input[name="${shown.dataset.count}"]:checked`).length;
  }
  for (const button of document.querySelectorAll("[data-needs]")) {
    button.disabled = !document.querySelector(`input[name="${button.dataset.needs}"]:checked`);
  }
};
document.addEventListener("change", count);
count();

// `data-narrow="selector"`: shows only the items that contain the typed text, without regard to spaces and colons.
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

// A person chosen from earlier papers (`data-known`) fills the fields of the group. The choice is then forgotten: the fields count.
document.addEventListener("change", (event) => {
  const list = event.target;
  if (!list.matches?.("select[data-known]") || !list.value) return;
  const group = list.name.replace(/known$/, "");
  for (const [name, value] of Object.entries(JSON.parse(list.selectedOptions[0].dataset.particulars))) {
    const field = list.form.elements[group + name];
    if (field) field.value = value;
  }
  list.value = "";
});

// `data-sets="id" data-values='{"choice": "value"}'`: a choice sets another field, as the server would for one that is left open.
document.addEventListener("change", (event) => {
  const { sets, values } = event.target.dataset ?? {};
  const field = sets && document.getElementById(sets);
  if (field) field.value = JSON.parse(values)[event.target.value] ?? "";
});
