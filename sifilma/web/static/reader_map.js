// The map of readers: circles that the server groups for the visible part. The table beside it has the same figures.
"use strict";

const clamp = (degrees, most) => Math.max(-most, Math.min(most, degrees)); // a large window can show more than the globe
const box = document.getElementById("peta-pembaca");

function start() {
  const words = JSON.parse(box.dataset.words), said = document.getElementById("peta-pesan");
  const format = new Intl.NumberFormat(document.documentElement.lang);
  box.hidden = false;
  for (const text of document.querySelectorAll("[data-with-map]")) text.hidden = false;
  const map = baseMap(box, words, { zoomSnap: 0.25 });
  outliner(map, box)(box.dataset.regency, false);

  const circles = L.layerGroup().addTo(map);
  const marked = (cluster) => {
    const size = cluster.uid ? 16 : 28 + 8 * Math.min(Math.floor(Math.log10(cluster.count)), 4);
    const text = cluster.uid ? "" : format.format(cluster.count);
    const icon = L.divIcon({ className: cluster.uid ? "reader" : "cluster", iconSize: [size, size], html: text });
    const name = cluster.uid ? cluster.uid.replace(/(..)(?=.)/g, "$1 ") : cluster.count === 1 ? words.one : words.readers.replace("{n}", text);
    const marker = L.marker([cluster.latitude, cluster.longitude], { icon, keyboard: false });
    const { south, west, north, east } = cluster.box, near = [[south, west], [north, east]];
    marker.bindTooltip(name);
    marker.on("click", () => {
      const zoom = map.getBoundsZoom(near, false, L.point(40, 40));
      if (!cluster.uid && zoom > map.getZoom()) return map.fitBounds(near, { padding: [40, 40], animate: false });
      L.popup().setLatLng([cluster.latitude, cluster.longitude]).setContent(told(cluster, name)).openOn(map);
    });
    return marker;
  };
  const told = (cluster, name) => {
    const part = document.createElement("div"), link = document.createElement("a");
    link.href = cluster.page;
    link.textContent = cluster.uid ? words.card : words.list;
    part.append(name, document.createElement("br"), link);
    return part;
  };

  let asking = null;
  const draw = async () => {
    asking?.abort();
    asking = new AbortController();
    const seen = map.getBounds().pad(0.2);
    const query = new URLSearchParams(window.location.search);
    const shown = {
      zoom: Math.round(map.getZoom()), south: clamp(seen.getSouth(), 90), west: clamp(seen.getWest(), 180), north: clamp(seen.getNorth(), 90), east: clamp(seen.getEast(), 180),
    };
    for (const [name, value] of Object.entries(shown)) query.set(name, value);
    try {
      const answer = await fetch(`${box.dataset.points}?${query}`, { signal: asking.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const found = await answer.json();
      circles.clearLayers();
      for (const cluster of found) marked(cluster).addTo(circles);
      said.textContent = "";
      box.dataset.drawn = found.length;
    } catch (error) {
      if (error.name !== "AbortError") said.textContent = words.offline;
    }
  };
  map.on("moveend", draw);
  map.fitBounds(JSON.parse(box.dataset.box ?? "null") ?? INDONESIA, { padding: [24, 24], maxZoom: 13, animate: false });
}

if (box && window.L) start();
