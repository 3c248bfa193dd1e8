/** A line chart in SVG: several series over time, on a logarithmic scale, drawn anew at most once per frame. */

export interface Point {
  /** As it was sent. */
  readonly date: string;
  /** ms since 1970. */
  readonly at: number;
  readonly price: number;
}

export type Series = ReadonlyMap<string, readonly Point[]>;

const MARGIN = { top: 12, right: 56, bottom: 24, left: 40 };
const YEAR_MS = 365.25 * 86_400_000;
const TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/** Least distance between two names at the right edge. */
const NAME_PX = 14;

export class Chart {
  readonly #svg: SVGSVGElement;
  readonly #series: Series;
  readonly #onPointed: (at: number | undefined) => void;
  #scheduled = false;
  #pointed: number | undefined;

  /** `onPointed` is told at which moment (ms since 1970) the pointer stands, and undefined when it leaves. */
  constructor(svg: SVGSVGElement, series: Series, onPointed: (at: number | undefined) => void) {
    this.#svg = svg;
    this.#series = series;
    this.#onPointed = onPointed;
    new ResizeObserver(() => this.draw()).observe(svg);
    svg.addEventListener("pointermove", ({ clientX }) => this.#point(clientX - svg.getBoundingClientRect().left));
    svg.addEventListener("pointerleave", () => this.#point(undefined));
  }

  /** The moment that the pointer stands at. */
  get pointed(): number | undefined {
    return this.#pointed;
  }

  draw(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#svg.replaceChildren(...this.#content());
    });
  }

  #content(): SVGElement[] {
    const scale = this.#scale();
    if (!scale) return [];
    const { x, y, from, to, low, high, width, height } = scale;
    const content: SVGElement[] = [];
    for (const price of TICKS.filter((tick) => tick >= low && tick <= high)) {
      content.push(line("grid", MARGIN.left, y(price), width - MARGIN.right, y(price)));
      content.push(text(String(price), MARGIN.left - 8, y(price) + 4, "end"));
    }
    const everyYears = Math.ceil((to - from) / YEAR_MS / Math.max(1, (width - MARGIN.left) / 70));
    for (let year = new Date(from).getFullYear(); year <= new Date(to).getFullYear(); year += everyYears) {
      const at = Math.max(from, new Date(year, 0, 1).getTime());
      content.push(text(String(year), x(at), height - 6, "start"));
    }
    if (this.#pointed !== undefined) {
      content.push(line("cursor", x(this.#pointed), MARGIN.top, x(this.#pointed), height - MARGIN.bottom));
    }
    return [...content, ...this.#lines(x, y), ...this.#names(x, y)];
  }

  #lines(x: (at: number) => number, y: (price: number) => number): SVGElement[] {
    return [...this.#series].map(([symbol, points], i) => {
      const d = points.map(({ at, price }, k) => `${k === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(price).toFixed(1)}`);
      return element("path", { d: d.join(""), "data-series": String(i), "data-symbol": symbol });
    });
  }

  /** Each line's name stands at its end, moved a little where two would touch. */
  #names(x: (at: number) => number, y: (price: number) => number): SVGElement[] {
    const ends = [...this.#series].flatMap(([symbol, points], i) => {
      const last = points.at(-1);
      return last ? [{ symbol, series: String(i), x: x(last.at), y: y(last.price), at: y(last.price) }] : [];
    });
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((end, i) => (end.at = Math.max(end.y, (ends[i - 1]?.at ?? 0) + NAME_PX)));
    return ends.flatMap(({ symbol, series, x: endX, y: endY, at }) => {
      const name = text(symbol, endX + 8, at + 4, "start");
      name.setAttribute("class", "name");
      name.dataset["series"] = series;
      return [element("circle", { cx: String(endX), cy: String(endY), r: "3.5", "data-series": series }), name];
    });
  }

  #point(offsetX: number | undefined): void {
    const scale = this.#scale();
    this.#pointed = offsetX === undefined || !scale ? undefined : scale.moment(offsetX);
    this.#onPointed(this.#pointed);
    this.draw();
  }

  #scale(): Scale | undefined {
    const points = [...this.#series.values()].flat();
    if (points.length === 0) return undefined;
    const { clientWidth: width, clientHeight: height } = this.#svg;
    const prices = points.map(({ price }) => price);
    const low = Math.min(...prices) * 0.9;
    const high = Math.max(...prices) * 1.1;
    const from = Math.min(...points.map(({ at }) => at));
    const to = Math.max(from + YEAR_MS, ...points.map(({ at }) => at));
    const across = width - MARGIN.left - MARGIN.right;
    const down = height - MARGIN.top - MARGIN.bottom;
    return {
      width,
      height,
      from,
      to,
      low,
      high,
      x: (at) => MARGIN.left + ((at - from) / (to - from)) * across,
      y: (price) => MARGIN.top + (Math.log(high / price) / Math.log(high / low)) * down,
      moment: (offset) => Math.min(to, Math.max(from, from + ((offset - MARGIN.left) / across) * (to - from))),
    };
  }
}

interface Scale {
  readonly width: number;
  readonly height: number;
  readonly from: number;
  readonly to: number;
  readonly low: number;
  readonly high: number;
  readonly x: (at: number) => number;
  readonly y: (price: number) => number;
  readonly moment: (offset: number) => number;
}

function element<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>>,
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): SVGElement {
  return element("line", { class: kind, x1: String(x1), y1: String(y1), x2: String(x2), y2: String(y2) });
}

function text(words: string, x: number, y: number, anchor: "start" | "end"): SVGTextElement {
  const made = element("text", { x: String(x), y: String(y), "text-anchor": anchor });
  made.textContent = words;
  return made;
}
