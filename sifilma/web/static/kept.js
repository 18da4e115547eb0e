// Forms that save themselves (`data-autosave`): some seconds after typing stops, and before the page is left. Files are not among it.
// Forms work without this script. What the server keeps of a form, and never keeps, is its own decision (sifilma/web/kept.py).
"use strict";

const PAUSE = 2500;

for (const told of document.querySelectorAll("[data-autosave]")) {
  const form = told.closest("form");
  const address = new URL(window.location.href);
  for (const name of ["lanjut", "selesai", "jumlah", "catatan"]) address.searchParams.delete(name);
  let timer = 0;
  let changed = false;
  let stopped = false;
  let saving = false;

  const fields = () => {
    const data = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      const kind = form.querySelector(`[name="${CSS.escape(name)}"]`);
      if (typeof value === "string" && kind?.type !== "password" && kind?.autocomplete !== "one-time-code") data.append(name, value);
    }
    data.set("kept_page", address.pathname + address.search);
    data.set("kept_action", new URL(form.action || window.location.href, window.location.href).pathname);
    return data;
  };
  const stop = (words) => {
    stopped = true;
    told.textContent = words;
  };
  const note = (saved) => {
    let field = form.querySelector("[name=kept_form]");
    if (!field) {
      field = form.appendChild(document.createElement("input"));
      field.type = "hidden";
      field.name = "kept_form";
    }
    field.value = saved;
  };

  const save = async () => {
    if (!changed || stopped || form.dataset.sending) return;
    if (saving) {
      timer = setTimeout(save, PAUSE);
      return;
    }
    changed = false;
    saving = true;
    try {
      const answer = await fetch(told.dataset.autosave, {
        method: "POST",
        body: fields(),
        headers: { Accept: "application/json" },
        keepalive: true, // it arrives although the page is left
      });
      if (answer.ok) {
        const { saved, at } = await answer.json();
        note(saved);
        told.textContent = `${told.dataset.saved} ${at}`;
      } else if (answer.status === 409) stop(told.dataset.elsewhere);
      else if (answer.status === 401 || answer.status === 403) stop(told.dataset.ended);
      else changed = true;
    } catch {
      changed = true; // there was no answer: the next change tries again
    } finally {
      saving = false;
    }
  };
  const later = (event) => {
    if (event.target.type === "file" || event.target.name === "otp_code") return;
    changed = true;
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE);
  };
  form.addEventListener("input", later);
  form.addEventListener("change", later);

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "hidden") return; // the page is hidden or left
    clearTimeout(timer);
    save();
  });
}
