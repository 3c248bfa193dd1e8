import { needBroker } from "../../../../scripts/brokers/need.ts";
import { conformance } from "../conformance.ts";
import { kafkaHarness } from "./test-kafka.ts";

const { skip } = await needBroker("kafka");

if (skip === false) {
  conformance("kafka on one node", () => kafkaHarness("kafka"));
}
