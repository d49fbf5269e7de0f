/* Plays what book/recording.py has recorded: <tp-player data-widget="ring_stepper" src="../_static/widgets/"></tp-player>.

   A recording is a script that calls tpBundle, so that a page opened from a folder can read it too. What its tables
   hold is said in book/tables.py; a state is looked up and drawn, and nothing is computed here. */

"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const PIXELS = 96 / 72; // a point
  const recordings = new Map(); // address → {promise, resolve}
  let players = 0;

  window.tpBundle = async (address, text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    recordings.get(address)?.resolve(unpacked(await new Response(stream).json()));
  };

  /* The rows of a table that is stored by columns: a number is its difference from the one above. */
  function rows([lengths, ...columns]) {
    const above = columns.map(() => 0);
    const read = columns.map(() => 0);
    return lengths.map((length) => Array.from({ length }, (_, k) => (above[k] += columns[k][read[k]++])));
  }

  function unpacked({ controls, split, words, paths, styles, looks, ...tables }) {
    if (!tables.states) return { controls, split };
    const { sentences, boxes, texts, traces, parts, states } = Object.fromEntries(
      Object.entries(tables).map(([name, table]) => [name, rows(table)]));
    const say = (places) => places.map((place) => words[place]).join(" ");
    const points = (tenths) => tenths.map((number) => number / 10);
    const marks = [
      ...boxes.map(([z, style, ...box]) => ({ z, style: styles[style], box: points(box) })),
      ...texts.map(([z, look, x, y, ...text]) => ({ z, look: looks[look], at: points([x, y]), text: say(text) })),
      ...traces.map(([z, style, form, ...numbers]) => {
        const next = points(numbers).values();
        return { z, style: styles[style], path: paths[form].replaceAll("#", () => next.next().value) };
      }),
      ...parts,
    ];
    return { controls, split, marks, states, sentences: sentences.map(say) };
  }

  function recording(folder, name) {
    if (!recordings.has(name)) {
      const known = {};
      known.promise = new Promise((resolve, reject) => {
        known.resolve = resolve;
        const script = document.createElement("script");
        script.charset = "utf-8";
        script.src = `${folder}${name}.js`;
        script.onerror = () => {
          recordings.delete(name); // the next move tries again
          reject(new Error(`${script.src} cannot be read`));
        };
        script.onload = () => script.remove();
        document.head.append(script);
      });
      recordings.set(name, known);
    }
    return recordings.get(name).promise;
  }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function shape(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  class Player extends HTMLElement {
    async connectedCallback() {
      if (this.controls) return;
      this.id ||= `tp-player-${++players}`;
      this.controls = element("div", { class: "tp-controls" });
      this.image = shape("svg", { role: "img" });
      this.scroller = element("div", { class: "tp-picture" }, this.image);
      this.words = element("p", { class: "tp-words", role: "status" });
      new ResizeObserver(() => this.letScroll()).observe(this.scroller);
      this.setAttribute("role", "group");
      this.setAttribute("aria-label", `Widget: ${this.dataset.widget.replaceAll("_", " ")}`);
      try {
        this.head = await recording(this.getAttribute("src"), this.dataset.widget);
        this.at = this.head.controls.map((control) => control.start);
        this.controls.append(...this.head.controls.map((control, place) => this[control.kind](control, place)));
        await this.show();
      } catch (error) {
        this.fail(error);
      }
      this.replaceChildren(this.controls, this.scroller, this.words);
    }

    /* ── Controls ── */

    slider({ label, options, start }, place) {
      const id = `${this.id}-${place}`;
      const end = options.length - 1;
      const input = element("input", { type: "range", id, min: 0, max: end, step: 1, value: start });
      const value = element("span", { class: "tp-value", "aria-hidden": "true" });
      input.place = place;
      input.say = () => {
        value.textContent = options[input.value];
        input.setAttribute("aria-valuetext", options[input.value]);
      };
      value.style.minWidth = `${Math.max(...options.map((option) => option.length))}ch`;
      input.addEventListener("input", () => this.move(place, input.valueAsNumber));
      input.say();
      return element("div", { class: "tp-slider" }, element("label", { for: id }, label), input, value);
    }

    choice({ label, options, start }, place) {
      const buttons = options.map((option, at) => {
        const input = element("input", { type: "radio", name: `${this.id}-${place}`, value: at });
        input.checked = at === start;
        input.addEventListener("input", () => this.move(place, at));
        return element("label", {}, input, option);
      });
      const row = element("div", { class: "tp-buttons" }, ...buttons);
      return element("fieldset", { class: "tp-choice" }, element("legend", {}, label), row);
    }

    select({ label, options, start }, place) {
      const id = `${this.id}-${place}`;
      const input = element("select", { id }, ...options.map((option) => element("option", {}, option)));
      input.selectedIndex = start;
      input.addEventListener("input", () => this.move(place, input.selectedIndex));
      return element("div", { class: "tp-select" }, element("label", { for: id }, label), input);
    }

    move(place, at) {
      this.at[place] = at;
      this.show().catch((error) => this.fail(error));
    }

    /* ── The state that the controls choose ── */

    async show() {
      const turn = (this.turn = (this.turn ?? 0) + 1);
      const { split } = this.head;
      const name = [this.dataset.widget, ...this.at.slice(0, split)].join("-");
      this.setAttribute("aria-busy", "true");
      const file = split ? await recording(this.getAttribute("src"), name) : this.head;
      if (turn !== this.turn) return; // moved on while the file came
      this.endSliders(file.states);
      const state = file.states[this.placeOf(this.at)];
      const sentence = file.sentences[state[0]];
      this.classList.toggle("tp-refused", state.length === 1);
      if (state.length === 1) {
        this.image.setAttribute("aria-hidden", "true");
      } else {
        this.image.removeAttribute("aria-hidden");
        this.image.setAttribute("aria-label", sentence);
        this.draw(file, state);
      }
      this.words.textContent = sentence;
      this.removeAttribute("aria-busy");
    }

    placeOf(positions) {
      const { controls, split } = this.head;
      return controls.slice(split).reduce((place, { options }, k) => place * options.length + positions[split + k], 0);
    }

    /* A slider ends at the last position that exists beside the controls before it. */
    endSliders(states) {
      for (const input of this.controls.querySelectorAll("input[type=range]")) {
        const { place } = input;
        if (place >= this.head.split) {
          const tried = this.at.map((at, k) => (k > place ? 0 : at));
          tried[place] = this.head.controls[place].options.length - 1;
          while (tried[place] > 0 && !states[this.placeOf(tried)].length) tried[place]--;
          input.max = tried[place];
          this.at[place] = Math.min(this.at[place], tried[place]);
        }
        input.value = this.at[place];
        input.say();
      }
    }

    fail(error) {
      this.removeAttribute("aria-busy");
      this.words.textContent = `This picture cannot be shown: ${error.message}. In the notebook the widget works.`;
    }

    /* ── The drawing ── */

    draw({ marks }, [, width, height, ...places]) {
      const found = [];
      const collect = (place) => {
        const mark = marks[place];
        if (Array.isArray(mark)) mark.forEach(collect);
        else found.push(mark);
      };
      places.forEach(collect);
      found.sort((one, other) => one.z - other.z); // keeps the order of equals
      const hatches = new Map();
      const shapes = found.flatMap((mark) => (mark.look ? this.text(mark) : this.filled(mark, hatches)));
      const patterns = [...hatches.values()].map(({ pattern }) => pattern);
      this.image.setAttribute("viewBox", [0, -height / 10, width / 10, height / 10].join(" "));
      this.image.style.setProperty("--width", `${(width / 10) * PIXELS}px`);
      this.image.replaceChildren(...patterns, ...shapes);
      this.letScroll();
    }

    filled({ box, path, style: [fill, stroke, width, dashes, hatch] }, hatches) {
      const name = box ? "rect" : "path";
      const outline = box ? { x: box[0], y: box[1], width: box[2], height: box[3], rx: box[4] } : { d: path };
      const dashed = dashes.length ? { "stroke-dasharray": dashes.join(" ") } : {};
      const made = [];
      if (fill !== "none" || stroke !== "none") {
        made.push(shape(name, { ...outline, fill, stroke, "stroke-width": width, ...dashed }));
      }
      if (hatch) made.push(shape(name, { ...outline, fill: `url(#${this.pattern(hatch, hatches)})` }));
      return made;
    }

    pattern(hatch, hatches) {
      const key = hatch.join();
      if (!hatches.has(key)) {
        const [width, height, d, colour, line] = hatch;
        const id = `${this.id}-hatch-${hatches.size}`;
        const pattern = shape("pattern", { id, width, height, patternUnits: "userSpaceOnUse" });
        const ink = line ? { fill: "none", stroke: colour, "stroke-width": line } : { fill: colour };
        pattern.append(shape("path", { d, ...ink }));
        hatches.set(key, { id, pattern });
      }
      return hatches.get(key).id;
    }

    text({ look: [size, fill, bold, mono, side, plate], at: [x, y], text }) {
      const anchor = { left: "start", center: "middle", right: "end" }[side];
      const classes = [mono && "tp-mono", bold && "tp-bold", plate && "tp-plate"].filter(Boolean).join(" ");
      const rest = classes ? { class: classes } : {};
      return shape("text", { x, y, fill, "font-size": size, "text-anchor": anchor, ...rest }, text);
    }

    /* A picture wider than its place is reached by keyboard too. */
    letScroll() {
      const scrolls = this.scroller.scrollWidth > this.scroller.clientWidth;
      const attributes = { tabindex: "0", role: "group", "aria-label": "The picture, which scrolls sideways" };
      for (const [name, value] of Object.entries(attributes)) {
        if (scrolls) this.scroller.setAttribute(name, value);
        else this.scroller.removeAttribute(name);
      }
    }
  }

  customElements.define("tp-player", Player);
})();
