import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { CHANNEL_BYTES, checkChannel, namespaceOf } from "./channel.ts";

const ALLOWED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/#@=+~!,$|^;()";

test("F15 names that are good", () => {
  for (const channel of ["a", "A", "0", ".", "news", "chat:42", "chat:42:typing", "a-b_9:x", "x$", "a:$", "-"]) {
    assert.equal(checkChannel(channel), undefined, channel);
  }
  assert.equal(checkChannel("x".repeat(CHANNEL_BYTES)), undefined);
});

test("F15 each way a name can be wrong is told in its own words", () => {
  const flaws: readonly (readonly [string, RegExp])[] = [
    ["", /is empty/],
    ["x".repeat(CHANNEL_BYTES + 1), /longer than 255 bytes/],
    ["a b", /character other than/],
    ["a*", /character other than/],
    ["a>", /character other than/],
    ["日本", /character other than/],
    ["a\n", /character other than/],
    ["$internal", /begins with \$/],
    ["chat:", /nothing after its namespace/],
    [":x", /namespace that is not/],
    ["Chat:x", /namespace that is not/],
    ["9:x", /namespace that is not/],
    ["a.b:x", /namespace that is not/],
  ];
  for (const [channel, flaw] of flaws) assert.match(checkChannel(channel) ?? "", flaw, channel);
});

test("F15 the check agrees with the grammar, written out character by character", () => {
  const nearly = fc.string({ unit: fc.constantFrom(..."ab09_-.:/$Z".split(""), " ", "*", "é"), maxLength: 12 });
  const long = fc.string({ unit: fc.constantFrom("x", ":"), minLength: 250, maxLength: 260 });
  const allowed = fc.string({ unit: fc.constantFrom(...ALLOWED.split("")), maxLength: 300 });
  fc.assert(
    fc.property(
      fc.oneof(nearly, long, allowed, fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) })),
      (name) => {
        assert.equal(checkChannel(name) === undefined, isChannel(name), JSON.stringify(name));
      },
    ),
    { numRuns: 5000 },
  );
});

test("F16 the namespace is what stands before the first colon", () => {
  assert.equal(namespaceOf("chat:42:typing"), "chat");
  assert.equal(namespaceOf("news"), "");
  assert.equal(namespaceOf(":x"), "");
});

test("F16 a good name is its namespace, a colon, and a rest", () => {
  const names = fc.string({ unit: fc.constantFrom(..."abz09_-:".split("")), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(names, (name) => {
      fc.pre(checkChannel(name) === undefined && name.includes(":"));
      const namespace = namespaceOf(name);
      assert.ok(!namespace.includes(":") && namespace !== "");
      assert.ok(name.startsWith(`${namespace}:`) && name.length > namespace.length + 1);
    }),
  );
});

/**
 * channel   = 1*255allowed, not beginning with "$"; if it has a colon: namespace ":" 1*allowed
 * namespace = lower *(lower / digit / "_" / "-")
 */
function isChannel(name: string): boolean {
  if (name.length < 1 || name.length > 255 || name.startsWith("$")) return false;
  for (const character of name) if (!ALLOWED.includes(character)) return false;
  const [namespace = "", ...rest] = name.split(":");
  if (rest.length === 0) return true;
  const [first = "", ...others] = namespace;
  const lower = (character: string) => character >= "a" && character <= "z";
  const isNamespace =
    lower(first) && others.every((character) => lower(character) || "0123456789_-".includes(character));
  return isNamespace && rest.join(":") !== "";
}
