/** `npm run bench -- SCENARIO`: runs one scenario and prints its table, with the machine that it ran on. */
import { availableParallelism, cpus } from "node:os";
import { fanOut } from "./fan-out.ts";
import { idle } from "./idle.ts";
import { redis } from "./redis.ts";

const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = { "fan-out": fanOut, idle, redis };

const [name = ""] = process.argv.slice(2);
const scenario = SCENARIOS[name];
if (scenario) {
  const [cpu] = cpus();
  console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${process.platform}`);
  console.log(`${availableParallelism()} × ${cpu?.model.trim() ?? "unknown processor"}\n`);
  await scenario();
} else {
  console.error(`there is no scenario ${JSON.stringify(name)}; there are ${Object.keys(SCENARIOS).join(", ")}`);
  process.exitCode = 2;
}
