import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { kafkaNodes, kafkaTool } from "../../../../scripts/brokers/kafka.ts";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import type { Cluster } from "../../../../scripts/brokers/recipe.ts";
import { BackboneError } from "../contract.ts";
import { backboneProblems, backboneSchema } from "../registry.ts";
import { kafkaBackbone } from "./test-kafka.ts";

const { skip } = await needBroker("kafka");

describe("a Kafka that asks who is there", { skip }, () => {
  let folder = "";
  let kafka: Cluster | undefined;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "todoku-kafka-access-"));
    const [key, cert, store] = ["key.pem", "cert.pem", "store.pem"].map((name) => path.join(folder, name));
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    const out = ["-keyout", key ?? "", "-out", cert ?? "", "-days", "1"];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...out, ...subject], { stdio: "ignore" });
    await writeFile(store ?? "", (await readFile(key ?? "", "utf8")) + (await readFile(cert ?? "", "utf8")));
    const login = "org.apache.kafka.common.security";
    const made = await kafkaNodes(folder, 1, {
      extra: {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,PLAINTEXT:SASL_SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": store ?? "",
        "listener.name.plaintext.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.plaintext.plain.sasl.jaas.config": `${login}.plain.PlainLoginModule required user_ann="secret";`,
        "listener.name.plaintext.scram-sha-512.sasl.jaas.config": `${login}.scram.ScramLoginModule required;`,
      },
    });
    kafka = made;
    const user = ["--alter", "--entity-type", "users", "--entity-name", "ben"];
    const password = ["--add-config", "SCRAM-SHA-512=[password=hidden]"];
    await kafkaTool(
      "org.apache.kafka.tools.ConfigCommand",
      "--bootstrap-server",
      made.internal.join(","),
      ...user,
      ...password,
    );
  });
  after(async () => {
    await Promise.all(kafka?.servers.map((server) => server.kill()) ?? []);
    await rm(folder, { recursive: true, force: true });
  });

  const settings = (sasl: object): object => ({ tls: { ca: path.join(folder, "cert.pem") }, sasl });

  for (const sasl of [
    { mechanism: "PLAIN", username: "ann", password: "secret" },
    { mechanism: "SCRAM-SHA-512", username: "ben", password: "hidden" },
  ]) {
    test(`a login by ${sasl.mechanism} over TLS lets in, one with another password does not`, async () => {
      const backbone = await kafkaBackbone(kafka?.urls ?? [], settings(sasl));
      await backbone.open();
      await backbone.log?.append("chat:1", { id: "1", time: 0, data: "1" }, { retention: {} });
      await backbone.close();
      const stranger = await kafkaBackbone(kafka?.urls ?? [], settings({ ...sasl, password: "wrong" }));
      await assert.rejects(stranger.open(), (error: BackboneError) => {
        assert.equal(error.reason, "invalid");
        assert.doesNotMatch(error.message, /wrong/);
        return true;
      });
    });
  }

  test("a certificate that nobody vouches for is refused", async () => {
    const sasl = { mechanism: "PLAIN", username: "ann", password: "secret" };
    const backbone = await kafkaBackbone(kafka?.urls ?? [], { tls: {}, sasl });
    await assert.rejects(backbone.open(), /self-signed certificate/);
  });
});

test("settings that contradict each other are told with the way out", () => {
  const problems = backboneProblems(
    "events",
    backboneSchema.parse({
      type: "kafka",
      brokers: ["127.0.0.1:9092"],
      sasl: { mechanism: "PLAIN", username: "ann", password: "secret" },
      topics: { a: "same", b: "same" },
    }),
  );
  assert.match(
    problems[0] ?? "",
    /backbones\.events\.sasl\.mechanism PLAIN .* Set backbones\.events\.tls, or use SCRAM-SHA-512/,
  );
  assert.match(
    problems[1] ?? "",
    /backbones\.events\.topics gives one topic to two namespaces \(same, same\)\. Give each its own/,
  );
});
