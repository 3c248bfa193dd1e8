/** Frames as text, for the buses that carry text. */
import type { Frame } from "./contract.ts";

/** No JSON text begins like this: what does not is no frame of ours but a plain message of somebody else. */
const MARK = "todoku1";

export function encodeFrame(frame: Frame): string {
  return MARK + JSON.stringify(frame);
}

/** Reads what came over a bus: a frame of ours, the JSON text of another program, or neither. */
export function decodeFrame(text: string): Frame {
  try {
    if (text.startsWith(MARK)) {
      const frame: unknown = JSON.parse(text.slice(MARK.length));
      return isFrame(frame) ? frame : { kind: "malformed" };
    }
    JSON.parse(text);
    return { kind: "foreign", data: text };
  } catch {
    return { kind: "malformed" };
  }
}

/** Whoever may publish on the broker may write our mark: what follows it must have the shape that listeners rely on. */
function isFrame(value: unknown): value is Frame {
  if (!isObject(value)) return false;
  if (value["kind"] === "signal") return typeof value["signal"] === "string";
  const { kind, message, position, prev } = value;
  return (
    kind === "message" &&
    isObject(message) &&
    typeof message["id"] === "string" &&
    typeof message["time"] === "number" &&
    typeof message["data"] === "string" &&
    (position === undefined ||
      (isObject(position) && typeof position["epoch"] === "string" && Number.isSafeInteger(position["offset"]))) &&
    (prev === undefined || Number.isSafeInteger(prev))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
