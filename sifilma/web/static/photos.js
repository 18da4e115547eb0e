// Photos of a form: they can be chosen in several steps, are previewed, and can be removed one by one. Too many bytes are reported
// before they are sent. The form works without this script.
"use strict";

const photos = (part, kept) => {
  const field = part.querySelector("input[type=file]");
  const list = part.querySelector("[data-previews]");
  let chosen = [...kept, ...field.files];
  const keep = () => {
    const files = new DataTransfer();
    for (const file of chosen) files.items.add(file);
    field.files = files.files;
    part.querySelector("[data-too-large]").hidden = chosen.reduce((sum, file) => sum + file.size, 0) <= Number(list.dataset.limit);
  };
  const show = (file) => {
    const item = list.appendChild(document.createElement("li"));
    const image = item.appendChild(new Image(160, 120));
    image.alt = file.name;
    const reader = new FileReader();
    reader.addEventListener("load", () => (image.src = reader.result));
    reader.readAsDataURL(file);
    const button = item.appendChild(document.createElement("button"));
    button.type = "button";
    button.className = "btn btn-outline-secondary";
    button.textContent = list.dataset.removing;
    button.setAttribute("aria-label", `${list.dataset.removing}: ${file.name}`);
    button.addEventListener("click", () => {
      chosen = chosen.filter((one) => one !== file);
      item.remove();
      keep();
      field.focus();
    });
  };
  field.addEventListener("change", () => {
    const fresh = [...field.files].filter((file) => !chosen.some((one) => one.name === file.name && one.size === file.size));
    chosen.push(...fresh);
    fresh.forEach(show);
    keep();
  });
  chosen.forEach(show);
  if (chosen.length) keep();
  return () => chosen;
};

for (const part of document.querySelectorAll("[data-photos]")) photos(part, []);
