// The explorer: a caption whose phrases are buttons, a picture, and a grid of all heads. Runs in Jupyter (anywidget)
// and, with live.js, on a page without a kernel. Everything shown follows from the model's four choices.
const SVG = "http://www.w3.org/2000/svg";
const CIVIDIS = ["00224e", "1a386f", "434e6c", "61656f", "7d7c78", "9b9476", "bcae6c", "dec958", "fee838"]
  .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

function element(name, attributes, parent, text) {
  const made = name === "svg" || parent?.namespaceURI === SVG
    ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

// Half-precision numbers (IEEE 754 binary16, little-endian) in base 64.
function halves(text) {
  const view = new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  return Float32Array.from({ length: view.byteLength / 2 }, (_, place) => {
    const bits = view.getUint16(2 * place, true);
    const [sign, exponent, rest] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return rest ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + rest / 1024) * 2 ** (exponent - 15) : rest * 2 ** -24);
  });
}

function colour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const [low, part] = [Math.floor(at), at % 1];
  const high = CIVIDIS[Math.min(low + 1, CIVIDIS.length - 1)];
  return CIVIDIS[low].map((from, channel) => Math.round(from + part * (high[channel] - from)));
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 && share > 0 ? 1 : 0)} %`;
const sum = (values) => values.reduce((total, value) => total + value, 0);

function render({ model, el }) {
  const { layers, heads, examples } = model.get("data");
  const choice = () => Object.fromEntries(["example", "phrase", "layer", "head"].map((name) => [name, model.get(name)]));
  const choose = (choices) => {
    for (const [name, value] of Object.entries(choices)) model.set(name, value);
    model.save_changes();
  };

  el.classList.add("crosslook-explorer");
  const bar = element("div", { class: "bar" }, el);
  const back = element("button", { type: "button", "aria-label": "previous caption" }, bar, "‹");
  const place = element("span", { class: "place" }, bar);
  const on = element("button", { type: "button", "aria-label": "next caption" }, bar, "›");
  const caption = element("p", { class: "sentence" }, el);
  const sides = element("div", { class: "sides" }, el);
  const left = element("div", { class: "left" }, sides);
  const right = element("div", { class: "right" }, sides);
  const said = element("p", { class: "said", "aria-live": "polite" }, el);
  const turn = (step) => choose({ example: (choice().example + step + examples.length) % examples.length, phrase: 0 });
  back.addEventListener("click", () => turn(-1));
  on.addEventListener("click", () => turn(1));

  // The grid: one stop for Tab, arrows inside it, as in a table of a spreadsheet.
  const table = element("table", { class: "heads" }, right);
  const title = element("caption", {}, table);
  const top = element("tr", {}, element("thead", {}, table));
  element("td", {}, top);
  for (let head = 0; head < heads; head++) {
    element("th", { scope: "col", "aria-label": `head ${head + 1}` }, top, String(head + 1));
  }
  const body = element("tbody", {}, table);
  const cells = Array.from({ length: layers }, (_, layer) => {
    const row = element("tr", {}, body);
    element("th", { scope: "row", "aria-label": `layer ${layer + 1}` }, row, String(layer + 1));
    return Array.from({ length: heads }, (_, head) => {
      const cell = element("button", { type: "button" }, element("td", {}, row));
      cell.addEventListener("click", () => choose({ layer, head }));
      cell.addEventListener("keydown", (event) => {
        const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation(); // a notebook would go to the next cell
        const to = { layer: layer + step[0], head: head + step[1] };
        if (!cells[to.layer]?.[to.head]) return;
        choose(to);
        cells[to.layer][to.head].focus();
      });
      return cell;
    });
  });
  element("p", { class: "axes" }, right, "rows: layers, columns: heads");
  const scale = element("div", { class: "scale" }, right);
  const ramp = CIVIDIS.map((channels) => `rgb(${channels})`).join(", ");
  element("span", {}, scale, "0 %");
  element("span", { class: "ramp", style: `background: linear-gradient(to right, ${ramp})` }, scale);
  const most = element("span", {}, scale);
  const strongest = element("button", { type: "button", class: "strongest" }, right, "choose the strongest head");

  const decoded = new Map();
  let shown = -1;
  let buttons = [];
  let layer2d;

  // What the heads give from the chosen phrase: to every region, and to its own together (NaN where it has none).
  function look() {
    const { example, phrase } = choice();
    const { weights, boxes, phrases } = examples[example];
    if (!decoded.has(example)) decoded.set(example, halves(weights));
    const regions = boxes.length;
    const of = (layer, head) => {
      const start = ((phrase * layers + layer) * heads + head) * regions;
      return decoded.get(example).subarray(start, start + regions);
    };
    const { linked } = phrases[phrase];
    const mass = (layer, head) => linked.length ? sum(linked.map((region) => of(layer, head)[region])) : NaN;
    return { of, mass, linked };
  }

  // Caption, phrases and picture of another example.
  function turnTo(example) {
    const { caption: text, phrases, picture, size } = examples[example];
    const letters = [...text]; // places are counted in characters, not in the halves of which some consist here
    place.textContent = `caption ${example + 1} of ${examples.length}`;
    caption.replaceChildren();
    let at = 0;
    buttons = phrases.map(({ start, end }, phrase) => {
      caption.append(letters.slice(at, start).join(""));
      at = end;
      const made = element("button", { type: "button", class: "phrase" }, caption, letters.slice(start, end).join(""));
      made.addEventListener("click", () => choose({ phrase }));
      return made;
    });
    caption.append(letters.slice(at).join(""));
    left.replaceChildren();
    const drawing = element("svg", { viewBox: `0 0 ${size[0]} ${size[1]}`, role: "img" }, left);
    element("image", { href: picture, width: size[0], height: size[1] }, drawing);
    element("rect", { class: "veil", width: size[0], height: size[1] }, drawing);
    layer2d = element("g", {}, drawing);
    shown = example;
  }

  function shade({ of, linked }, layer, head) {
    const { boxes, names, size } = examples[shown];
    const weights = [...of(layer, head)];
    const unit = size[0] / 320;
    const largest = Math.max(...weights.filter((weight) => !Number.isNaN(weight)), 1e-6);
    const order = weights.map((_, region) => region).filter((region) => weights[region] >= 0)
      .sort((a, b) => weights[b] - weights[a]);
    const called = (region) => names?.[region] ?? `region ${region + 1}`;
    layer2d.replaceChildren();
    const frame = (region) => {
      const [x1, y1, x2, y2] = boxes[region];
      return { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    };
    for (const region of [...order].reverse()) {
      const strength = weights[region] / largest;
      const made = element("rect", { ...frame(region), class: "looked", "fill-opacity": 0.62 * strength }, layer2d);
      made.setAttribute("stroke-opacity", strength > 0.25 ? 0.9 : 0.15);
      made.setAttribute("stroke-width", unit);
      element("title", {}, made, `${called(region)}: ${percent(weights[region])}`);
    }
    for (const region of linked) {
      element("rect", { ...frame(region), class: "rim", "stroke-width": 3 * unit }, layer2d);
      const dots = `${2 * unit} ${2.5 * unit}`;
      element("rect", { ...frame(region), class: "own", "stroke-width": 1.7 * unit, "stroke-dasharray": dots }, layer2d);
    }
    const first = order.slice(0, 3).filter((region) => weights[region] > 0.5 * largest);
    for (const region of first) {
      const [x1, y1, , y2] = boxes[region];
      const y = y1 > 13 * unit ? y1 - 4 * unit : Math.min(y2 + 11 * unit, size[1] - 4 * unit);
      const text = `${called(region)} ${percent(weights[region])}`;
      const x = Math.max(2 * unit, Math.min(x1, size[0] - 6.2 * unit * text.length));
      element("text", { x, y, "font-size": 11 * unit, "stroke-width": 3 * unit }, layer2d, text);
    }
    const list = order.slice(0, 3).map((region) => `${called(region)} (${percent(weights[region])})`).join(", ");
    layer2d.parentNode.setAttribute("aria-label", list ? `The picture, shaded: most on ${list}` : "The picture");
    return list;
  }

  function draw() {
    const { example, phrase, layer, head } = choice();
    if (!examples[example]?.phrases[phrase]) return; // halfway through two changes
    if (shown !== example) turnTo(example);
    const seen = look();
    const words = `“${buttons[phrase].textContent}”`;
    const all = cells.flatMap((row, y) => row.map((_, x) => seen.mass(y, x)));
    const defined = all.filter((mass) => !Number.isNaN(mass));
    const largest = Math.max(...defined, 1e-6);
    buttons.forEach((button, number) => button.setAttribute("aria-pressed", String(number === phrase)));
    cells.forEach((row, y) => row.forEach((cell, x) => {
      const mass = seen.mass(y, x);
      const chosen = y === layer && x === head;
      const channels = Number.isNaN(mass) ? null : colour(mass / largest);
      cell.className = channels ? "" : "undefined";
      cell.style.background = channels ? `rgb(${channels})` : "";
      cell.style.color = channels && sum(channels) > 352 ? "#000" : "#fff";
      cell.textContent = channels && heads <= 8 ? String(Math.round(100 * mass)) : "";
      cell.tabIndex = chosen ? 0 : -1;
      cell.setAttribute("aria-pressed", String(chosen));
      cell.setAttribute("aria-label", `L${y + 1}H${x + 1}, ${channels ? percent(mass) : "undefined"}`);
      cell.title = `L${y + 1}H${x + 1}: ${channels ? percent(mass) : "undefined"}`;
    }));
    title.textContent = `Attention from ${words} to its own regions, in %`;
    most.textContent = defined.length ? percent(largest) : "";
    scale.hidden = strongest.hidden = !defined.length;
    const list = shade(seen, layer, head);

    const given = sum([...seen.of(layer, head)]);
    const even = (given * seen.linked.length) / examples[example].boxes.length;
    const own = seen.linked.length === 1 ? "its region" : `its ${seen.linked.length} regions`;
    const mass = seen.mass(layer, head);
    const verdict = !seen.linked.length ? `${words} has no region in this picture.`
      : Number.isNaN(mass) ? `what it gives from ${words} is not defined.`
      : `of its attention from ${words}, ${percent(mass)} goes to ${own} (dotted); ${percent(even)} if it saw all regions alike.`;
    said.textContent = `L${layer + 1}H${head + 1}: ${verdict}${list ? ` Most on ${list}.` : ""}`;
  }

  strongest.addEventListener("click", () => {
    const { mass } = look();
    const order = cells.flatMap((row, layer) => row.map((_, head) => ({ layer, head, mass: mass(layer, head) })));
    const { layer, head } = order.filter((each) => each.mass >= 0).sort((a, b) => b.mass - a.mass)[0];
    choose({ layer, head });
  });

  // Two choices that change together are drawn once.
  let due = false;
  for (const name of ["example", "phrase", "layer", "head"]) {
    model.on(`change:${name}`, () => {
      if (due) return;
      due = true;
      queueMicrotask(() => { due = false; draw(); });
    });
  }
  draw();
}

export default { render };
