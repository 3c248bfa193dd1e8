/**
 * `npm run brokers` starts the real brokers that the tests use and prints their URLs; `npm run brokers -- NAME…` some of
 * them; `npm run brokers -- stop` ends them and removes what they wrote.
 */
import { bringUp, recipeOf, takeAllDown, takeDown } from "./brokers/running.ts";
import { RECIPES } from "./brokers/recipes.ts";

const [first, ...rest] = process.argv.slice(2);
process.exitCode = first === "stop" ? await stop(rest) : await start(first === undefined ? [] : [first, ...rest]);

async function start(names: readonly string[]): Promise<number> {
  const wanted = names.length > 0 ? names.map((given) => recipeOf(given).name) : RECIPES.map(({ name }) => name);
  let failed = 0;
  const bring = async (name: string): Promise<void> => {
    const begun = performance.now();
    try {
      const { urls } = await bringUp(name);
      console.log(`${name.padEnd(16)} ${urls.join(" ")}   (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed++;
      console.error(`${name.padEnd(16)} cannot be had: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  await Promise.all(wanted.map(bring));
  return failed === 0 ? 0 : 1;
}

async function stop(names: readonly string[]): Promise<number> {
  for (const name of names) await takeDown(recipeOf(name).name);
  const ended = names.length > 0 ? names : await takeAllDown();
  console.log(ended.length === 0 ? "no broker was running" : `ended ${ended.join(", ")}`);
  return 0;
}
