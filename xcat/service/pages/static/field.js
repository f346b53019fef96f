// The field of a source in Aladin Lite. Its own controls are off: they ask other hosts.
import A from "/static/vendor/aladin.js";

const TIMES_95 = 2.448; // of a Gaussian in two dimensions
const COLOURS = { optical: "#56B4E9", infrared: "#F0743C" };
const place = document.querySelector("#field");

async function show() {
  const { source, objects, images } = await (await fetch(place.dataset.values)).json();
  await A.init;
  const farthest = Math.max(...objects.map((o) => o.sep_arcsec), TIMES_95 * source.err_maj_arcsec);
  const empty = { maxOrder: 0, minOrder: 0, imgFormat: "png", tileSize: 512, cooFrame: "equatorial" };
  const off = ["Zoom", "Fullscreen", "Layers", "SimbadPointer", "CooGrid", "Settings", "Share", "ColorPicker", "Projection"];
  const view = A.aladin(place, {
    ...Object.fromEntries(off.map((name) => [`show${name}Control`, false])),
    survey: images ? A.imageHiPS(images) : A.imageHiPS(`${location.origin}/field/hips`, { name: "No image", ...empty }),
    target: `${source.ra} ${source.dec}`,
    fov: ((2.6 * farthest) / 3600) * Math.max(1, place.clientWidth / place.clientHeight), // of the width
    cooFrame: "ICRSd",
    showReticle: false, showFrame: false, showFov: false, showCooLocation: false, showContextMenu: false,
    showStatusBar: false, showCooGrid: true, gridColor: "#8899aa", gridOpacity: 0.5, expandLayersControl: false,
    log: false, samp: false,
  });
  const overlay = A.graphicOverlay({ color: "#E69F00", lineWidth: 2 });
  view.addOverlay(overlay);
  for (const times of [1, TIMES_95]) { // the first radius lies along the angle, which is from north through east
    const [major, minor] = [source.err_maj_arcsec, source.err_min_arcsec].map((arcsec) => (times * arcsec) / 3600);
    overlay.add(A.ellipse(source.ra, source.dec, major, minor, source.err_pa_deg, { color: "#E69F00", lineWidth: 2 }));
  }
  for (const o of objects) {
    const radius = Math.max(o.err_arcsec ?? 0, 0.3) / 3600;
    const look = { color: COLOURS[o.kind] ?? "#3FC79A", lineWidth: o.is_accepted ? 4 : 1.5 };
    overlay.add(A.circle(o.ra, o.dec, radius, look));
  }
  place.dataset.drawn = String(objects.length);
}

show().catch((error) => {
  console.warn(error);
  place.hidden = true;
  document.querySelector("#field-failed").hidden = false;
});
