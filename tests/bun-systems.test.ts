/** Whole systems whose servers run on Bun: what they promise, while they are killed, drained and read slowly. */
import { describe } from "node:test";
import { testOnBun, withoutBun } from "./bun-suite.ts";

describe("on Bun", { skip: withoutBun }, () => {
  testOnBun({
    "the guarantees": ["./tests/guarantees.test.ts"],
    "the base protocol's own client": ["./tests/centrifuge.test.ts"],
    "slow readers": ["./tests/slow-reader.test.ts"],
    "several workers": ["./tests/workers.test.ts"],
    drains: ["./tests/drain.test.ts"],
    kills: ["./tests/kill.test.ts", "--test-name-pattern", "kills lose nothing"],
  });
});
