// Tables to be filled in (`data-rows`): a scanner's Enter moves to the next row, and cells pasted from a spreadsheet fill the rows below.
"use strict";

for (const table of document.querySelectorAll("[data-rows]")) {
  const cells = (name) => [...table.querySelectorAll(`[name="${name}"]`)];
  const fields = (cell) => [...cell.closest("tr").querySelectorAll("input, select")];

  table.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault(); // a scanner ends every code with Enter, which must not send the form
    const column = cells(event.target.name);
    column[column.indexOf(event.target) + 1]?.focus();
  });

  table.addEventListener("paste", (event) => {
    const lines = event.clipboardData.getData("text").replace(/\r/g, "").replace(/\n+$/, "").split("\n");
    const wide = lines.some((line) => line.includes("\t"));
    if (event.target.tagName !== "INPUT" || (lines.length === 1 && !wide)) return;
    event.preventDefault();
    const column = cells(event.target.name);
    const first = column.indexOf(event.target);
    const at = fields(event.target).indexOf(event.target);
    lines.forEach((line, down) => {
      const start = column[first + down];
      if (!start) return;
      line.split("\t").forEach((text, across) => {
        const cell = fields(start)[at + across];
        if (cell) cell.value = text.trim();
      });
    });
  });
}

// `data-all-rows="value"`: sets the same result in every row that names a card.
for (const button of document.querySelectorAll("[data-all-rows]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    for (const row of button.form.querySelectorAll("tbody tr")) {
      if (row.querySelector("[name=sam_uid]").value) row.querySelector("[name=outcome]").value = button.dataset.allRows;
    }
  });
}
