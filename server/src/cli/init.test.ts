import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { Folder } from "./program.ts";

const STARTS = [[], ["--production"], ["--backbone", "memory"], ["--production", "--backbone", "memory"]];

describe("todoku init", () => {
  for (const start of STARTS) {
    test(`init ${start.join(" ")} writes a file that passes check`, async () => {
      using folder = new Folder();
      const written = await folder.run(["init", ...start]);
      assert.equal(written.code, 0, written.error);
      assert.match(written.out, /wrote todoku\.yaml/);
      const checked = await folder.call(["check", "--json"]);
      assert.equal(checked.code, 0, checked.out + checked.error);
      const { namespaces } = JSON.parse(checked.out) as { namespaces: { name: string }[] };
      assert.ok(namespaces.some(({ name }) => name === "chat"));
    });
  }

  test("the file is readable by its owner only, and its secrets are fresh and not printed", async () => {
    using folder = new Folder();
    const file = path.join(folder.path, "todoku.yaml");
    const secrets = new Set<string>();
    for (const force of [[], ["--force"]]) {
      const { out, code } = await folder.call(["init", ...force]);
      assert.equal(code, 0);
      if (process.platform !== "win32") assert.equal(statSync(file).mode & 0o777, 0o600);
      const { auth } = parse(readFileSync(file, "utf8")) as {
        auth: { jwt: { hmac: string }; api_keys: { key: string }[] };
      };
      for (const secret of [auth.jwt.hmac, ...auth.api_keys.map(({ key }) => key)]) {
        assert.ok(secret.length >= 32);
        assert.ok(!out.includes(secret));
        secrets.add(secret);
      }
    }
    assert.equal(secrets.size, 4);
  });

  test("a file that is there is left alone", async () => {
    using folder = new Folder();
    const file = folder.write("todoku.yaml", "http: { port: 1234 }\n");
    const { code, error } = await folder.call(["init"]);
    assert.equal(code, 1);
    assert.match(error, /todoku\.yaml is there already.*--force/);
    assert.equal(readFileSync(file, "utf8"), "http: { port: 1234 }\n");
  });

  test("a place that cannot be written, and a backbone that nothing is known of", async () => {
    using folder = new Folder();
    const nowhere = await folder.call(["init", "--config", "no/such/folder.yaml"]);
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.error, /cannot write no\/such\/folder\.yaml \(ENOENT\)/);
    const unknown = await folder.call(["init", "--backbone", "abacus"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.error, /--backbone takes embedded or memory, not "abacus"/);
    assert.ok(!existsSync(path.join(folder.path, "todoku.yaml")));
  });
});
