import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { EmbeddedBackbone } from "../backbones/embedded/embedded.ts";
import { systemClock } from "../clock.ts";
import { EXIT } from "./command.ts";
import { Folder } from "./program.ts";

const CONFIG = `
auth: { insecure: true }
backbones: { disk: { type: embedded, path: data }, other: { type: embedded, path: other }, ram: { type: memory } }
namespaces: { chat: { backbone: disk, delivery: at-least-once } }
`;

/** The log in a folder of the test, opened. */
async function opened(folder: Folder, name: string): Promise<EmbeddedBackbone> {
  const backbone = new EmbeddedBackbone(name, { path: path.join(folder.path, name) }, systemClock);
  await backbone.open();
  return backbone;
}

/** Makes a log with so many messages on `chat:1`; resolves with its epoch. */
async function written(folder: Folder, name: string, count: number): Promise<string> {
  const backbone = await opened(folder, name);
  for (let i = 1; i <= count; i++)
    await backbone.log.append("chat:1", { id: `${i}`, time: i, data: `${i}` }, { retention: {} });
  const [head] = await backbone.log.heads(["chat:1"]);
  await backbone.close();
  return head?.epoch ?? "";
}

async function headIn(folder: Folder, name: string) {
  const backbone = await opened(folder, name);
  const [head] = await backbone.log.heads(["chat:1"]);
  await backbone.close();
  return head;
}

describe("todoku restored", () => {
  test("begins an epoch in every embedded log, and says so", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", CONFIG);
    const before = [await written(folder, "data", 3), await written(folder, "other", 0)];
    const { code, out, error } = await folder.call(["restored"]);
    assert.equal(code, EXIT.ok, error);
    const [data, other] = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { epoch: string });
    const [disk, unwritten] = before;
    assert.deepEqual(data, { backbone: "disk", path: "data", epoch: data?.epoch, forks_from: disk, channels: 1 });
    assert.deepEqual(other, {
      backbone: "other",
      path: "other",
      epoch: other?.epoch,
      forks_from: unwritten,
      channels: 0,
    });
    assert.notEqual(data?.epoch, disk);
    const head = { epoch: data?.epoch, forks: [{ epoch: disk, offset: 3 }], offset: 3, trimmed: 0 };
    assert.deepEqual(await headIn(folder, "data"), head);
  });

  test("only in those that are named", async () => {
    using folder = new Folder();
    const file = folder.write("production.yaml", CONFIG);
    const epoch = await written(folder, "data", 1);
    await written(folder, "other", 1);
    const { code, out } = await folder.call(["restored", "other", "--config", file]);
    assert.equal(code, EXIT.ok);
    assert.match(out, /^\{"backbone":"other".*\}\n$/);
    assert.equal((await headIn(folder, "data"))?.epoch, epoch);
  });

  test("refuses while a server has the folder, and changes nothing", async () => {
    using folder = new Folder();
    folder.write("todoku.yaml", `${CONFIG}http: { port: 0 }\n`);
    const epoch = await written(folder, "data", 1);
    await written(folder, "other", 1);
    const server = folder.start(["serve"]);
    await server.printed(/serving \S+\n/);
    const { code, error } = await folder.call(["restored", "disk"]);
    server.child.kill("SIGTERM");
    await server.ended;
    assert.equal(code, EXIT.failed);
    assert.match(error, /\[disk\] the data folder \S+data is in use by another process\. Stop that one/);
    assert.equal((await headIn(folder, "data"))?.epoch, epoch);
  });

  test("says what is missing: a file, a log, a backbone of this type or of this name", async () => {
    using folder = new Folder();
    const failed = async (...args: string[]) => {
      const { code, error } = await folder.call(["restored", ...args]);
      return [code, error] as const;
    };
    const [codeWithoutFile, withoutFile] = await failed();
    assert.equal(codeWithoutFile, EXIT.failed);
    assert.match(withoutFile, /there is no todoku\.yaml in this folder\. Name one with --config, or take --dev/);
    const [codeWithoutLog, withoutLog] = await failed("--dev");
    assert.equal(codeWithoutLog, EXIT.failed);
    assert.match(
      withoutLog,
      /\[local\] there is no log in \S+todoku-data: log\.mdb is missing\. Bring the folder back first/,
    );
    assert.ok(!existsSync(path.join(folder.path, "todoku-data")), "nothing is made");
    const file = folder.write("ram.yaml", "auth: { insecure: true }\nbackbones: { ram: { type: memory } }\n");
    assert.match((await failed("--config", file))[1], /the configuration has no backbone of type embedded/);
    folder.write("todoku.yaml", CONFIG);
    const [codeOfRam, ofRam] = await failed("ram");
    assert.equal(codeOfRam, EXIT.usage);
    assert.match(ofRam, /"ram" is no backbone of type embedded; there is disk, other/);
    assert.equal((await failed("--dev", "--config", file))[0], EXIT.usage);
    const epoch = await written(folder, "data", 1);
    assert.match((await failed())[1], /\[other\] there is no log in/);
    assert.equal((await headIn(folder, "data"))?.epoch, epoch, "what was there is left as it was");
  });
});
