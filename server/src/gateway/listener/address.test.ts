import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, isLoopback, isTrusted, trustedProxies } from "./address.ts";

function from(peer: string, forwarded: string | undefined, trusted: readonly string[]): string {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  return addressOf({ socket: { remoteAddress: peer }, headers }, trustedProxies(trusted));
}

test("what an address that is not trusted says of others is not believed", () => {
  assert.equal(from("203.0.113.5", "198.51.100.1", []), "203.0.113.5");
  assert.equal(from("203.0.113.5", "127.0.0.1", ["10.0.0.0/8"]), "203.0.113.5");
});

test("from its end, as far as the hops are trusted: what a client writes in front changes nothing", () => {
  const trusted = ["10.0.0.0/8", "2001:db8::/32"];
  for (const [forwarded, address] of [
    [undefined, "10.0.0.1"],
    ["", "10.0.0.1"],
    ["198.51.100.1", "198.51.100.1"],
    ["127.0.0.1, 198.51.100.1", "198.51.100.1"],
    ["198.51.100.1, 10.0.0.2", "198.51.100.1"],
    ["198.51.100.1,10.0.0.3 ,10.0.0.2", "198.51.100.1"],
    ["10.0.0.9", "10.0.0.9"],
    ["evil, 10.0.0.2", "10.0.0.2"],
    ["198.51.100.1, unknown", "10.0.0.1"],
    ["2001:db8::1, 2001:db8::2", "2001:db8::1"],
    ["2001:db9::1", "2001:db9::1"],
  ] as const) {
    assert.equal(from("10.0.0.1", forwarded, trusted), address, String(forwarded));
  }
});

test("IPv4 in IPv6's clothes is IPv4, wherever it comes from", () => {
  assert.equal(from("::ffff:10.0.0.1", "::ffff:198.51.100.1", ["10.0.0.0/8"]), "198.51.100.1");
  assert.equal(isTrusted("::ffff:10.0.0.1", trustedProxies(["10.0.0.1"])), true);
  assert.equal(isTrusted("", trustedProxies(["10.0.0.1"])), false);
});

test("loopback is 127.0.0.0/8 and ::1, and no name", () => {
  for (const address of ["127.0.0.1", "127.255.0.1", "::1"]) assert.equal(isLoopback(address), true, address);
  for (const address of ["128.0.0.1", "1.127.0.0", "::2", "", "0.0.0.0"])
    assert.equal(isLoopback(address), false, address);
});

test("an entry that is neither an address nor a range is named", () => {
  for (const entry of [
    "",
    "proxy.example",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/8/9",
    "2001:db8::/129",
    "10.0.0/8",
    "10.0.0.1/",
  ]) {
    assert.throws(
      () => trustedProxies([entry]),
      { message: `http.trusted_proxies has ${JSON.stringify(entry)}, which is neither an address nor a CIDR range` },
      entry,
    );
  }
});
