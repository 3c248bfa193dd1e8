/** What the SDK costs a page: from the text of a frame to the call of the application's handler. */
import path from "node:path";
import { bundleClient } from "../../scripts/bundle-client.ts";
import { CACHE } from "../built.ts";
import { ContenderProcess } from "../contender-process.ts";
import { versionOf } from "../package-version.ts";
import type { Contender, Scenario } from "../scenario.ts";

const BUNDLE = path.join(CACHE, "sdk");
const PROGRAM = path.join(import.meta.dirname, "..", "sdk", "sdk-program.ts");
const [TODOKU, PEER, FLOOR] = ["todoku", "centrifuge-js", "floor"] as const;
const LOADS = [1, 20];

export const sdk: Scenario = {
  name: "sdk",
  title: "The SDK in a page",
  about:
    "The same recorded frames, in the protocol that both speak, are given to each SDK through a WebSocket without a network: each frame in a task " +
    "of its own, as a browser does. Each is told to expect pings, as gateways tell it, and so watches for silence. todoku's is the published bundle. " +
    "Its handlers are awaited one after the other, as it promises; the floor only parses and calls. The figure is messages per second of processor " +
    "time; every handler call and its data are checked, which is part of it.",
  unit: "messages per CPU-second",
  better: "more",
  expectedSeconds: 9,
  cores: "each SDK alone on one core",
  contenders: [TODOKU, PEER, FLOOR].map(contenderOf),
  controls: [
    { title: "of centrifuge-js", contenders: [PEER] },
    { title: "of the floor", contenders: [FLOOR] },
  ],
  goals: LOADS.map((perFrame) => ({
    contender: TODOKU,
    load: nameOf(perFrame),
    control: "of centrifuge-js",
    bound: 1.5,
  })),
};

interface Outcome {
  readonly value: number;
  readonly missing: number;
  readonly wrong: number;
}

function contenderOf(name: string): Contender {
  return {
    name,
    ...(name === PEER && { versions: () => ({ centrifuge: versionOf("centrifuge") }) }),
    prepare: async () => {
      if (name === TODOKU) await bundleClient({ outDir: BUNDLE });
      return undefined;
    },
    measure: async () => {
      const measured = [];
      for (const perFrame of LOADS) {
        await using program = ContenderProcess.node(PROGRAM, [name, String(perFrame), path.join(BUNDLE, "index.js")]);
        const { value, missing, wrong } = JSON.parse(await program.says("measured")) as Outcome;
        const faults = [...(missing === 0 ? [] : [`${missing} missing`]), ...(wrong === 0 ? [] : [`${wrong} wrong`])];
        measured.push({ load: nameOf(perFrame), value, faults });
      }
      return measured;
    },
  };
}

function nameOf(perFrame: number): string {
  return perFrame === 1 ? "1 message in a frame" : `${perFrame} messages in a frame`;
}
