/** Colours for a terminal. */
import { styleText } from "node:util";

type Style = (text: string) => string;

export interface Paint {
  readonly bold: Style;
  readonly dim: Style;
  readonly red: Style;
  readonly yellow: Style;
  readonly green: Style;
  readonly cyan: Style;
}

/** Without colour every style leaves the text as it is. */
export function paint(color: boolean): Paint {
  const style = (name: Parameters<typeof styleText>[0]): Style =>
    color ? (text) => styleText(name, text, { validateStream: false }) : (text) => text;
  return {
    bold: style("bold"),
    dim: style("dim"),
    red: style("red"),
    yellow: style("yellow"),
    green: style("green"),
    cyan: style("cyan"),
  };
}
