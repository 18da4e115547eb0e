// Passkeys (WebAuthn): a form with `data-passkey="create|get"` asks the browser for a key and sends its answer with the form.
"use strict";

async function ask(form) {
  const sent = new FormData(form);
  sent.delete("passkey");
  const answer = await fetch(form.dataset.options, { method: "POST", body: new URLSearchParams(sent), headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const options = await answer.json();
  const credential = form.dataset.passkey === "create"
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  form.elements.passkey.value = JSON.stringify(credential.toJSON());
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) continue;
  form.hidden = false;
  document.querySelector("[data-no-passkeys]")?.remove();
  form.addEventListener("submit", async (event) => {
    if (form.elements.passkey.value) return;
    event.preventDefault();
    event.stopPropagation();
    try {
      await ask(form);
      form.requestSubmit();
    } catch {
      form.querySelector("[data-failed]").hidden = false;
    }
  });
}
