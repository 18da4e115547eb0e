// The map of an activation, and a form whose selects follow it. The form can be used without any of this.
"use strict";

const INDONESIA = [[-11.1, 94.9], [6.2, 141.1]];
const LOOK = {
  country: { color: "#7b8794", weight: 1, fillColor: "#f4f6f1", fillOpacity: 1 },
  regency: { color: "#0d4c8c", weight: 2, fillColor: "#bcd9ee", fillOpacity: 0.8 },
  village: { radius: 3, color: "#0d4c8c", weight: 1, fillColor: "#bcd9ee", fillOpacity: 1 },
};
const box = document.getElementById("peta");
const words = JSON.parse(box?.dataset.words ?? "{}");

function draw() {
  box.hidden = false;
  const map = L.map(box, { zoomControl: false, attributionControl: false, minZoom: 3, maxZoom: 17 });
  map.fitBounds(INDONESIA);
  L.control.zoom({ zoomInTitle: words.zoomIn, zoomOutTitle: words.zoomOut }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);
  map.createPane("land").style.zIndex = 300;
  layer(box.dataset.countries).then((data) => L.geoJSON(data, { pane: "land", interactive: false, style: LOOK.country }).addTo(map));
  return map;
}

async function layer(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

// The outline or the village points of a regency; the one before makes way.
function regencies(map) {
  let shown = "", drawn = null;
  return async (code, look) => {
    if (!code || code === shown) return;
    shown = code;
    const data = await layer(box.dataset.regency.replace("KODE", code));
    if (shown !== code) return;
    drawn?.remove();
    drawn = L.geoJSON(data, {
      style: LOOK.regency,
      pointToLayer: (_, at) => L.circleMarker(at, LOOK.village),
      onEachFeature: (feature, part) => feature.properties.name && part.bindTooltip(feature.properties.name),
    }).addTo(map);
    if (look) map.fitBounds(drawn.getBounds(), { maxZoom: 13, animate: false });
  };
}

function marker(draggable) {
  const icon = L.divIcon({ className: "pin", iconSize: [24, 24] });
  return L.marker([0, 0], { icon, draggable, keyboard: draggable, title: words.pin });
}

// One activation: where it is.
function show() {
  const map = draw();
  const at = [Number(box.dataset.latitude), Number(box.dataset.longitude)];
  marker(false).setLatLng(at).addTo(map);
  map.setView(at, 11);
  regencies(map)(box.dataset.at, false);
}

// The form.
function fill(form) {
  const map = draw(), pin = marker(true), regency = regencies(map);
  const field = (name) => form.elements[name];
  const number = (name) => Number.parseFloat(field(name).value.replace(",", "."));
  let asking = null;

  const position = () => {
    const at = [number("latitude"), number("longitude")];
    return at.every(Number.isFinite) && Math.abs(at[0]) <= 90 && Math.abs(at[1]) <= 180 ? at : null;
  };
  const point = (zoom) => {
    const at = position();
    if (!at) return pin.remove();
    pin.setLatLng(at).addTo(map);
    if (zoom) map.setView(at, Math.max(map.getZoom(), 12), { animate: false });
  };

  // What the server makes of the place: selects that follow the position (or stay as they were chosen), and the check.
  async function ask(follow) {
    asking?.abort();
    asking = new AbortController();
    const typed = new URLSearchParams();
    for (const name of ["latitude", "longitude", "accuracy_m", "province", "regency", "district", "region_code"]) typed.set(name, field(name).value);
    if (follow) typed.set("ikuti", "1");
    try {
      const answer = await fetch(`${form.dataset.place}?${typed}`, { signal: asking.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      take(await answer.text());
    } catch (error) {
      if (error.name !== "AbortError") document.getElementById("hasil").textContent = words.offline;
    }
  }

  function take(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement?.id;
    const place = fresh.getElementById("tempat");
    document.getElementById("tempat").replaceWith(place);
    document.getElementById("hasil").replaceChildren(...fresh.getElementById("hasil").childNodes);
    document.getElementById("alasan").hidden = !["REVIEW", "FAIL"].includes(place.dataset.outcome) && !field("reason").value;
    if (focused) document.getElementById(focused)?.focus();
    regency(place.dataset.regency, !position());
  }

  function set(latitude, longitude, accuracy, source, zoom) {
    field("latitude").value = latitude.toFixed(6);
    field("longitude").value = longitude.toFixed(6);
    field("accuracy_m").value = Math.round(accuracy);
    field("source").value = source;
    point(zoom);
    ask(true);
  }

  map.on("click", (event) => set(event.latlng.lat, event.latlng.wrap().lng, 0, "map", false));
  pin.on("dragend", () => set(pin.getLatLng().lat, pin.getLatLng().lng, 0, "map", false));
  form.addEventListener("change", (event) => {
    if (event.target.closest("#tempat")) ask(false);
    if (event.target === field("sam_uid")) machine();
    if (["latitude", "longitude"].includes(event.target.name)) {
      field("source").value = "typed";
      field("accuracy_m").value = "";
      point(true);
      if (position()) ask(true);
    }
  });

  async function machine() {
    const answer = await fetch(`${form.dataset.machine}?${new URLSearchParams({ sam_uid: field("sam_uid").value })}`);
    if (!answer.ok || answer.redirected) return;
    const chosen = field("hardware_number")?.value;
    document.getElementById("mesin").innerHTML = await answer.text();
    const select = field("hardware_number");
    if ([...(select?.options ?? [])].some((option) => option.value === chosen)) select.value = chosen;
  }

  device(document.getElementById("lokasi"), document.getElementById("lokasi-hasil"), (at) => set(at.latitude, at.longitude, at.accuracy, "device", true));
  document.getElementById("tanpa-skrip").hidden = true;
  point(true);
  regency(document.getElementById("tempat").dataset.regency, !position());
}

function device(button, said, found) {
  if (!navigator.geolocation) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    said.textContent = words.asking;
    navigator.geolocation.getCurrentPosition(
      (at) => {
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
