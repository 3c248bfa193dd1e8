/** `consume`, `queues` and `dead`, against a server of their own. */
import assert from "node:assert/strict";
import { watch } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { EXIT } from "./command.ts";
import { Folder, type Ended, type Started } from "./program.ts";

const CONFIG = `
http: { port: 0 }
drain: 0s
auth: { jwt: { hmac: 0123456789abcdef0123 }, api_keys: [{ id: me, key: 0123456789abcdef }] }
backbones: { disk: { type: embedded } }
namespaces:
  chat: { backbone: disk }
  jobs: { backbone: disk, consume: authenticated, queue: { max_attempts: 1 } }
  closed: { backbone: disk, queue: {} }
`;

const rows = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("the commands of queues", () => {
  const folder = new Folder();
  let server: Started;
  let env: Record<string, string> = {};
  before(async () => {
    folder.write("todoku.yaml", CONFIG);
    server = folder.start(["serve", "--port", "0"]);
    const [, url = ""] = /serving (\S+)/.exec(await server.printed(/serving \S+\n/)) ?? [];
    // What finds the server by todoku.yaml, whose port is not its own here.
    env = { TODOKU_HTTP_PORT: new URL(url).port };
  });
  after(async () => {
    server.child.kill("SIGTERM");
    await server.ended;
    folder[Symbol.dispose]();
  });

  const call = (...args: string[]): Promise<Ended> => folder.call(args, { env });
  const run = (...args: string[]): Promise<Ended> => folder.run(args, { env });

  test("consume prints jobs, which are done then, and ends at the limit", async () => {
    for (const data of ["1", '{"n":2}', "3"]) await call("publish", "jobs:print", data, "--tag", "k=v");
    const { code, out } = await run("consume", "jobs:print", "--limit", "2", "--json");
    assert.equal(code, EXIT.ok);
    assert.deepEqual(
      rows(out).map(({ queue, attempt, data, tags }) => ({ queue, attempt, data, tags })),
      [1, { n: 2 }].map((data) => ({ queue: "jobs:print", attempt: 1, data, tags: { k: "v" } })),
    );
    const [row] = rows((await call("queues", "jobs:print")).out);
    assert.equal(row?.["jobs"], 1);
  });

  test("jobs that come when the limit is reached are given back as if nobody had tried them", async () => {
    for (let i = 0; i < 40; i++) await call("publish", "jobs:limit", String(i));
    const limited = ["consume", "jobs:limit", "--concurrency", "8", "--limit", "9", "--json"];
    const ended = await Promise.all([run(...limited), run(...limited)]);
    assert.deepEqual(
      ended.map(({ code, out }) => [code, rows(out).length]),
      [
        [EXIT.ok, 9],
        [EXIT.ok, 9],
      ],
    );
    const [row] = rows((await call("queues", "jobs:limit")).out);
    const [group] = (row?.["groups"] ?? []) as Record<string, unknown>[];
    assert.deepEqual([row?.["jobs"], group?.["ready"], group?.["dead"]], [22, 22, 0]);
  });

  test("consume --exec runs a program per job, whose exit code decides", async () => {
    for (const data of ['"good"', '"bad"']) await call("publish", "jobs:exec", data);
    const command =
      'read -r job; echo "$TODOKU_QUEUE $TODOKU_ATTEMPT $job"; if [ "$job" = \'"bad"\' ]; then echo no such picture >&2; exit 3; fi';
    const { code, out } = await run("consume", "jobs:exec", "--group", "g", "--exec", command, "--limit", "2");
    assert.equal(code, EXIT.ok);
    assert.deepEqual(out.trim().split("\n"), ['jobs:exec 1 "good"', 'jobs:exec 1 "bad"']);
    const [letter, ...more] = rows((await call("dead", "list", "jobs:exec")).out);
    assert.equal(more.length, 0);
    assert.deepEqual([letter?.["group"], letter?.["reason"]], ["g", "exit 3: no such picture"]);
  });

  test("Ctrl-C lets the programs of the jobs in hand finish, a second one ends them with what they have started", async () => {
    for (const data of ["1", "2"]) await call("publish", "jobs:stop", data);
    // As in a terminal, where the signal goes to the whole group of processes.
    const interrupt = ({ child: { pid } }: Started): void => void process.kill(-(pid ?? 0), "SIGINT");
    const appears = async (name: string): Promise<void> => {
      const changes = watch(folder.path, { signal: AbortSignal.timeout(30_000) });
      for await (const { filename } of changes) if (filename === name) return;
    };
    const exec = (command: string): Started =>
      folder.start(["consume", "jobs:stop", "--exec", command], env, { detached: true });

    const patient = exec("echo begun; while [ ! -e finish ]; do sleep 0.02; done; echo finished");
    await patient.printed("begun");
    interrupt(patient);
    await patient.printed("waiting for 1 in hand", "error");
    folder.write("finish", "");
    const { code, out } = await patient.ended;
    assert.deepEqual([code, out], [EXIT.ok, "begun\nfinished\n"]);
    assert.equal(rows((await call("queues", "jobs:stop")).out)[0]?.["jobs"], 1);

    const hurried = exec("(trap 'touch ended' TERM; sleep 1000 & echo begun; wait) & wait");
    await hurried.printed("begun");
    interrupt(hurried);
    await hurried.printed("waiting for 1 in hand", "error");
    const ended = appears("ended");
    // A press that comes right after the first counts as the same.
    const again = setInterval(() => interrupt(hurried), 100);
    assert.equal((await hurried.ended).code, 130);
    clearInterval(again);
    await ended;
  });

  test("dead shows, replays and purges, one or all", async () => {
    for (const data of ["1", "2", "3"]) await call("publish", "jobs:dead", data);
    await run("consume", "jobs:dead", "--exec", "exit 1", "--limit", "3");
    const ids = rows((await call("dead", "list", "jobs:dead", "--limit", "2")).out).map(({ id }) => String(id));
    assert.equal(ids.length, 2);
    const [first = "", second = ""] = ids;
    assert.equal(rows((await call("dead", "list", "jobs:dead", "--after", second)).out).length, 1);
    const [shown] = rows((await call("dead", "show", "jobs:dead", first)).out);
    assert.deepEqual([shown?.["id"], shown?.["attempts"]], [first, 1]);
    assert.deepEqual(rows((await call("dead", "replay", "jobs:dead", first)).out), [
      { queue: "jobs:dead", replayed: 1 },
    ]);
    assert.deepEqual(rows((await call("dead", "purge", "jobs:dead", "--all")).out), [
      { queue: "jobs:dead", purged: 2 },
    ]);
    const { out } = await run("consume", "jobs:dead", "--limit", "1", "--json");
    assert.equal(rows(out)[0]?.["data"], 1);
  });

  test("queues pauses, resumes and forgets a group", async () => {
    await call("publish", "jobs:pause", "1");
    const [paused] = rows((await call("queues", "jobs:pause", "--pause")).out);
    assert.equal(paused?.["paused"], true);
    const [resumed] = rows((await call("queues", "jobs:pause", "--resume")).out);
    assert.equal(resumed?.["paused"], false);
    await run("consume", "jobs:pause", "--group", "old", "--limit", "1");
    const [forgotten] = rows((await call("queues", "jobs:pause", "--forget", "old")).out);
    assert.deepEqual(forgotten?.["groups"], []);
    const unknown = await call("queues", "jobs:pause", "--forget", "odl");
    assert.deepEqual(
      [unknown.code, unknown.error.trim()],
      [EXIT.failed, 'todoku: jobs:pause has no group "odl"; it has none'],
    );
  });

  test("what is called wrongly or refused says so", async () => {
    assert.equal((await call("dead", "eat", "jobs:a")).code, EXIT.usage);
    assert.equal((await call("dead", "purge", "jobs:a")).code, EXIT.usage);
    assert.equal((await call("queues")).code, EXIT.usage);
    assert.equal((await call("queues", "jobs:a", "--pause", "--resume")).code, EXIT.usage);
    const noQueue = await call("queues", "chat:1");
    assert.equal(noQueue.code, EXIT.failed);
    assert.match(noQueue.error, /chat:1 is no queue/);
    const refused = await run("consume", "closed:a");
    assert.equal(refused.code, EXIT.failed);
    assert.match(refused.error, /^todoku: closed:a: permission denied\.[^\n]*\n$/, "once");
  });
});
