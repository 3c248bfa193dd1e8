/**
 * Worlds in which something once went wrong, each with its story. What a seed stands for changes with `scenario.ts` and
 * with how often anything throws the dice: after such a change undo the mend, look for a seed that notices, and pin that.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runSeed, tell } from "./run-seeds.ts";

const STORIES: readonly { readonly seed: number; readonly story: string }[] = [
  {
    seed: 47,
    story:
      "the log was wiped, the gateway told a durable subscriber of the new epoch and moved its cursor there, and the " +
      "connection was lost at that moment: nobody ever told the subscriber",
  },
  {
    seed: 268,
    story:
      "a handler failed after retention had passed over what came next: the gateway no longer counted the message as " +
      "under way, answered the failure and forgot it, and the message was never handled",
  },
  {
    seed: 28193,
    story:
      "the log was wiped, and a subscriber that had gone on in the new epoch shared a read that another had begun before: " +
      "it showed less than was there already, looked like a log set back, and what was handled came again",
  },
  {
    seed: 30079,
    story:
      "a handler failed after the log had been wiped, with the news of it waiting behind the message: the client forgot " +
      "the news with the rest of its queue and took messages of the new epoch for those of the old one",
  },
  {
    seed: 45192,
    story:
      "a handler failed, and the client took a gap that had been on its way before for the place to go on from: client and " +
      "gateway no longer stood at the same place, and the next failure was never answered by a repeat",
  },
  {
    seed: 303,
    story:
      "the log lost its cursors under a running gateway, and a subscriber's next acknowledgement was answered as if " +
      "another connection had taken it over",
  },
  {
    seed: 12,
    story: "an answer was lost on its way, and the repeated publish came twice where at-most-once was promised",
  },
  {
    seed: 7954,
    story:
      "a client got a message of a channel without a log, lost its connection, and got it again from a gateway whose bus " +
      "was a little behind",
  },
  { seed: 33, story: "the bus repeated a frame of a channel without a log, and subscribers got it twice" },
  {
    seed: 260,
    story: "a subscription that was made between the sending of connect and its answer was never asked for",
  },
  {
    seed: 368,
    story:
      "a handler failed after its connection had been replaced: the message counted as being handled still, was not " +
      "taken when it came again, and the next acknowledgement passed over it",
  },
  {
    seed: 380,
    story:
      "a subscription was closed while it waited for the one before it, and a third did not wait for either: it was " +
      "refused as already subscribed",
  },
];

for (const { seed, story } of STORIES) {
  test(`seed ${seed}: ${story}`, async () => {
    const { findings } = await runSeed({ seed });
    assert.equal(findings.length, 0, tell({ seed, findings }));
  });
}
