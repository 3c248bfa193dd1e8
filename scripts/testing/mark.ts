/**
 * Loaded by each test file before itself: what the file starts, and what that starts, carries its number in the environment.
 * So it is found at the end of the file, also when whoever started it is gone.
 */
import { MARK, RUNNER } from "./left-behind.ts";

// Processes that a test forks load this too, and belong to their test.
if (process.env[RUNNER] === String(process.ppid)) {
  process.env[MARK] = [...(process.env[MARK]?.split(",") ?? []), process.pid].join(",");
}
