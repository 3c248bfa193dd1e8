/** Where partitions end: whoever reads up to there has read all that was stored by anybody before asking. */
import type { Clock } from "../../clock.ts";
import type { KafkaCluster } from "./cluster.ts";
import { unavailable } from "./failure.ts";
import type { FollowedPartition } from "./followed-partition.ts";

const PATIENCE_MS = 5000;
const PAUSE_MS = 50;

interface Question {
  readonly partition: FollowedPartition;
  readonly resolve: (end: number) => void;
  readonly reject: (error: unknown) => void;
}

export class Ends {
  readonly #cluster: KafkaCluster;
  readonly #clock: Clock;
  #asked: Question[] = [];

  constructor(cluster: KafkaCluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  /** The next offset that will be given. @throws BackboneError when the leader does not say. */
  of(partition: FollowedPartition): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      if (this.#asked.push({ partition, resolve, reject }) === 1) this.#clock.soon(() => void this.#ask());
    });
  }

  /** One question to each broker for everybody who waits. */
  async #ask(): Promise<void> {
    let left = this.#asked;
    this.#asked = [];
    const deadline = this.#clock.now() + PATIENCE_MS;
    for (;;) {
      const byLeader = Map.groupBy(left, ({ partition: { topic, partition } }) =>
        this.#cluster.leaderOf(topic, partition),
      );
      const answered = await Promise.all(
        [...byLeader].map(async ([leader, group]) => {
          if (leader === undefined) return group;
          try {
            const partitions = [...new Set(group.map(({ partition }) => partition))];
            const ends = await this.#cluster.listOffsets(leader, partitions, "latest");
            return group.filter(({ partition, resolve }) => {
              const end = ends[partitions.indexOf(partition)];
              if (end !== undefined) resolve(end);
              return end === undefined;
            });
          } catch {
            return group;
          }
        }),
      );
      left = answered.flat();
      if (left.length === 0) return;
      if (this.#clock.now() >= deadline) {
        const error = unavailable(
          this.#cluster.name,
          `Kafka does not say where its log ends after ${PATIENCE_MS / 1000} s`,
        );
        for (const { reject } of left) reject(error);
        return;
      }
      await new Promise<void>((resolve) => this.#clock.after(PAUSE_MS, resolve));
      await this.#cluster.refresh().catch(() => {});
    }
  }
}
