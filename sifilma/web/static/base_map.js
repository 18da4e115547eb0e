// The base of every map: land, borders and names from the service's own sheets, on one canvas below everything else.
"use strict";

const { INDONESIA, baseMap, outliner } = (() => {
  const SHEETS = { outlines: { name: "p", size: 2, from: 7.5 }, villages: { name: "d", size: 0.5, from: 11.5 } };
  const NAMES = { provinces: ["600", 13], regencies: ["500", 12], districts: ["400", 11.5], villages: ["400", 11] }; // weight, height
  const THEME = window.matchMedia("screen and (prefers-color-scheme: dark)"); // what is printed is light
  const INDONESIA = [[-11.1, 94.9], [6.2, 141.1]];

  // Longitude and latitude as shares of the world in Mercator's projection, once for each sheet.
  function projected(numbers, scale) {
    const made = new Float64Array(numbers.length);
    let x = 0, y = 0, west = 1, east = 0, north = 1, south = 0;
    for (let n = 0; n < numbers.length; n += 2) {
      x += numbers[n];
      y += numbers[n + 1];
      const sine = Math.sin((y / scale) * (Math.PI / 180));
      made[n] = x / scale / 360 + 0.5;
      made[n + 1] = 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
      west = Math.min(west, made[n]);
      east = Math.max(east, made[n]);
      north = Math.min(north, made[n + 1]);
      south = Math.max(south, made[n + 1]);
    }
    return { points: made, west, east, north, south };
  }

  function opened(sheet) {
    const lines = (name) => (sheet[name] ?? []).map((numbers) => projected(numbers, sheet.scale));
    const names = (name, scale) => (sheet[name] ?? []).map(([x, y, size, text]) => ({ at: projected([x, y], scale).points, size, text }));
    return {
      home: lines("home"), abroad: lines("abroad"), province: lines("province"), regency: lines("regency"),
      provinces: names("provinces", sheet.scale), regencies: names("regencies", sheet.scale),
      districts: names("districts", sheet.scale), villages: names("villages", sheet.scale),
    };
  }

  const BaseMap = L.Layer.extend({
    initialize(address) {
      this.address = address;
      this.sheets = new Map(); // by name: a sheet, or null while it is fetched, or where it could not be had
    },

    onAdd(map) {
      map.createPane("base").style.zIndex = 250;
      this.canvas = L.DomUtil.create("canvas", "leaflet-zoom-hide", map.getPane("base"));
      map.on("moveend resize", this.draw, this);
      THEME.addEventListener("change", (this.again = () => this.draw()));
      this.need("negara");
      this.draw();
    },

    onRemove(map) {
      map.off("moveend resize", this.draw, this);
      THEME.removeEventListener("change", this.again);
      this.canvas.remove();
    },

    // Returns a sheet that is there, and fetches one that is not.
    need(name) {
      if (this.sheets.has(name)) return this.sheets.get(name);
      this.sheets.set(name, null);
      fetch(this.address.replace("NAMA", name))
        .then((answer) => (answer.ok && !answer.redirected ? answer.json() : Promise.reject(new Error(String(answer.status)))))
        .then((sheet) => {
          this.sheets.set(name, opened(sheet));
          this.soon ??= requestAnimationFrame(() => this.draw());
        })
        .catch(() => setTimeout(() => this.sheets.delete(name), 5000)); // the next move tries again
      return null;
    },

    squares({ name, size, from }, bounds) {
      if (this._map.getZoom() < from) return [];
      const found = [];
      for (let x = Math.floor(bounds.getWest() / size); x <= Math.floor(bounds.getEast() / size); x += 1)
        for (let y = Math.floor(bounds.getSouth() / size); y <= Math.floor(bounds.getNorth() / size); y += 1) found.push(`${name}${x}_${y}`);
      return found.length > 40 ? [] : found.map((square) => this.need(square));
    },

    draw() {
      const map = this._map;
      this.soon = null;
      if (!map) return;
      const half = map.getSize().multiplyBy(0.25).round(), size = map.getSize().add(half.multiplyBy(2)), dots = window.devicePixelRatio || 1;
      const corner = map.containerPointToLayerPoint(half.multiplyBy(-1));
      L.DomUtil.setPosition(this.canvas, corner);
      Object.assign(this.canvas, { width: size.x * dots, height: size.y * dots });
      Object.assign(this.canvas.style, { width: `${size.x}px`, height: `${size.y}px` });
      const world = map.project([0, 0]).x * 2, origin = map.getPixelOrigin().add(corner);
      const view = { world, x: origin.x, y: origin.y, width: size.x, height: size.y, zoom: map.getZoom(), ink: this.canvas.getContext("2d") };
      const theme = getComputedStyle(document.documentElement);
      view.colour = (name) => theme.getPropertyValue(`--map-${name}`);
      view.ink.scale(dots, dots);
      view.ink.lineJoin = "round";
      const country = this.need("negara"), near = this.squares(SHEETS.outlines, map.getBounds().pad(0.25));
      const whole = near.length > 0 && near.every(Boolean);
      const villages = this.squares(SHEETS.villages, map.getBounds().pad(0.1)).filter(Boolean);
      land(view, whole ? near : [country].filter(Boolean));
      labels(view, country, near.filter(Boolean), villages);
      this.canvas.dataset.drawn = [country, ...near].every(Boolean) ? view.zoom : "";
    },
  });

  const seen = (view, part) =>
    part.east * view.world >= view.x && part.west * view.world <= view.x + view.width &&
    part.south * view.world >= view.y && part.north * view.world <= view.y + view.height;

  function path(view, parts, closed) {
    const { ink, world, x, y } = view;
    ink.beginPath();
    for (const part of parts) {
      if (!seen(view, part)) continue;
      const { points } = part;
      ink.moveTo(points[0] * world - x, points[1] * world - y);
      for (let n = 2; n < points.length; n += 2) ink.lineTo(points[n] * world - x, points[n + 1] * world - y);
      if (closed) ink.closePath();
    }
  }

  // Outlines first, then land over their inner halves: parts of one land have no line between them.
  function land(view, sheets) {
    const { ink } = view;
    for (const name of ["abroad", "home"]) {
      ink.strokeStyle = view.colour("coast");
      ink.lineWidth = 2;
      for (const sheet of sheets) {
        path(view, sheet[name], true);
        ink.stroke();
      }
      ink.fillStyle = view.colour(name);
      for (const sheet of sheets) {
        path(view, sheet[name], true);
        ink.fill("evenodd");
      }
    }
    for (const [name, width] of [["regency", view.zoom < 6 ? 0.4 : 0.9], ["province", 1.2]]) {
      ink.strokeStyle = view.colour(name);
      ink.lineWidth = width;
      for (const sheet of sheets) {
        path(view, sheet[name], false);
        ink.stroke();
      }
    }
  }

  // Names from the largest unit to the smallest. A name that would touch another is left out, or that is much wider than what it names.
  function labels(view, country, near, villages) {
    const taken = [], { zoom } = view;
    const degree = view.world / 360;
    const wide = (label, share) => (label.size / 1000) * degree * 2 * share;
    if (country && zoom < 7) write(view, taken, "provinces", country.provinces.filter((one) => wide(one, 3) > longest(one.text) * 5), true);
    if (country && zoom >= 6 && zoom < 13) {
      const fitting = country.regencies.filter((one) => zoom >= 9 || wide(one, 1.6) > one.text.length * 5);
      write(view, taken, "regencies", fitting.sort((one, other) => other.size - one.size), false);
    }
    if (zoom >= 9.5) write(view, taken, "districts", near.flatMap((sheet) => sheet.districts), false);
    if (zoom >= SHEETS.villages.from) write(view, taken, "villages", villages.flatMap((sheet) => sheet.villages), false, true);
  }

  // A name in two lines, parted at the space nearest to its middle.
  function broken(text) {
    const spaces = [...text.matchAll(/ /g)].map((found) => found.index).sort((one, other) => Math.abs(one - text.length / 2) - Math.abs(other - text.length / 2));
    return spaces.length ? [text.slice(0, spaces[0]), text.slice(spaces[0] + 1)] : [text];
  }
  const longest = (text) => Math.max(...broken(text).map((line) => line.length));

  function write(view, taken, level, names, capitals, dot) {
    const { ink, world } = view, [weight, height] = NAMES[level];
    ink.font = `${weight} ${height}px "Inter Variable", Inter, system-ui, sans-serif`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.fillStyle = view.colour(level);
    ink.strokeStyle = view.colour("halo");
    ink.lineWidth = 3;
    for (const { at, text } of names) {
      const x = at[0] * world - view.x, y = at[1] * world - view.y;
      if (x < 0 || y < 0 || x > view.width || y > view.height || !text) continue;
      const lines = capitals ? broken(text.toUpperCase()) : [text];
      const half = Math.max(...lines.map((line) => ink.measureText(line).width)) / 2 + 3, middle = y + (dot ? height * 0.9 : 0);
      const box = [x - half, middle - height * 0.7 * lines.length, x + half, middle + height * 0.7 * lines.length];
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      if (dot) {
        ink.beginPath();
        ink.arc(x, y, 1.8, 0, 7);
        ink.fill();
      }
      lines.forEach((line, n) => {
        const at = middle + (n - (lines.length - 1) / 2) * height * 1.15;
        ink.strokeText(line, x, at);
        ink.fillText(line, x, at);
      });
    }
  }

  // Makes a map in a box, with its base where the service has one, and with whom to name as its source.
  function baseMap(box, words, options = {}) {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const map = L.map(box, { zoomControl: false, attributionControl: false, minZoom: 3, maxZoom: 17, fadeAnimation: !still, zoomAnimation: !still, ...options });
    L.control.zoom({ zoomInTitle: words.zoomIn, zoomOutTitle: words.zoomOut }).addTo(map);
    L.control.scale({ imperial: false, position: "topright" }).addTo(map);
    if (box.dataset.base) {
      L.control.attribution({ prefix: false }).addAttribution(`${box.dataset.credit} · Natural Earth`).addTo(map);
      map.whenReady(() => new BaseMap(box.dataset.base).addTo(map));
    }
    return map;
  }

  // Draws the outline of a regency over the base, in place of the one before.
  function outliner(map, box) {
    let shown = "", drawn = null;
    map.createPane("outline").style.zIndex = 300;
    return async (code, look) => {
      if (!code || code === shown || !box.dataset.base) return;
      shown = code;
      const answer = await fetch(box.dataset.base.replace("NAMA", code)).catch(() => null);
      if (!answer?.ok || answer.redirected || shown !== code) return;
      drawn?.remove();
      drawn = L.geoJSON(await answer.json(), { pane: "outline", interactive: false, style: { color: "var(--map-outline)", weight: 2, fillColor: "var(--map-outline)", fillOpacity: 0.07 } }).addTo(map);
      if (look) map.fitBounds(drawn.getBounds(), { maxZoom: 13, animate: false });
    };
  }

  return { INDONESIA, baseMap, outliner };
})();
