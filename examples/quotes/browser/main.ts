/** Draws the quotes as they arrive. Everything that was ever published is asked for, so a reload draws the same lines. */
import { Todoku } from "@todoku/client";
import { Chart, type Point } from "./chart.ts";

const SYMBOLS = ["MSFT", "AMZN", "IBM", "GOOG", "AAPL"] as const;
type Symbol = (typeof SYMBOLS)[number];
type Channels = { [S in Symbol as `quotes:${S}`]: { date: string; price: number } };

const series = new Map<Symbol, Point[]>(SYMBOLS.map((symbol) => [symbol, []]));
const chart = new Chart(find("chart", SVGSVGElement), series, showLegend);
const rows = new Map(SYMBOLS.map((symbol) => [symbol, document.createElement("li")]));
find("legend", HTMLElement).append(...rows.values());
[...rows.values()].forEach((row, i) => (row.dataset["series"] = String(i)));

const client = new Todoku<Channels>(location.origin, { name: "quotes" });
client.on("state", (state) => showConnection(state === "connected" ? "live" : "reconnecting …"));
client.on("error", ({ retry, message }) => {
  // What passes by itself is told by the state.
  if (retry !== "retry") showConnection(message);
});

for (const symbol of SYMBOLS) {
  const subscription = client.subscribe(`quotes:${symbol}`, ({ data }) => add(symbol, data), { start: "earliest" });
  subscription.on("gap", ({ from, to, reason }) => {
    const gaps = find("gaps", HTMLElement);
    gaps.hidden = false;
    gaps.append(`${symbol}: quotes ${from} to ${to} are missing (${reason}). `);
  });
}
showLegend(undefined);

function add(symbol: Symbol, { date, price }: { date: string; price: number }): void {
  series.get(symbol)?.push({ date, price, at: Date.parse(date) });
  const row = document.createElement("tr");
  row.append(...[symbol, date, String(price)].map(cell));
  find("numbers", HTMLElement).append(row);
  find("count", HTMLElement).textContent = String([...series.values()].flat().length);
  find("last", HTMLElement).textContent = monthOf(Date.parse(date));
  chart.draw();
  showLegend(chart.pointed);
}

function showConnection(words: string): void {
  const connection = find("connection", HTMLElement);
  connection.dataset["state"] = client.state;
  connection.textContent = words;
}

/** The prices at a moment, or the latest. */
function showLegend(at: number | undefined): void {
  for (const [symbol, row] of rows) {
    const points = series.get(symbol) ?? [];
    const point = at === undefined ? points.at(-1) : points.findLast((each) => each.at <= at);
    const name = document.createElement("b");
    name.textContent = symbol;
    row.replaceChildren(name, point ? ` ${point.price.toFixed(2)} · ${monthOf(point.at)}` : " –");
  }
}

function monthOf(at: number): string {
  return new Date(at).toLocaleDateString("en", { month: "short", year: "numeric" });
}

function cell(words: string): HTMLTableCellElement {
  const made = document.createElement("td");
  made.textContent = words;
  return made;
}

function find<E extends Element>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no #${id}`);
  return found;
}
