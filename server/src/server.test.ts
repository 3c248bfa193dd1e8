/** What stops a server from starting, and that it then lets go of everything; what a full log answers; TLS. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, readFile, rename, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { open as openLmdb } from "lmdb";
import { WebSocket } from "ws";
import { RunningApi, TEST_CONFIG, withFolder } from "./api/running-api.ts";
import { BackboneError } from "./backbones/contract.ts";
import type { ConfigInput } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { parseConfig } from "./config-file.ts";
import { startServer, WEBSOCKET_PATH } from "./server.ts";
import { CAN_CERTIFY, certify } from "./test-certificate.ts";

const onDisk = (folder: string, more: ConfigInput = {}): ConfigInput => ({
  ...TEST_CONFIG,
  backbones: { local: { type: "embedded", path: folder } },
  namespaces: { "": { backbone: "local", delivery: "at-least-once" } },
  ...more,
});

/** A folder with a log in it, closed properly. */
async function filled(folder: string): Promise<string> {
  const api = await RunningApi.start(onDisk(folder));
  for (let i = 0; i < 20; i++) await api.result("publish", { channel: "a", data: "x".repeat(1000) });
  await api.close();
  return path.join(folder, "log.mdb");
}

/** The message that stops the server. */
async function refusal(config: ConfigInput): Promise<string> {
  try {
    const server = await startServer(parseConfig(config));
    await server.close();
  } catch (error) {
    assert.ok(error instanceof Error);
    return error.message;
  }
  throw new assert.AssertionError({ message: "the server started" });
}

describe("a server does not start", () => {
  test("when its port is in use; it names the key, and gives its data folder back", () =>
    withFolder(async (folder) => {
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      const { port } = other.address() as { port: number };
      assert.equal(
        await refusal(onDisk(folder, { http: { port } })),
        `[http] port ${port} on 127.0.0.1 is in use by another process. Stop that process, or set http.port (0 takes a free one)`,
      );
      assert.equal(
        await refusal(onDisk(folder, { internal: { port } })),
        `[internal] port ${port} on 127.0.0.1 is in use by another process. Stop that process, or set internal.port (0 takes a free one)`,
      );
      other.close();
      await (await RunningApi.start(onDisk(folder))).close();
    }));

  test("on an address that this machine does not have", async () => {
    assert.match(
      await refusal({ ...TEST_CONFIG, http: { host: "203.0.113.1", port: 0 } }),
      /^\[http\] port 0 on 203\.0\.113\.1 cannot be listened on \(EADDRNOTAVAIL\)\. Set http\.host and http\.port$/,
    );
  });

  test("while another process has its data folder, however the folder is called; it may when that one was killed", () =>
    withFolder(async (folder) => {
      const script = `
        import { EmbeddedBackbone } from ${JSON.stringify(path.join(import.meta.dirname, "backbones/embedded/embedded.ts"))};
        import { systemClock } from ${JSON.stringify(path.join(import.meta.dirname, "clock.ts"))};
        await new EmbeddedBackbone("theirs", { path: ${JSON.stringify(folder)} }, systemClock).open();
        console.log("open");
        setInterval(() => {}, 1000);`;
      const child = spawn(process.execPath, ["--conditions=source", "--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(createInterface(child.stdout), "line");
      for (const name of [folder, `${folder}/.`, path.relative(process.cwd(), folder)]) {
        assert.equal(
          await refusal(onDisk(name)),
          `[local] the data folder ${name} is in use by another process. Stop that one, or set backbones.local.path to another folder`,
        );
      }
      child.kill("SIGKILL");
      await once(child, "exit");
      await (await RunningApi.start(onDisk(folder))).close();
    }));

  test("on a data folder that cannot be a folder, or may not be written", (t) =>
    withFolder(async (folder) => {
      const file = path.join(folder, "file");
      await writeFile(file, "");
      assert.match(
        await refusal(onDisk(path.join(file, "data"))),
        /^\[local\] the data folder .* cannot be used \(ENOTDIR.*\)\. Give this user the right to read and write it, or set backbones\.local\.path to another folder$/,
      );
      if (process.getuid?.() !== 0) return t.diagnostic("not root: a folder of another user was not tried");
      const own = path.join(folder, "own");
      await mkdir(own, { mode: 0o700 });
      const script = `
        process.setgroups([]); process.setgid(65534); process.setuid(65534);
        const { EmbeddedBackbone } = await import(${JSON.stringify(path.join(import.meta.dirname, "backbones/embedded/embedded.ts"))});
        const { systemClock } = await import(${JSON.stringify(path.join(import.meta.dirname, "clock.ts"))});
        await new EmbeddedBackbone("local", { path: ${JSON.stringify(own)} }, systemClock).open()
          .then(() => console.log("opened"), ({ name, reason, message }) => console.log(name, reason, message));`;
      const { stdout } = spawnSync(process.execPath, ["--conditions=source", "--input-type=module", "-e", script], {
        encoding: "utf8",
      });
      if (stdout === "")
        return t.diagnostic("another user cannot read this repository: a folder of root's was not tried");
      assert.match(stdout, /^BackboneError invalid \[local\] the data folder .* cannot be used \(EACCES/);
    }));

  const DAMAGES: readonly (readonly [string, (file: string) => Promise<void>, RegExp])[] = [
    ["cut short", (file) => truncate(file, 20_000), /has 20000 bytes and should have \d+ or more/],
    ["cut within its first page", (file) => truncate(file, 100), /does not begin like one/],
    ["overwritten at its beginning", (file) => overwrite(file, 0, 8192), /does not begin like one/],
    ["overwritten in its second page", (file) => overwrite(file, 4096, 4096), /does not begin like one/],
    ["random bytes", async (file) => writeFile(file, noise(100_000)), /does not begin like one/],
    ["some text", (file) => writeFile(file, "hello\n".repeat(5000)), /does not begin like one/],
    ["another LMDB file's", foreign, /cannot be read as a log|has format/],
  ];
  for (const [name, damage, reason] of DAMAGES) {
    test(`on a log that is ${name}; it says what to do, and leaves the file as it is`, () =>
      withFolder(async (folder) => {
        const file = await filled(folder);
        await damage(file);
        const damaged = await readFile(file);
        const message = await refusal(onDisk(folder));
        assert.match(message, reason);
        assert.ok(message.startsWith(`[local] ${file} `), message);
        assert.match(
          message,
          /Restore it from a backup and run `todoku restored`, or move it away|Use the version that wrote it/,
        );
        assert.deepEqual(await readFile(file), damaged);
        await rename(file, `${file}.bad`);
        const api = await RunningApi.start(onDisk(folder));
        assert.equal((await api.result("publish", { channel: "a", data: 1 })).offset, 1);
        await api.close();
      }));
  }

  test("on a log of another format", () =>
    withFolder(async (folder) => {
      const file = await filled(folder);
      const root = openLmdb({ path: file, maxDbs: 8 });
      await root.openDB({ name: "about" }).put("about", { format: 3, epoch: "e" });
      await root.close();
      assert.equal(
        await refusal(onDisk(folder)),
        `[local] ${file} has format 3, this version reads 2. Use the version that wrote it, or set backbones.local.path to another folder`,
      );
    }));

  test("with an impossible promise; no data folder is made for it", () =>
    withFolder(async (folder) => {
      const data = path.join(folder, "data");
      const config = onDisk(data, { namespaces: { a: { backbone: "local" }, b: { backbone: "lost" } } });
      await assert.rejects(startServer(parseConfig(config)), ConfigError);
      await assert.rejects(readFile(data), { code: "ENOENT" });
    }));

  test("when one backbone cannot be opened; the others are closed again", () =>
    withFolder(async (folder) => {
      const good = path.join(folder, "good");
      const bad = path.join(folder, "bad");
      await mkdir(bad);
      await writeFile(path.join(bad, "log.mdb"), noise(50_000));
      const config = {
        ...TEST_CONFIG,
        backbones: { good: { type: "embedded", path: good }, bad: { type: "embedded", path: bad } },
        namespaces: { a: { backbone: "good" }, b: { backbone: "bad" } },
      } satisfies ConfigInput;
      await assert.rejects(startServer(parseConfig(config)), BackboneError);
      await (await RunningApi.start(onDisk(good))).close();
    }));

  test("insecure in production", () => {
    assert.throws(
      () => parseConfig({ ...TEST_CONFIG, production: true, auth: { insecure: true } }),
      /auth\.insecure is true and so is production\. Set auth\.jwt and auth\.api_keys instead, or production to false/,
    );
  });
});

test("a full log answers 405, which means try again; reads go on; what was acknowledged is there; room is used", () =>
  withFolder(async (folder) => {
    const limited = onDisk(folder, { backbones: { local: { type: "embedded", path: folder, max_size: "1MiB" } } });
    const api = await RunningApi.start(limited);
    let acknowledged = 0;
    let error: { code: number; message: string } | undefined;
    while (error === undefined) {
      const { body } = await api.call("publish", { channel: "a", data: "x".repeat(50_000) });
      if (body.error) error = body.error;
      else assert.equal(body.result.offset, ++acknowledged);
    }
    assert.deepEqual(error, { code: 405, message: "no space left for messages, nothing was stored" });
    const history = async (): Promise<number> =>
      (await api.result("history", { channel: "a", limit: -1 })).publications.length;
    assert.equal(await history(), acknowledged);
    assert.equal((await api.send({ method: "GET", path: "/health" })).status, 200);
    const client = await api.connect("ann");
    const subscribed = await client.ask({ subscribe: { channel: "a" } });
    assert.equal(subscribed["subscribe"].offset, acknowledged);
    await api.result("history_remove", { channel: "a" });
    assert.equal((await api.result("publish", { channel: "a", data: "x".repeat(50_000) })).offset, acknowledged + 1);
    await api.close();
  }));

describe("TLS", () => {
  /** The name in the certificate. */
  const served = async (port: number): Promise<string> => {
    const socket = connectTls({ port, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const { CN } = socket.getPeerCertificate().subject as { CN: string };
    socket.destroy();
    return CN;
  };
  /** On Bun a renewal resets the connections that are just being made. */
  const servedOrReset = (port: number): Promise<string | undefined> => served(port).catch(() => undefined);
  const withTls = (folder: string): ConfigInput => ({
    ...TEST_CONFIG,
    http: { port: 0, tls: { cert: path.join(folder, "cert.pem"), key: path.join(folder, "cert.key") } },
  });
  const put = async (folder: string, { cert, key }: { cert: string; key: string }): Promise<void> => {
    // As renewal does it: a new file takes the old one's place.
    for (const [from, to] of [
      [key, "cert.key"],
      [cert, "cert.pem"],
    ] as const) {
      await copyFile(from, path.join(folder, `${to}.new`));
      await rename(path.join(folder, `${to}.new`), path.join(folder, to));
    }
  };
  const skipped = (t: TestContext): boolean => {
    if (!CAN_CERTIFY) t.skip("openssl is not installed");
    return !CAN_CERTIFY;
  };

  test("is served; a renewed certificate is taken up without a restart, as often as it is renewed", async (t) => {
    if (skipped(t)) return;
    await withFolder(async (folder) => {
      await put(folder, certify(folder, "first"));
      const server = await startServer(parseConfig(withTls(folder)));
      assert.match(server.url, /^https:/);
      const port = Number(new URL(server.url).port);
      assert.equal(await served(port), "first");
      const client = new WebSocket(`wss://localhost:${port}${WEBSOCKET_PATH}`, { rejectUnauthorized: false });
      await once(client, "open");
      for (const name of ["second", "third"]) {
        await put(folder, certify(folder, name));
        while ((await servedOrReset(port)) !== name) await new Promise((resolve) => setImmediate(resolve));
      }
      await writeFile(path.join(folder, "cert.pem"), "half a certifi");
      assert.equal(await served(port), "third");
      client.send(`{"id":1,"rpc":{}}`);
      const [code] = await once(client, "close");
      assert.equal(code, 3501, "who was there before is heard as ever");
      await server.close();
    });
  });

  test("a certificate that is missing, none, or of another key stops the server, which names the key", async (t) => {
    if (skipped(t)) return;
    await withFolder(async (folder) => {
      assert.match(await refusal(withTls(folder)), /^http\.tls\.cert cannot be read/m);
      const [one, other] = [certify(folder, "one"), certify(folder, "other")];
      await put(folder, { cert: one.cert, key: other.key });
      assert.match(await refusal(withTls(folder)), /http\.tls\.cert .* http\.tls\.key .* cannot be used together/);
      await writeFile(path.join(folder, "cert.pem"), "none");
      assert.match(await refusal(withTls(folder)), /http\.tls\.cert/);
    });
  });
});

/** Bytes that look like nothing, the same each time. */
function noise(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let i = 0, state = 1; i < bytes; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    buffer[i] = state >>> 24;
  }
  return buffer;
}

async function overwrite(file: string, at: number, bytes: number): Promise<void> {
  const whole = await readFile(file);
  noise(bytes).copy(whole, at);
  await writeFile(file, whole);
}

/** An LMDB file of somebody else, with a table that is called like one of ours and holds something else. */
async function foreign(file: string): Promise<void> {
  const other = `${file}.other`;
  const root = openLmdb({ path: other, maxDbs: 8 });
  await root.openDB({ name: "about" }).put("about", "something else");
  await root.close();
  await rename(other, file);
}
