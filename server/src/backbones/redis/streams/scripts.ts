/**
 * What happens inside Redis. Each script touches the keys of one channel, which share a hash tag, and runs as a whole or
 * not at all.
 *
 * Keys of a channel: `meta`, a hash of epoch, head, announced, replid, forks and bytes; `log`, a stream whose ids are
 * `<offset>-0`.
 *
 * Nobody is shown what a failover could still take back: readers see the log up to `announced`. Where replicas confirm,
 * that follows once they have; elsewhere it is always the head.
 *
 * The epoch and who made it: `replid` is the replication id of the server that wrote last. Another one means that the
 * server was restarted or replaced and may have lost what came last; so a new epoch begins, and `forks` remembers up to
 * which offset the older epochs are also this one's history.
 *
 * Source of the replication id: Redis documentation, "Replication" (`master_replid` of INFO).
 */
import { script, type Script } from "./script.ts";

const MOST_FORKS = 16;

/**
 * `current(meta, fresh)` → epoch, head, forks, announced; makes them, or begins a new epoch, where that is due. What the
 * new epoch found is all that is left of the older ones, and so announced.
 *
 * `fresh` is a name for a new epoch and how many replicas a server must have to begin one: a master that was replaced and
 * comes back does not know it yet, and must not begin an epoch that nobody else will know of.
 */
const CURRENT = `
local function current(meta, fresh)
  local info = redis.call('INFO', 'replication')
  local replid = string.match(info, 'master_replid:(%w+)')
  local name, needed = string.match(fresh, '^(%S+) (%d+)$')
  local m = redis.call('HMGET', meta, 'epoch', 'head', 'replid', 'forks', 'announced')
  local epoch, head, forks = m[1], tonumber(m[2] or '0'), m[4] or ''
  if m[3] ~= replid and tonumber(string.match(info, 'connected_slaves:(%d+)')) < tonumber(needed) then
    error({err = 'NOREPLICAS a server without its replicas begins no epoch'})
  end
  if not epoch then
    redis.call('HSET', meta, 'epoch', name, 'head', 0, 'announced', 0, 'replid', replid, 'forks', '')
    return name, 0, '', 0
  end
  if m[3] ~= replid then
    local kept, count = epoch .. ':' .. head, 1
    for older, offset in string.gmatch(forks, '([^:,]+):(%d+)') do
      if count < ${MOST_FORKS} then
        kept, count = kept .. ',' .. older .. ':' .. math.min(tonumber(offset), head), count + 1
      end
    end
    redis.call('HSET', meta, 'epoch', name, 'announced', head, 'replid', replid, 'forks', kept)
    return name, head, kept, head
  end
  return epoch, head, forks, tonumber(m[5] or head)
end
`;

/** `trimmed(log, announced)` → the highest offset that is no longer kept; ids are contiguous. */
const TRIMMED = `
local function trimmed(log, announced)
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if not first then return announced end
  return math.min(tonumber(string.match(first[1], '^%d+')) - 1, announced)
end
`;

/** `tell(command, channel, epoch, offset, prev, message)`: a frame of the bus. */
const TELL = `
local function tell(command, channel, epoch, offset, prev, message)
  redis.call(command, channel, 'todoku1{"kind":"message","message":' .. message ..
    ',"position":{"epoch":"' .. epoch .. '","offset":' .. string.format('%d', offset) .. '},"prev":' .. string.format('%d', prev) .. '}')
end
`;

/** How many messages one announcement carries; readers find the others in the log. */
const MOST_ANNOUNCED = 200;

/**
 * Keys: meta, log, Redis channel, (idempotency key). Args: fresh epoch, publish command ("": announced later), message as JSON, bytes of
 * data, time, most messages, most age ms, most bytes (each 0: no limit), lifetime of meta ms, (window ms).
 *
 * Answers epoch, offset, whether duplicate.
 */
export const APPEND: Script = script(
  true,
  `${CURRENT}${TELL}
local meta, log, channel, key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local message, bytes, time = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local messages, age, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local epoch, head, _, seen = current(meta, ARGV[1])
if key then
  local known = redis.call('GET', key)
  if known then return {epoch, tonumber(known), 1} end
end
local offset = head + 1
redis.call('XADD', log, offset .. '-0', 'm', message, 'b', bytes, 't', time)
local announced = offset
if ARGV[2] == '' then announced = seen end
redis.call('HSET', meta, 'head', offset, 'announced', announced)
local count = redis.call('XLEN', log)
-- The stream may have expired as a whole: its bytes are gone with it.
if count == 1 then redis.call('HSET', meta, 'bytes', 0) end
local sum = redis.call('HINCRBY', meta, 'bytes', bytes)
-- A bounded number per append, oldest first; the newest always stays.
for i = 1, 32 do
  if count <= 1 then break end
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  local over = (messages > 0 and count > messages) or (most > 0 and sum > most)
  if not over and not (age > 0 and tonumber(first[2][6]) < time - age) then break end
  redis.call('XDEL', log, first[1])
  count = count - 1
  sum = redis.call('HINCRBY', meta, 'bytes', -tonumber(first[2][4]))
end
if age > 0 then
  redis.call('PEXPIRE', log, age + 1000)
  redis.call('PEXPIRE', meta, ARGV[9])
else
  redis.call('PERSIST', log)
  redis.call('PERSIST', meta)
end
if key then redis.call('SET', key, offset, 'PX', ARGV[10]) end
if ARGV[2] ~= '' then tell(ARGV[2], channel, epoch, offset, head, message) end
return {epoch, offset, 0}`,
);

/**
 * Keys: meta, log, Redis channel. Args: epoch of the append, publish command, offset. Shows readers the log up to the offset, and
 * tells subscribers what was not told yet, in order. A newer epoch has announced all there is. Answers 1.
 */
export const ANNOUNCE: Script = script(
  false,
  `${TELL}
local meta, log, channel, offset = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[3])
local m = redis.call('HMGET', meta, 'epoch', 'announced')
local epoch, announced = m[1], tonumber(m[2] or '0')
if epoch ~= ARGV[1] or offset <= announced then return 1 end
local prev = announced
for _, entry in ipairs(redis.call('XRANGE', log, string.format('%d-0', announced + 1), string.format('%d-0', offset), 'COUNT', ${MOST_ANNOUNCED})) do
  local at = tonumber(string.match(entry[1], '^%d+'))
  tell(ARGV[2], channel, epoch, at, prev, entry[2][2])
  prev = at
end
redis.call('HSET', meta, 'announced', offset)
return 1`,
);

/** Keys: meta, log. Args: fresh epoch, from offset ("": the end), "1" for reverse, limit, most bytes. Answers epoch, head, trimmed, forks, then id, message … */
export const READ: Script = script(
  false,
  `${CURRENT}${TRIMMED}
local meta, log = KEYS[1], KEYS[2]
local epoch, _, forks, head = current(meta, ARGV[1])
local from, last = tonumber(ARGV[2]), string.format('%d-0', head)
local entries
if ARGV[3] == '1' then
  if from and from < head then last = string.format('%d-0', from) end
  entries = redis.call('XREVRANGE', log, last, '-', 'COUNT', ARGV[4])
else
  entries = redis.call('XRANGE', log, string.format('%d-0', from), last, 'COUNT', ARGV[4])
end
local answer, bytes = {epoch, head, trimmed(log, head), forks}, 0
for _, entry in ipairs(entries) do
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = entry[2][2]
  bytes = bytes + tonumber(entry[2][4])
  if bytes >= tonumber(ARGV[5]) then break end
end
return answer`,
);

/** Keys: meta, log. Args: fresh epoch, lifetime of an unwritten channel's meta ms. Answers epoch, head, trimmed, forks. */
export const HEAD: Script = script(
  false,
  `${CURRENT}${TRIMMED}
local epoch, written, forks, head = current(KEYS[1], ARGV[1])
if written == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {epoch, head, trimmed(KEYS[2], head), forks}`,
);

/** Keys: meta, log. Args: fresh epoch. */
export const REMOVE: Script = script(
  true,
  `${CURRENT}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local _, head = current(KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'bytes', 0, 'announced', head)
return 1`,
);

/** Keys: cursor. Args: lifetime ms, now. Answers fence, epoch, offset, sent, attempts (the last four absent if never written). */
export const CLAIM: Script = script(
  true,
  `
-- As nextFence: it rises with the clock, so that it goes on rising where all fences were lost.
local fence = math.max(tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') + 1, tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'fence', string.format('%.0f', fence))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local c = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'sent', 'attempts')
if not c[1] then return {fence} end
return {fence, c[1], c[2], c[3], c[4]}`,
);

/** Keys: cursor. Args: lifetime ms, fence, epoch, offset, sent, attempts. Answers 1 stored, 0 fenced. */
export const WRITE: Script = script(
  true,
  `
local c = redis.call('HMGET', KEYS[1], 'fence', 'epoch', 'offset')
if c[1] and tonumber(ARGV[2]) < tonumber(c[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if c[2] == ARGV[3] and tonumber(ARGV[4]) < tonumber(c[3]) then return 1 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'offset', ARGV[4], 'sent', ARGV[5], 'attempts', ARGV[6])
return 1`,
);

/** Keys: cursor. */
export const FORGET: Script = script(
  true,
  `
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HDEL', KEYS[1], 'epoch', 'offset', 'sent', 'attempts') end
return 1`,
);
