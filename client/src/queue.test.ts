/** Consumers, against a whole gateway under a clock that is moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayInProcess } from "../tests/gateway-in-process.ts";
import { consume, type Consumer, type Job } from "./queue.ts";
import type { TodokuError } from "./index.ts";

/** A promise that is settled from outside. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

/** The codes of the errors that a consumer tells of. */
function errorsOf(consumer: Consumer): number[] {
  const codes: number[] = [];
  consumer.on("error", (error: TodokuError) => codes.push(error.code));
  return codes;
}

test("K24, K25 jobs come to the handler, at most so many at once, and are done when it has finished", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const done: unknown[] = [];
  let running = 0;
  let most = 0;
  const worker = consume(client, "jobs:a", { concurrency: 3 }, async (job) => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => gateway.clock.after(100, resolve));
    running--;
    done.push(job.data);
  });
  await gateway.publish("jobs:a", ...Array.from({ length: 10 }, (_, i) => i));
  await gateway.passing(worker.ready);
  await gateway.until(() => done.length === 10);
  assert.equal(most, 3);
  await gateway.passing(worker.close());
  const other: unknown[] = [];
  consume(client, "jobs:a", {}, (job) => void other.push(job.data));
  await gateway.clock.advance(120_000);
  assert.deepEqual(other, [], "they do not come again");
});

test("K24 a lease is renewed as long as the handler runs", async () => {
  await using gateway = await GatewayInProcess.open();
  const attempts: number[] = [];
  const worker = consume(gateway.client(), "jobs:a", { leaseMs: 3000 }, async (job) => {
    attempts.push(job.attempt);
    await new Promise<void>((resolve) => gateway.clock.after(60_000, resolve));
    assert.equal(job.signal.aborted, false);
  });
  const errors = errorsOf(worker);
  await gateway.publish("jobs:a", 1);
  await gateway.until(() => attempts.length === 1);
  await gateway.clock.advance(61_000);
  await gateway.passing(worker.close());
  assert.deepEqual([attempts, errors], [[1], []]);
});

test("K25 a failed handler is told of, and the job comes again until it is given up", async () => {
  await using gateway = await GatewayInProcess.open();
  const attempts: number[] = [];
  const worker = consume(gateway.client(), "jobs:a", {}, (job) => {
    attempts.push(job.attempt);
    throw new Error("no such picture");
  });
  const errors = errorsOf(worker);
  await gateway.publish("jobs:a", 1);
  await gateway.until(() => attempts.length === 3);
  await gateway.clock.advance(60_000);
  assert.deepEqual(attempts, [1, 2, 3]);
  assert.deepEqual(errors, [453, 453, 453]);
});

test("K26 a lost connection: the handler goes on, and its outcome is told on the next", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client({ backoff: { firstMs: 200, lastMs: 1000 } });
  const attempts: number[] = [];
  const { opened, open } = gate();
  const worker = consume(client, "jobs:a", {}, async (job) => {
    attempts.push(job.attempt);
    if (job.data === 1) await opened;
  });
  await gateway.publish("jobs:a", 1);
  await gateway.until(() => attempts.length === 1);
  gateway.network.line.cut();
  open();
  await gateway.publish("jobs:a", 2);
  await gateway.until(() => attempts.length === 2);
  await gateway.clock.advance(60_000);
  assert.deepEqual(attempts, [1, 1], "each job once");
  await gateway.passing(worker.close());
});

test("K27 whoever stays away longer than the lease is told that it is lost, and cannot complete the job", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const { opened, open } = gate();
  const jobs: Job[] = [];
  const worker = consume(client, "jobs:a", { leaseMs: 4000 }, async (job) => {
    jobs.push(job);
    if (job.attempt === 1) await opened;
  });
  const errors = errorsOf(worker);
  await gateway.publish("jobs:a", 1);
  await gateway.until(() => jobs.length === 1);
  client.disconnect();
  await gateway.clock.advance(10_000);
  assert.equal(jobs[0]?.signal.aborted, true);
  assert.deepEqual(errors, [406]);
  open();
  await gateway.passing(client.connect());
  await gateway.until(() => jobs.length === 2);
  assert.equal(jobs[1]?.attempt, 2);
});

test("results are stored once with the end of the job, and not at all by a failed handler", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const worker = consume(client, "jobs:a", {}, (job) => {
    job.result("chat:results", { of: job.data, attempt: job.attempt });
    if (job.attempt === 1) throw new Error("only the second works");
  });
  const errors = errorsOf(worker);
  await gateway.publish("jobs:a", "x");
  await gateway.until(() => errors.length === 1);
  await gateway.clock.advance(5000);
  await gateway.passing(worker.close());
  const { messages } = await gateway.passing(client.history("chat:results"));
  assert.deepEqual(
    messages.map(({ data }) => data),
    [{ of: "x", attempt: 2 }],
  );
});

test("a refused result fails the job and is told", async () => {
  await using gateway = await GatewayInProcess.open();
  const attempts: number[] = [];
  const worker = consume(gateway.client(), "jobs:a", {}, (job) => {
    attempts.push(job.attempt);
    job.result("closed:1", 1);
  });
  const errors = errorsOf(worker);
  await gateway.publish("jobs:a", 1);
  await gateway.until(() => attempts.length === 3);
  assert.ok(errors.length >= 2 && errors.every((code) => code === 103), String(errors));
});

test("close waits for running handlers; with giveBack their jobs are given back at once", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const { opened, open } = gate();
  const attempts: string[] = [];
  const handler = async (job: Job): Promise<void> => {
    attempts.push(`${JSON.stringify(job.data)} ${job.attempt}`);
    await opened;
  };
  const first = consume(client, "jobs:a", {}, handler);
  await gateway.publish("jobs:a", 1);
  await gateway.until(() => attempts.length === 1);
  let closed = false;
  const closing = first.close().then(() => (closed = true));
  await gateway.clock.advance(1000);
  assert.equal(closed, false);
  await gateway.passing(first.close({ giveBack: true }));
  await closing;
  consume(client, "jobs:a", {}, handler);
  await gateway.until(() => attempts.length === 2);
  assert.deepEqual(attempts, ["1 1", "1 1"], "the attempt does not count");
  open();
});

test("a loop takes one job after the other; leaving it fails the job in hand", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const seen: string[] = [];
  await gateway.publish("jobs:a", 1, 2);
  const worker = consume(client, "jobs:a");
  const errors = errorsOf(worker);
  const loop = (async () => {
    for await (const job of worker) {
      seen.push(`${JSON.stringify(job.data)} ${job.attempt}`);
      if (seen.length === 2) break;
    }
  })();
  await gateway.passing(loop);
  await gateway.passing(worker.close());
  assert.deepEqual(errors, [453]);
  const other = consume(client, "jobs:a", {}, (job) => void seen.push(`${JSON.stringify(job.data)} ${job.attempt}`));
  await gateway.until(() => seen.length === 3);
  assert.deepEqual(seen, ["1 1", "2 1", "2 2"]);
  await gateway.passing(other.close());
});

test("a loop ends when the consumer is closed", async () => {
  await using gateway = await GatewayInProcess.open();
  const worker = consume(gateway.client(), "jobs:a");
  const loop = (async () => {
    for await (const job of worker) assert.fail(`no job was published, and ${job.id} came`);
  })();
  await gateway.passing(worker.ready);
  await gateway.passing(worker.close());
  await gateway.passing(loop);
});

test("a consumer that the server refuses says so", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const worker = consume(client, "chat:1", {}, () => {});
  worker.on("error", () => {});
  await assert.rejects(gateway.passing(worker.ready), { code: 108 });
  const first = consume(client, "jobs:a", {}, () => {});
  const second = consume(client, "jobs:a", {}, () => {});
  second.on("error", () => {});
  await gateway.passing(first.ready);
  await assert.rejects(gateway.passing(second.ready), { code: 105 });
});
