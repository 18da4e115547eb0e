// The form of a Berita Acara: rows of witnesses, and an answer that keeps the chosen photos where the server could not keep them
// (photos.js). The form works without this script.
"use strict";

// Witnesses: empty rows are removed; buttons add and remove rows.
const renumber = (rows) => {
  rows.forEach((row, number) => {
    for (const one of [row, ...row.querySelectorAll("*")]) {
      for (const name of ["id", "name", "for", "aria-describedby"]) {
        if (one.hasAttribute(name)) one.setAttribute(name, one.getAttribute(name).replace(/witnesses\.\d+/g, `witnesses.${number}`));
      }
    }
    row.querySelector("[data-number]").textContent = number + 1;
  });
};

const witnesses = (part) => {
  const rows = () => [...part.querySelectorAll(".row-group")];
  const least = Number(part.dataset.witnesses);
  const add = part.querySelector("[data-add]");
  const settle = () => {
    renumber(rows());
    for (const row of rows()) row.querySelector("[data-remove]").hidden = rows().length <= least;
    add.hidden = rows().length >= 20;
  };
  for (const row of rows().slice(least)) {
    if (![...row.querySelectorAll("input, select")].some((field) => field.value)) row.remove();
  }
  add.addEventListener("click", () => {
    const last = rows().at(-1);
    const made = last.cloneNode(true);
    for (const field of made.querySelectorAll("input, select")) {
      field.value = "";
      field.removeAttribute("aria-invalid");
    }
    for (const wrong of made.querySelectorAll(".wrong")) wrong.remove();
    last.after(made);
    settle();
    made.querySelector("input").focus();
  });
  part.addEventListener("click", (event) => {
    const button = event.target.closest("[data-remove]");
    if (!button) return;
    button.closest(".row-group").remove();
    settle();
    add.focus();
  });
  settle();
};

// Handles the answer here. If something is wrong, the page of the answer replaces this one, and the photos stay chosen. Without an
// answer, or if the session has ended, this page stays as it is and can be sent again.
const send = async (form, chosen, event) => {
  event.preventDefault();
  if (form.dataset.sending || !form.querySelector("[name=sure]").reportValidity()) return; // unticked, it would be asked
  form.dataset.sending = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
  let leaving = false;
  try {
    if (form.dataset.ended) await renew(form);
    leaving = await take(form, chosen, await fetch(form.action, { method: "post", body: new FormData(form) }));
  } catch {
    tell(form.dataset.away);
  } finally {
    if (!leaving) {
      delete form.dataset.sending;
      event.submitter?.removeAttribute("aria-busy");
    }
  }
};

// Returns whether the answer leads to another page.
const take = async (form, chosen, answer) => {
  if (answer.redirected && new URL(answer.url).pathname === "/masuk") {
    form.dataset.ended = "yes";
    tell(form.dataset.signedOut, form.dataset.signIn);
    return false;
  }
  if (answer.redirected) {
    window.location.assign(answer.url);
    return true;
  }
  const main = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (main?.querySelector("form[data-record]")) {
    document.querySelector("main").replaceWith(document.adoptNode(main));
    start(main.querySelector("[data-kept] input") ? [] : chosen());
    document.getElementById("masalah")?.focus();
  } else tell(main?.querySelector(".note.bad, p, h1")?.textContent ?? form.dataset.away);
  return false;
};

// Fetches the CSRF token of a session that was begun in another tab.
const renew = async (form) => {
  const page = new DOMParser().parseFromString(await (await fetch(form.action)).text(), "text/html");
  const token = page.querySelector("form[data-record] input[name=csrf_token]");
  if (!token) return;
  form.querySelector("input[name=csrf_token]").value = token.value;
  delete form.dataset.ended;
};

// Shows errors that concern no single field: a used code, files that are too large, a service that does not answer.
const tell = (words, signIn) => {
  const note = document.createElement("p");
  note.className = "note bad";
  note.tabIndex = -1;
  note.setAttribute("role", "alert");
  note.textContent = words;
  if (signIn) {
    const link = document.createElement("a");
    Object.assign(link, { href: "/masuk", target: "_blank", textContent: signIn });
    note.append(" ", link);
  }
  document.getElementById("salah").replaceChildren(note);
  note.focus();
};

const start = (kept) => {
  const form = document.querySelector("form[data-record]");
  if (!form) return;
  witnesses(form.querySelector("[data-witnesses]"));
  const chosen = photos(form.querySelector("[data-previews]").closest("section"), kept);
  form.addEventListener("submit", (event) => send(form, chosen, event));
};

start([]);
