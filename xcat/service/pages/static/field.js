// The field of a source in Aladin Lite. Its own controls are off: they ask other hosts.
import A from "/static/vendor/aladin.js";

const TIMES_95 = 2.448; // of a Gaussian in two dimensions
const COLOURS = { optical: "#56B4E9", infrared: "#F0743C" }, OTHER = "#3FC79A", XRAY = "#E69F00";
const place = document.querySelector("#field");

async function show() {
  const { source, objects, labels, reach_arcsec, images } = await (await fetch(place.dataset.values)).json();
  await A.init;
  const empty = { maxOrder: 0, minOrder: 0, imgFormat: "png", tileSize: 512, cooFrame: "equatorial" };
  const off = ["Zoom", "Fullscreen", "Layers", "SimbadPointer", "CooGrid", "Settings", "Share", "ColorPicker", "Projection"];
  const view = A.aladin(place, {
    ...Object.fromEntries(off.map((name) => [`show${name}Control`, false])),
    survey: images ? A.imageHiPS(images) : A.imageHiPS(`${location.origin}/field/hips`, { name: "No image", ...empty }),
    target: `${source.ra} ${source.dec}`,
    fov: ((2.6 * reach_arcsec) / 3600) * Math.max(1, place.clientWidth / place.clientHeight), // of the width
    cooFrame: "ICRSd",
    showReticle: false, showFrame: false, showFov: false, showCooLocation: false, showContextMenu: false,
    showStatusBar: false, showCooGrid: place.clientWidth > 500, gridColor: "#8899aa", gridOpacity: 0.8, expandLayersControl: false,
    log: false, samp: false,
  });
  const overlay = A.graphicOverlay({ color: XRAY, lineWidth: 2 });
  view.addOverlay(overlay);
  const add = (of, times, look) => { // the first radius lies along the angle, which is from north through east
    const [major, minor] = [of.err_maj_arcsec ?? 0, of.err_min_arcsec ?? 0].map((arcsec) => (times * arcsec) / 3600);
    overlay.add(A.ellipse(of.ra, of.dec, major, minor, of.err_pa_deg, look));
  };
  for (const times of [1, TIMES_95]) add(source, times, { color: XRAY, lineWidth: 2 });
  const colour = (o) => COLOURS[o.kind] ?? OTHER;
  for (const o of objects) add(o, 1, { color: colour(o), lineWidth: o.is_accepted ? 4 : 1.5 });
  const points = (color, listed, more) => {
    const layer = A.catalog({ color, sourceSize: 10, shape: "plus", readOnly: true, ...more });
    view.addCatalog(layer);
    layer.addSources(listed.map((o) => A.source(o.ra, o.dec, { text: o.text ?? "" })));
  };
  points(XRAY, [source]);
  for (const each of new Set(objects.map(colour))) points(each, objects.filter((o) => colour(o) === each));
  const written = { displayLabel: true, labelColumn: "text", labelColor: "#ffffff", labelFont: "16px sans-serif" };
  if (labels.length) points("transparent", labels, { ...written, sourceSize: 24 });
  place.dataset.drawn = String(objects.length);
}

show().catch((error) => {
  console.warn(error);
  place.hidden = true;
  document.querySelector("#field-failed").hidden = false;
});
