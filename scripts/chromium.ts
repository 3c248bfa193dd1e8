/** The browser for the tests: Debian's Chromium, installed if it is missing and this may be done. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of the browser. Throws an `Error` that says what to install. */
export function chromiumPath(): string {
  const found = () => PLACES.find((place) => existsSync(place));
  const present = found();
  if (present) return present;
  const root = process.getuid?.() === 0;
  if (root && existsSync("/usr/bin/apt-get")) {
    console.error("installing Debian's chromium for the browser tests …");
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["update", "-qq"], { env, stdio: ["ignore", "ignore", "inherit"] });
    spawnSync("apt-get", ["install", "-y", "-qq", "chromium"], { env, stdio: ["ignore", "ignore", "inherit"] });
    const installed = found();
    if (installed) return installed;
  }
  throw new Error(`no Chromium at ${PLACES.join(", ")}; install Debian's package chromium`);
}

/** What headless Chromium is started with, also as root and without a network. */
export const CHROMIUM_ARGS: readonly string[] = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
