// Shows a doubtful place on a map: the position with its accuracy, the stated village, and the outline of the stated regency.
"use strict";

const place = document.querySelector("[data-place]");
if (place && window.L) {
  const read = (name) => Number(place.dataset[name]);
  const position = [read("latitude"), read("longitude")];
  const map = baseMap(place, { zoomIn: place.dataset.in, zoomOut: place.dataset.out }, { zoomSnap: 0.25, scrollWheelZoom: false });
  const shown = L.featureGroup([
    L.circle(position, { radius: Math.max(read("accuracy"), 1), color: "var(--map-position)", weight: 1, fillOpacity: 0.15 }),
    L.circleMarker(position, { radius: 7, color: "var(--map-ring)", weight: 2, fillColor: "var(--map-position)", fillOpacity: 1 }).bindTooltip(place.dataset.positionText),
  ]);
  if (place.dataset.claimedLatitude) {
    const claimed = [read("claimedLatitude"), read("claimedLongitude")];
    L.polyline([position, claimed], { color: "var(--map-between)", weight: 2, dashArray: "4 6" }).addTo(shown);
    L.circleMarker(claimed, { radius: 7, color: "var(--map-ring)", weight: 2, fillColor: "var(--map-claimed)", fillOpacity: 1 }).bindTooltip(place.dataset.claimedText).addTo(shown);
  }
  map.setView(position, 13); // a circle has bounds only on a map that has a view
  shown.addTo(map);
  map.fitBounds(shown.getBounds().pad(0.3), { maxZoom: 15 });
  outliner(map, place)(place.dataset.regency, false);
}
