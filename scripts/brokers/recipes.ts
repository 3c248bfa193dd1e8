/** The brokers that the tests know how to start. */
import { kafka, kafkaCluster } from "./kafka.ts";
import { postgres } from "./postgres.ts";
import type { Recipe } from "./recipe.ts";
import { redis, redisCluster, redisSentinel } from "./redis.ts";

export const RECIPES: readonly Recipe[] = [redis, redisSentinel, redisCluster, kafka, kafkaCluster, postgres];
