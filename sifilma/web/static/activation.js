// The map of an activation, and a form whose selects follow it. The form works without this script.
"use strict";

const box = document.getElementById("peta");
const words = JSON.parse(box?.dataset.words ?? "{}");

function draw() {
  box.hidden = false;
  const map = baseMap(box, words);
  map.fitBounds(INDONESIA);
  return map;
}

function marker(draggable) {
  const icon = L.divIcon({ className: "pin", iconSize: [24, 24] });
  return L.marker([0, 0], { icon, draggable, keyboard: draggable, title: words.pin });
}

// Shows where one activation is.
function show() {
  const map = draw();
  const at = [Number(box.dataset.latitude), Number(box.dataset.longitude)];
  marker(false).setLatLng(at).addTo(map);
  map.setView(at, 11);
  outliner(map, box)(box.dataset.at, false);
}

// The form of an activation.
function fill(form) {
  const map = draw(), pin = marker(true), regency = outliner(map, box);
  const field = (name) => form.elements[name];
  const number = (name) => Number(field(name).value.trim().replace(",", ".").replace("−", "-") || NaN);
  const there = () => `${field("latitude").value} ${field("longitude").value}`;
  let asking = null, choosing = null, read = {};

  // Numbers are read here. What is written in another way (degrees and minutes) is where the server read it to be.
  const position = () => {
    const at = [number("latitude"), number("longitude")];
    if (!at.every(Number.isFinite)) return read.text === there() ? read.at : null;
    return Math.abs(at[0]) <= 90 && Math.abs(at[1]) <= 180 ? at : null;
  };
  const point = (zoom) => {
    const at = position();
    if (!at) return pin.remove();
    pin.setLatLng(at).addTo(map);
    if (zoom) map.setView(at, Math.max(map.getZoom(), 12), { animate: false });
  };

  // Asks the server about the place: selects that follow the position (or stay as they were chosen), and the result of the check.
  async function ask(follow) {
    asking?.abort();
    asking = new AbortController();
    const asked = new URLSearchParams();
    for (const name of ["pasted", "latitude", "longitude", "accuracy_m", "province", "regency", "district", "region_code"]) asked.set(name, field(name).value);
    try {
      take(await part(`${form.dataset.place}?${asked}${follow ? "&ikuti=1" : ""}`, asking.signal), asked);
    } catch (error) {
      if (error.name !== "AbortError") document.getElementById("hasil").textContent = words.offline;
    }
  }

  function take(text, asked) {
    const place = document.getElementById("tempat"), said = document.getElementById("hasil"), reason = document.getElementById("alasan");
    const selects = [...place.querySelectorAll("select")], chosen = selects.map((select) => select.value);
    morph(place, text, "#tempat");
    morph(said, text, "#hasil");
    selects.forEach((select, at) => settle(select, chosen[at] === asked.get(select.name) ? answered(select) : chosen[at]));
    field("reason").required = Boolean(place.dataset.reason);
    reason.hidden = !(place.dataset.reason || field("reason").value || reason.contains(document.activeElement));
    const typed = `${asked.get("latitude")} ${asked.get("longitude")}`;
    if (typed === there() && place.dataset.at && !position()) {
      read = { text: typed, at: JSON.parse(place.dataset.at) };
      point(true);
    }
    if (asked.get("pasted") && asked.get("pasted") === field("pasted").value && !place.dataset.pasted) pasted(place);
    regency(place.dataset.regency, !position());
  }

  // What was pasted has been read: it stands in latitude and longitude now.
  function pasted(place) {
    field("pasted").value = "";
    write(place.dataset.latitude, place.dataset.longitude, "", "typed");
    point(true);
  }

  function write(latitude, longitude, accuracy, source) {
    field("latitude").value = latitude;
    field("longitude").value = longitude;
    field("accuracy_m").value = accuracy;
    field("source").value = source;
  }

  function set(latitude, longitude, accuracy, source, zoom) {
    write(latitude.toFixed(6), longitude.toFixed(6), Math.round(accuracy), source);
    point(zoom);
    ask(true);
  }

  map.on("click", (event) => set(event.latlng.lat, event.latlng.wrap().lng, 0, "map", false));
  pin.on("dragend", () => set(pin.getLatLng().lat, pin.getLatLng().lng, 0, "map", false));
  form.addEventListener("change", (event) => {
    if (event.target.closest("#tempat")) ask(false);
    if (field("sam_uid") && event.target === field("sam_uid")) machine();
    if (event.target === field("pasted") && field("pasted").value.trim()) ask(true);
    if (["latitude", "longitude"].includes(event.target.name)) {
      field("source").value = "typed";
      field("accuracy_m").value = "";
      point(true);
      if (field("latitude").value.trim() && field("longitude").value.trim()) ask(true);
    }
  });

  // The machines of a card: a field of the same kind stays the element it was, another takes its place with the focus.
  async function machine() {
    choosing?.abort();
    choosing = new AbortController();
    const box = document.getElementById("mesin"), address = `${form.dataset.machine}?${new URLSearchParams({ sam_uid: field("sam_uid").value })}`;
    const text = await part(address, choosing.signal).catch(() => null);
    if (text === null) return; // an answer nobody waits for any more, or none: the server looks again when the form is sent
    const typed = control(box)?.value, focused = box.contains(document.activeElement);
    morph(box, text);
    const other = control(box);
    if (other && typed !== undefined) settle(other, typed);
    if (focused && !box.contains(document.activeElement)) (other ?? box.querySelector("a")).focus();
  }

  // Fills in what was scanned. Returns whether all of it could be used: a machine may not be among the choices.
  const scan = document.getElementById("pindai"); // the form for several cards has none
  if (scan) scanner(scan, async ({ uid, number }) => {
    if (uid) {
      field("sam_uid").value = inPairs(uid);
      await machine();
    }
    if (number && field("hardware_number")) keep(field("hardware_number"), number);
    return !number || field("hardware_number")?.value === number;
  });

  device(document.getElementById("lokasi"), document.getElementById("lokasi-hasil"), there, (at) => set(at.latitude, at.longitude, at.accuracy, "device", true));
  document.getElementById("tanpa-skrip").hidden = true;
  point(true);
  regency(document.getElementById("tempat").dataset.regency, !position());
}

// Fetches a part of the form as the server renders it.
async function part(address, signal) {
  const answer = await fetch(address, { signal });
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  return answer.text();
}

const control = (inside) => inside.querySelector("input, select");
const answered = (select) => ([...select.options].find((one) => one.defaultSelected) ?? select.options[0])?.value ?? "";

// An element, or what is in it, becomes what the answer says, by htmx: fields stay the elements they were, since they may have the
// focus, or their list be open. It is done when this returns; only transitions, which nobody asks for here, would come later.
function morph(element, text, select) {
  htmx.swap({ text, select, target: element, sourceElement: element, swap: select ? "outerMorph" : "innerMorph" });
}

// The value of a field after a morph, which leaves a chosen option chosen even where it has become another one.
function settle(field, value) {
  const wanted = holds(field, value) ? value : answered(field);
  if (field.value !== wanted) field.value = wanted;
}

const holds = (input, value) => !input.options || [...input.options].some((one) => one.value === value && !one.disabled);

// A value, where the field can have it.
function keep(input, value) {
  if (input.value !== value && holds(input, value)) input.value = value;
}

function device(button, said, there, found) {
  if (!navigator.geolocation) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const asked = there();
    said.textContent = words.asking;
    navigator.geolocation.getCurrentPosition(
      (at) => {
        if (there() !== asked) return (said.textContent = ""); // the user has typed or chosen another place meanwhile
        const metres = Math.round(at.coords.accuracy);
        said.textContent = (metres > 500 ? words.rough : words.found).replace("{m}", metres);
        found(at.coords);
      },
      (error) => {
        said.textContent = { 1: words.refused, 3: words.late }[error.code] ?? words.unavailable;
      },
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 0 },
    );
  });
}

const form = document.querySelector("form[data-activation]");
if (form) fill(form);
else if (box) show();
