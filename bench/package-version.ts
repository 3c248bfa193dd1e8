/** Which version of a package is installed. */
import { readFileSync } from "node:fs";
import path from "node:path";

export function versionOf(name: string): string {
  const file = path.join(import.meta.dirname, "..", "node_modules", name, "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
