/**
 * For a control: imported before `todoku serve`, it lets Kafka's leader alone acknowledge a record (`acks=1`). The copies are what it takes
 * away, and nothing else.
 */
import { KafkaCluster } from "../../server/src/backbones/kafka/cluster.ts";

const LEADER_ALONE = 1;
const produce = Reflect.get(KafkaCluster.prototype, "produce");

KafkaCluster.prototype.produce = function (this: KafkaCluster, node, producer, _acks, batches) {
  return produce.call(this, node, producer, LEADER_ALONE, batches);
};
