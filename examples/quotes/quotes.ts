/** The real quotes: monthly prices of five companies, from the npm package vega-datasets. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Quote {
  readonly symbol: string;
  /** As in the file: `Jan 1 2000`. */
  readonly date: string;
  readonly price: number;
}

const FILE = new URL("../data/stocks.csv", import.meta.resolve("vega-datasets"));

/** The file's rows, in its order: symbol by symbol, each by date. */
export function readQuotes(file: string = fileURLToPath(FILE)): readonly Quote[] {
  const [header, ...rows] = readFileSync(file, "utf8").trim().split(/\r?\n/);
  if (header !== "symbol,date,price") throw new Error(`${file} begins with ${header}, not with symbol,date,price`);
  return rows.map((row, i) => {
    const [symbol = "", date = "", price = ""] = row.split(",");
    if (symbol === "" || Number.isNaN(Date.parse(date)) || price === "" || Number.isNaN(Number(price)))
      throw new Error(`${file}, line ${i + 2}: ${JSON.stringify(row)} is no symbol,date,price`);
    return { symbol, date, price: Number(price) };
  });
}

/** As they came into the world: all quotes of one day together, day by day. */
export function byDay(quotes: readonly Quote[]): readonly (readonly Quote[])[] {
  const days = Map.groupBy(quotes, ({ date }) => Date.parse(date));
  return [...days].sort(([a], [b]) => a - b).map(([, quotes]) => quotes);
}
