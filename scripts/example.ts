/** Starts an example: `npm run example NAME`. What follows the name is handed to it. */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

const EXAMPLES = path.join(import.meta.dirname, "..", "examples");
const [name = ""] = process.argv.splice(2, 1);
const names = readdirSync(EXAMPLES).filter((folder) => existsSync(path.join(EXAMPLES, folder, "start.ts")));
if (names.includes(name)) {
  await import(path.join(EXAMPLES, name, "start.ts"));
} else {
  console.error(`there is no example ${JSON.stringify(name)}; there are ${names.join(", ")}`);
  process.exitCode = 2;
}
