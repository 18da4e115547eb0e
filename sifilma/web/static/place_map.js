// Shows a doubtful place on a map without tiles: the position with its accuracy, the stated village, and outlines if the server has them.
"use strict";

const place = document.querySelector("[data-place]");
if (place && window.L) {
  const read = (name) => Number(place.dataset[name]);
  const position = [read("latitude"), read("longitude")];
  const map = L.map(place, { attributionControl: false, zoomControl: false, zoomSnap: 0.25, maxZoom: 18, scrollWheelZoom: false });
  L.control.zoom({ zoomInTitle: place.dataset.in, zoomOutTitle: place.dataset.out }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);
  const outlines = map.createPane("outlines");
  outlines.style.zIndex = 350;
  const shown = L.featureGroup([
    L.circle(position, { radius: Math.max(read("accuracy"), 1), color: "#9b1c16", weight: 1, fillOpacity: 0.15 }),
    L.circleMarker(position, { radius: 7, color: "#fff", weight: 2, fillColor: "#9b1c16", fillOpacity: 1 }).bindTooltip(place.dataset.positionText),
  ]);
  if (place.dataset.claimedLatitude) {
    const claimed = [read("claimedLatitude"), read("claimedLongitude")];
    L.polyline([position, claimed], { color: "#4d5a67", weight: 2, dashArray: "4 6" }).addTo(shown);
    L.circleMarker(claimed, { radius: 7, color: "#fff", weight: 2, fillColor: "#0d4c8c", fillOpacity: 1 }).bindTooltip(place.dataset.claimedText).addTo(shown);
  }
  map.setView(position, 13); // a circle has bounds only on a map that has a view
  shown.addTo(map);
  map.fitBounds(shown.getBounds().pad(0.3), { maxZoom: 15 });

  const draw = async (address, style) => {
    if (!address) return;
    const answer = await fetch(address);
    if (!answer.ok) return;
    const dot = (_, latlng) => L.circleMarker(latlng, { radius: 3, stroke: false, fillColor: "#0d4c8c", fillOpacity: 0.5, pane: "outlines", interactive: false });
    const look = (shape) => (shape.geometry.type === "Point" ? {} : style); // a point has a style of its own
    L.geoJSON(await answer.json(), { style: look, pane: "outlines", interactive: false, pointToLayer: dot }).addTo(map);
  };
  draw(place.dataset.outlines, { color: "#71808e", weight: 1, fillColor: "#fff", fillOpacity: 1 }).then(() =>
    draw(place.dataset.regency, { color: "#0d4c8c", weight: 1.5, fillColor: "#0d4c8c", fillOpacity: 0.08 }),
  );
}
