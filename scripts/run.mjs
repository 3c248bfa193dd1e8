// The one entry of the npm scripts. Plain JavaScript for Node 18 and newer: it installs what is missing, finds the Node
// that the project is developed on, and hands over to it.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.join(root, "node_modules");
const stamp = path.join(modules, ".installed-for");
const lock = path.join(root, ".installing");

const COMMANDS = {
  start: ["server/src/cli/main.ts", "serve", "--dev"],
  todoku: ["server/src/cli/main.ts"],
  test: ["scripts/test.ts"],
  check: ["scripts/check.ts"],
  fix: ["scripts/check.ts", "--fix"],
  build: ["scripts/build.ts"],
  docs: ["scripts/docs.ts"],
  bench: ["bench/main.ts"],
  example: ["scripts/example.ts"],
  simulate: ["tests/simulation/main.ts"],
  queues: ["tests/queue/main.ts"],
  brokers: ["scripts/brokers.ts"],
};

/** Changes when what must be installed changes. */
function wanted() {
  return createHash("sha256")
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex");
}

function installed() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === wanted();
}

/** Two commands started at once install once: the second waits for the first. */
function install() {
  const release = takeLock();
  try {
    if (installed()) return;
    const begun = Date.now();
    console.error("todoku: installing what is missing (npm ci); once, half a minute or so …");
    const { status, signal, error } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"],
      shell: process.platform === "win32",
    });
    if (signal) fail(`the installation was interrupted (${signal}); run this again to go on`);
    if (error) fail(`cannot run npm (${error.message}). Install Node with npm, and run this again`);
    if (status !== 0) fail("npm ci failed; its own words are above. Mend what they name, and run this again");
    writeFileSync(stamp, wanted());
    console.error(`todoku: installed in ${Math.round((Date.now() - begun) / 1000)} s`);
  } finally {
    release();
  }
}

/** The lock holds the number of its process: what a killed one has left behind is not waited for. */
function takeLock() {
  const release = () => rmSync(lock, { force: true });
  for (let told = false; ;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      process.on("exit", release);
      return release;
    } catch (error) {
      if (error.code !== "EEXIST") fail(`cannot write ${lock} (${error.code}): the folder must be writable to install`);
    }
    if (!holderLives()) {
      release();
      continue;
    }
    if (!told) console.error("todoku: another command is installing; waiting for it …");
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  }
}

function holderLives() {
  try {
    const holder = Number(readFileSync(lock, "utf8"));
    // Just made and not written yet, or gone already: look again.
    if (!(holder > 0)) return existsSync(lock) && Date.now() - statSync(lock).mtimeMs < 5_000;
    process.kill(holder, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Node ≥ 22.18 runs TypeScript as it is; the dev dependency `node` brings one. */
function findNode() {
  const own = path.join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node");
  for (const candidate of [own, process.execPath]) {
    const { stdout } = spawnSync(candidate, ["--version"], { encoding: "utf8", shell: candidate.endsWith(".cmd") });
    const [major = 0, minor = 0] = (stdout ?? "").slice(1).split(".").map(Number);
    if (major > 22 || (major === 22 && minor >= 18)) return candidate;
  }
  return fail(
    `Node 22.18 or newer is needed, this is ${process.version}, and node_modules/.bin/node does not run. ` +
      "npm may have been told to skip install scripts (ignore-scripts): allow them for the package `node`, or install a newer Node.",
  );
}

function fail(message) {
  console.error(`todoku: ${message}`);
  process.exit(1);
}

const [name = "", ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (!command) fail(`unknown script ${JSON.stringify(name)}; there are ${Object.keys(COMMANDS).join(", ")}`);
if (!installed()) install();

const [script, ...given] = command;
const cwd = name === "todoku" ? (process.env.INIT_CWD ?? process.cwd()) : root;
const child = spawn(
  findNode(),
  ["--conditions=source", "--disable-warning=ExperimentalWarning", path.join(root, script), ...given, ...args],
  {
    cwd,
    stdio: "inherit",
    env: { ...process.env, PATH: `${path.join(modules, ".bin")}${path.delimiter}${process.env.PATH}` },
  },
);
// A terminal sends Ctrl-C to the whole group, others signal this process only: pass it on, and wait for the child's end.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
