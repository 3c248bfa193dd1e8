import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSES, ERRORS } from "./codes.ts";
import { TodokuError } from "./error.ts";

test("an error is a row of the table, with the detail of this case", () => {
  const error = new TodokuError(ERRORS.tooManyRequests, "200 commands a second");
  assert.ok(error instanceof Error);
  assert.equal(error.name, "TodokuError");
  assert.equal(error.code, 111);
  assert.equal(error.reason, "too_many_requests");
  assert.equal(error.retry, "retry");
  assert.equal(error.message, "too many requests: 200 commands a second");
});

test("without a detail the message is the table's, and a cause is kept", () => {
  const cause = new Error("ECONNREFUSED");
  const error = new TodokuError(CLOSES.invalidToken, undefined, { cause });
  assert.equal(error.message, "invalid token");
  assert.equal(error.cause, cause);
  assert.equal(new TodokuError(CLOSES.invalidToken).cause, undefined);
});
