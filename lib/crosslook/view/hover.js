// Fills every figure of its kind on the page that is still empty; runs in Jupyter and on a page without a kernel.
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function element(name, attributes, parent, text) {
    const made = name === "svg" || parent?.namespaceURI === SVG
      ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent?.append(made);
    return made;
  }

  function start(root) {
    const { captions, pictures } = JSON.parse(root.querySelector("script").textContent);
    let current = 0;
    const bar = element("div", { class: "bar" }, root);
    const back = element("button", { type: "button", "aria-label": "previous caption" }, bar, "‹");
    const place = element("span", { "aria-live": "polite" }, bar);
    const on = element("button", { type: "button", "aria-label": "next caption" }, bar, "›");
    const picture = element("div", {}, root);
    const caption = element("p", { class: "sentence" }, root);
    const said = element("p", { class: "said", "aria-live": "polite" }, root);
    const turn = (step) => { current = (current + step + captions.length) % captions.length; show(); };
    back.addEventListener("click", () => turn(-1));
    on.addEventListener("click", () => turn(1));

    function show() {
      const { image, text, phrases, boxes, names, size } = captions[current];
      place.textContent = `caption ${current + 1} of ${captions.length}`;
      picture.replaceChildren();
      caption.replaceChildren();
      const drawing = element("svg", { viewBox: `0 0 ${size[0]} ${size[1]}`, role: "img", "aria-label": text }, picture);
      element("image", { href: pictures[image], width: size[0], height: size[1] }, drawing);
      const layer = element("g", {}, drawing);
      const unit = size[0] / 320;

      function box(index, colour, dashes, width) {
        const [x1, y1, x2, y2] = boxes[index];
        const frame = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, "stroke-dasharray": dashes };
        element("rect", { ...frame, stroke: "#fff", "stroke-width": (width + 1.5) * unit, "stroke-dasharray": "" }, layer);
        element("rect", { ...frame, stroke: colour, "stroke-width": width * unit }, layer);
      }

      // Without a choice: what every phrase was linked with. With one: its links, their names, and where it belongs.
      function draw(chosen) {
        layer.replaceChildren();
        phrases.forEach((phrase, number) => {
          buttons[number].classList.toggle("lit", chosen.includes(number));
          if (chosen.length && !chosen.includes(number)) return;
          if (chosen.length) for (const index of phrase.gold) {
            box(index, "#1b1f24", `${1.5 * unit} ${2.5 * unit}`, 3.5);
          }
          for (const index of phrase.linked) {
            const right = phrase.gold.includes(index);
            box(index, phrase.colour, right ? "" : `${5 * unit} ${3 * unit}`, 2);
          }
          if (chosen.length) for (const index of phrase.linked) {
            const [x1, y1, , y2] = boxes[index];
            const y = y1 > 12 * unit ? y1 - 4 * unit : Math.min(y2 + 11 * unit, size[1] - 4 * unit);
            const font = { "font-size": 11 * unit, "stroke-width": 3 * unit };
            element("text", { x: Math.min(x1, size[0] * 0.7), y, ...font }, layer, names[index]);
          }
        });
        said.textContent = chosen.length ? chosen.map(sentence).join(" ") : "Point at a phrase, or choose it with Tab.";
      }

      function sentence(number) {
        const { start, end, linked, gold } = phrases[number];
        const found = [...new Set(linked.map((index) => names[index]))].map((name) => `“${name}”`).join(", ");
        const verdict = !gold.length ? "It has no box." : linked.some((index) => gold.includes(index)) ? "Right."
          : `It belongs to ${[...new Set(gold.map((index) => `“${names[index]}”`))].join(", ")}.`;
        return `“${text.slice(start, end)}” → ${found || "nothing"}. ${verdict}`;
      }

      // The smallest linked box under the pointer, and the phrases that were linked with it.
      function point({ clientX, clientY }) {
        const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(drawing.getScreenCTM().inverse());
        const area = (index) => (boxes[index][2] - boxes[index][0]) * (boxes[index][3] - boxes[index][1]);
        const under = [...new Set(phrases.flatMap(({ linked }) => linked))]
          .filter((index) => boxes[index][0] <= x && x <= boxes[index][2] && boxes[index][1] <= y && y <= boxes[index][3])
          .sort((a, b) => area(a) - area(b))[0];
        draw([...phrases.keys()].filter((number) => phrases[number].linked.includes(under)));
      }

      let at = 0;
      const buttons = phrases.map((phrase, number) => {
        caption.append(text.slice(at, phrase.start));
        at = phrase.end;
        const colours = { type: "button", class: "phrase", style: `--colour: ${phrase.colour}` };
        const made = element("button", colours, caption, text.slice(phrase.start, phrase.end));
        for (const event of ["mouseenter", "focus", "click"]) made.addEventListener(event, () => draw([number]));
        for (const event of ["mouseleave", "blur"]) made.addEventListener(event, () => draw([]));
        return made;
      });
      caption.append(text.slice(at));
      drawing.addEventListener("pointermove", point);
      drawing.addEventListener("pointerleave", () => draw([]));
      draw([]);
    }
    show();
  }

  for (const root of document.querySelectorAll(".crosslook-hover:not([data-started])")) {
    root.dataset.started = "yes";
    start(root);
  }
})();
