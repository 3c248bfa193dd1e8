/**
 * What happens to jobs inside Redis. Each script touches the keys of one queue, which share a hash tag, and runs as a whole or
 * not at all; time is the server's.
 *
 * Keys of a queue, all made from the first key of a script, `base`: `base` itself, a hash of head, paused, lastDead, and hungry while somebody was handed less than he asked for; `:jobs`, a
 * hash of number → `deliverAt:expiresAt:job` (0: none); `:order`, the numbers in order; `:groups`, a hash of group → cursor;
 * `:dead` and `:letters`, the dead letters' ids in order and a hash of id → about, newline, job; `:deads`, a hash of group → how many.
 * Of a group that has looked at a job below its cursor and not done it: `:state:GROUP`, a hash of number → `attempts:nonce`;
 * `:leases:GROUP` and `:later:GROUP`, numbers by when the lease or the delay ends.
 */
import { script, type Script } from "./script.ts";

/** Jobs looked at in one call beyond those handed out, so that a script stays short. */
const MOST_LOOKS = 500;
/** Arguments that one call inside a script is given. */
const MOST_AT_ONCE = 500;

const PRELUDE = `
local base, bus = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local jobs, order, groups = base .. ':jobs', base .. ':order', base .. ':groups'
local function state(g) return base .. ':state:' .. g end
local function leases(g) return base .. ':leases:' .. g end
local function later(g) return base .. ':later:' .. g end

local function tell(command)
  redis.call('HDEL', base, 'hungry')
  redis.call(command, bus, 'todoku1{"kind":"signal","signal":""}')
end

-- The group g is through with the job, which goes when all are.
local function finish(n, g)
  local all = redis.call('HGETALL', groups)
  for i = 1, #all, 2 do
    if all[i] ~= g and (tonumber(n) > tonumber(all[i + 1]) or redis.call('HEXISTS', state(all[i]), n) == 1) then return end
  end
  redis.call('HDEL', jobs, n)
  redis.call('ZREM', order, n)
end

local function release(g, n)
  redis.call('HDEL', state(g), n)
  redis.call('ZREM', leases(g), n)
  redis.call('ZREM', later(g), n)
end

local function delay(g, n, attempts, due)
  redis.call('HSET', state(g), n, attempts .. ':')
  redis.call('ZADD', later(g), due, n)
end

local function giveUp(g, n, attempts, reason, keep)
  local kept = redis.call('HGET', jobs, n)
  if keep == '1' and kept then
    local id = redis.call('HINCRBY', base, 'lastDead', 1)
    local about = cjson.encode({number = n, group = g, attempts = attempts, time = now, reason = reason})
    redis.call('ZADD', base .. ':dead', id, id)
    redis.call('HSET', base .. ':letters', id, about .. '\\n' .. string.match(kept, '^%d+:%d+:(.*)$'))
    redis.call('HINCRBY', base .. ':deads', g, 1)
  end
  finish(n, g)
end

-- The job's number and attempts, if the lease is held.
local function held(g, lease)
  local n, nonce = string.match(lease, '^(%d+)-(.+)$')
  if not n then return nil end
  local attempts, current = string.match(redis.call('HGET', state(g), n) or '', '^(%d+):(.*)$')
  if current ~= nonce then return nil end
  local due = redis.call('ZSCORE', leases(g), n)
  if not due or tonumber(due) <= now then return nil end
  return n, tonumber(attempts)
end

local function bury(id, g)
  redis.call('ZREM', base .. ':dead', id)
  redis.call('HDEL', base .. ':letters', id)
  redis.call('HINCRBY', base .. ':deads', g, -1)
end
`;

function queueScript(writes: boolean, source: string): Script {
  return script(writes, PRELUDE + source);
}

/**
 * Keys: base, Redis channel, the idempotency keys of those jobs that have one. Args: publish command, then of each job: text, deliverAt,
 * expiresAt, window ms (each 0: none). Answers 1 for each that is a duplicate, 0 for the others.
 */
export const ENQUEUE: Script = queueScript(
  true,
  `
local answer, key, added = {}, 3, false
for i = 2, #ARGV, 4 do
  local known = false
  if ARGV[i + 3] ~= '0' then
    known = not redis.call('SET', KEYS[key], 1, 'NX', 'PX', ARGV[i + 3])
    key = key + 1
  end
  if known then
    answer[#answer + 1] = 1
  else
    local n = redis.call('HINCRBY', base, 'head', 1)
    redis.call('HSET', jobs, n, ARGV[i + 1] .. ':' .. ARGV[i + 2] .. ':' .. ARGV[i])
    redis.call('ZADD', order, n, n)
    answer[#answer + 1], added = 0, true
  end
end
-- Whoever has enough to do finds it without being told.
if added and redis.call('HEXISTS', base, 'hungry') == 1 then tell(ARGV[1]) end
return answer`,
);

/**
 * Keys: base, Redis channel. Args: group, limit, lease ms, nonce, most attempts, first delay ms, last delay ms, "1" to keep dead letters.
 * Answers ms until something is known to become available (-1: nothing is), then lease, attempt, job …
 */
export const LEASE: Script = queueScript(
  true,
  `
local g, limit, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
redis.call('HSETNX', groups, g, 0)
if redis.call('HGET', base, 'paused') == '1' then return {-1} end
local answer, count, looks = {0}, 0, limit + ${MOST_LOOKS}
-- Of what is handed out, in as few calls as the stack of Lua can take.
local states, dues = {}, {}

local function keep()
  if #states == 0 then return end
  redis.call('HSET', state(g), unpack(states))
  redis.call('ZADD', leases(g), unpack(dues))
  states, dues = {}, {}
end

local function handOut(n, attempts, job)
  if #states >= ${2 * MOST_AT_ONCE} then keep() end
  states[#states + 1], states[#states + 2] = n, (attempts + 1) .. ':' .. ARGV[4]
  dues[#dues + 1], dues[#dues + 2] = now + tonumber(ARGV[3]), n
  count = count + 1
  answer[#answer + 1] = n .. '-' .. ARGV[4]
  answer[#answer + 1] = attempts + 1
  answer[#answer + 1] = job
end

-- Leases that ended by themselves: given up, or available after their delay.
for _, n in ipairs(redis.call('ZRANGEBYSCORE', leases(g), '-inf', now, 'LIMIT', 0, looks)) do
  local ended = tonumber(redis.call('ZSCORE', leases(g), n))
  local attempts = tonumber(string.match(redis.call('HGET', state(g), n), '^%d+'))
  looks = looks - 1
  release(g, n)
  if attempts >= most then
    giveUp(g, n, attempts, 'the lease expired', ARGV[8])
  else
    delay(g, n, attempts, ended + math.min(tonumber(ARGV[7]), tonumber(ARGV[6]) * 2 ^ (attempts - 1)))
  end
end
-- What was begun comes before what is new.
for _, n in ipairs(redis.call('ZRANGEBYSCORE', later(g), '-inf', now, 'LIMIT', 0, math.max(0, math.min(looks, limit)))) do
  local attempts = tonumber(string.match(redis.call('HGET', state(g), n), '^%d+'))
  local expires, job = string.match(redis.call('HGET', jobs, n) or '', '^%d+:(%d+):(.*)$')
  looks = looks - 1
  release(g, n)
  if not job or (expires ~= '0' and tonumber(expires) <= now) then finish(n, g) else handOut(n, attempts, job) end
end
while count < limit and looks > 0 do
  local ahead = math.min(looks, limit - count, ${MOST_AT_ONCE})
  local found = redis.call('ZRANGEBYSCORE', order, '(' .. redis.call('HGET', groups, g), '+inf', 'LIMIT', 0, ahead)
  if #found == 0 then break end
  redis.call('HSET', groups, g, found[#found])
  for i, kept in ipairs(redis.call('HMGET', jobs, unpack(found))) do
    local n = found[i]
    looks = looks - 1
    local from, expires, job = string.match(kept, '^(%d+):(%d+):(.*)$')
    if expires ~= '0' and tonumber(expires) <= now then finish(n, g)
    elseif tonumber(from) > now then delay(g, n, 0, from)
    else handOut(n, 0, job) end
  end
end
keep()
if count < limit and looks > 0 then
  local next = -1
  for _, key in ipairs({leases(g), later(g)}) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and (next == -1 or tonumber(first[2]) - now < next) then next = math.max(0, tonumber(first[2]) - now) end
  end
  answer[1] = next
  redis.call('HSET', base, 'hungry', 1)
end
return answer`,
);

/** Keys: base, Redis channel. Args: group, leases. Answers 1 for each that is done, 0 for one that is fenced. */
export const DONE: Script = queueScript(
  true,
  `
local g, answer = ARGV[1], {}
for i = 2, #ARGV do
  local n = held(g, ARGV[i])
  if n then
    redis.call('HDEL', state(g), n)
    redis.call('ZREM', leases(g), n)
    finish(n, g)
  end
  answer[i - 1] = n and 1 or 0
end
return answer`,
);

/**
 * Keys: base, Redis channel. Args: group, lease, publish command, reason, "1" if untried, delay ms ("": what follows says it), most attempts,
 * first delay ms, last delay ms, "1" to keep dead letters. Answers 0 fenced, 1 again, 2 given up.
 */
export const FAIL: Script = queueScript(
  true,
  `
local g = ARGV[1]
local n, attempts = held(g, ARGV[2])
if not n then return 0 end
release(g, n)
if ARGV[5] == '1' then
  delay(g, n, attempts - 1, now)
  tell(ARGV[3])
  return 1
end
if attempts >= tonumber(ARGV[7]) then
  giveUp(g, n, attempts, ARGV[4], ARGV[10])
  return 2
end
delay(g, n, attempts, now + (tonumber(ARGV[6]) or math.min(tonumber(ARGV[9]), tonumber(ARGV[8]) * 2 ^ (attempts - 1))))
return 1`,
);

/** Keys: base, Redis channel. Args: group, lease, lease ms. Answers 1 done, 0 fenced. */
export const EXTEND: Script = queueScript(
  true,
  `
local n = held(ARGV[1], ARGV[2])
if not n then return 0 end
redis.call('ZADD', leases(ARGV[1]), now + tonumber(ARGV[3]), n)
return 1`,
);

/** Keys: base, Redis channel. Args: group, lease. Answers attempt, job; nothing if it is fenced. */
export const HELD: Script = queueScript(
  false,
  `
local n, attempts = held(ARGV[1], ARGV[2])
local kept = n and redis.call('HGET', jobs, n)
if not kept then return {} end
return {attempts, string.match(kept, '^%d+:%d+:(.*)$')}`,
);

/** Keys: base, Redis channel. Answers paused, jobs, then group, ready, leased, delayed, dead, oldest job ("" if none) … */
export const INFO: Script = queueScript(
  false,
  `
local answer = {tonumber(redis.call('HGET', base, 'paused') or '0'), redis.call('ZCARD', order)}
local all, oldest = redis.call('HGETALL', groups), redis.call('ZRANGE', order, 0, 99)
for i = 1, #all, 2 do
  local g, cursor = all[i], all[i + 1]
  local overdue = redis.call('ZCOUNT', leases(g), '-inf', now) + redis.call('ZCOUNT', later(g), '-inf', now)
  local job = ''
  for _, n in ipairs(oldest) do
    if tonumber(n) > tonumber(cursor) or redis.call('HEXISTS', state(g), n) == 1 then
      job = string.match(redis.call('HGET', jobs, n), '^%d+:%d+:(.*)$')
      break
    end
  end
  for _, value in ipairs({
    g,
    redis.call('ZCOUNT', order, '(' .. cursor, '+inf') + overdue,
    redis.call('ZCOUNT', leases(g), '(' .. now, '+inf'),
    redis.call('ZCOUNT', later(g), '(' .. now, '+inf'),
    tonumber(redis.call('HGET', base .. ':deads', g) or '0'),
    job,
  }) do answer[#answer + 1] = value end
end
return answer`,
);

/** Keys: base, Redis channel. Args: publish command, "1" or "0". */
export const PAUSE: Script = queueScript(
  true,
  `
redis.call('HSET', base, 'paused', ARGV[2])
tell(ARGV[1])
return 1`,
);

/** Keys: base, Redis channel. Args: group. */
export const FORGET_GROUP: Script = queueScript(
  true,
  `
local g = ARGV[1]
if redis.call('HDEL', groups, g) == 0 then return 0 end
redis.call('DEL', state(g), leases(g), later(g))
if redis.call('HLEN', groups) > 0 then
  for _, n in ipairs(redis.call('ZRANGE', order, 0, -1)) do finish(n) end
end
return 1`,
);

/** Keys: base, Redis channel. Args: after which id, limit. Answers id, letter … */
export const LIST_DEAD: Script = queueScript(
  false,
  `
local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':dead', '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])) do
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('HGET', base .. ':letters', id)
end
return answer`,
);

/** Keys: base, Redis channel. Args: ids. Answers id, letter … */
export const GET_DEAD: Script = queueScript(
  false,
  `
local answer = {}
for _, id in ipairs(ARGV) do
  local letter = redis.call('HGET', base .. ':letters', id)
  if letter then
    answer[#answer + 1] = id
    answer[#answer + 1] = letter
  end
end
return answer`,
);

/** Keys: base, Redis channel. Args: publish command, ids. Answers how many. */
export const REPLAY_DEAD: Script = queueScript(
  true,
  `
local count = 0
for i = 2, #ARGV do
  local about, job = string.match(redis.call('HGET', base .. ':letters', ARGV[i]) or '', '^([^\\n]*)\\n(.*)$')
  if about then
    local letter = cjson.decode(about)
    local g, n = letter.group, letter.number
    bury(ARGV[i], g)
    if redis.call('HSETNX', jobs, n, '0:0:' .. job) == 1 then redis.call('ZADD', order, n, n) end
    redis.call('HSETNX', groups, g, redis.call('HGET', base, 'head'))
    delay(g, n, 0, now)
    count = count + 1
  end
end
tell(ARGV[1])
return count`,
);

/** Keys: base, Redis channel. Args: ids. Answers how many. */
export const PURGE_DEAD: Script = queueScript(
  true,
  `
local count = 0
for _, id in ipairs(ARGV) do
  local about = string.match(redis.call('HGET', base .. ':letters', id) or '', '^[^\\n]*')
  if about ~= '' then
    bury(id, cjson.decode(about).group)
    count = count + 1
  end
end
return count`,
);
