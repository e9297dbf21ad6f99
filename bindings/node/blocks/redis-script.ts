// The script that leases blocks in Redis or Valkey: all that must be atomic, in one call. Six keys
// for each scope, of one hash tag, so that a cluster keeps them together:
//
//   held    hash   block -> owner|grant
//   used    zset   block -> when it may be leased again, of those that have been held before
//   ends    zset   owner -> when its term ends
//   ended   zset   owner -> when the blocks of a term that has ended are given to others
//   owners  hash   owner -> number of its last call; owner# -> how many blocks it holds
//   meta    hash   run, until, ttl, grant, wanted
//
// No key has a time to live of its own. Time is the server's, in milliseconds.
//
// B A server that was restarted, or took over from another, grants nothing for a term: holders
//      that it does not know may be in theirs. Their renewals say what they hold.
// C Blocks of a term that has ended are not leased for one more term from when that is noticed, and
// their
//      holder may claim them: the server's clock may have been set forward.
//   E  A call that a later one of its owner has overtaken does nothing.

/** Names of the keys of a scope, in the order in which the script has them. */
export const REDIS_KEYS: readonly string[] = ["held", "used", "ends", "ended", "owners", "meta"];

export const REDIS_SCRIPT = `
local held, used, ends, ended, owners, meta = unpack(KEYS)
local op, owner, number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, rest = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- E
if number <= tonumber(redis.call('HGET', owners, owner) or '0') then return {'overtaken'} end
redis.call('HSET', owners, owner, number)

-- B
local known = redis.call('HMGET', meta, 'run', 'ttl', 'until')
local longest = math.max(ttl, tonumber(known[2] or '0'))
local pausedUntil = tonumber(known[3] or '0')
local info = redis.call('INFO', 'server')
local run = string.match(info, 'run_id:(%w+)')
if known[1] ~= run then
  local wasPromoted = not string.match(redis.call('INFO', 'replication'), 'master_replid2:0+%s')
  if known[1] or wasPromoted then
    pausedUntil = now + longest
  else
    -- In whole seconds, so it may be up to one too many.
    local uptime = tonumber(string.match(info, 'uptime_in_seconds:(%d+)')) * 1000
    pausedUntil = now + math.max(0, longest + 1000 - uptime)
  end
  redis.call('HSET', meta, 'run', run, 'until', pausedUntil)
end
if longest ~= tonumber(known[2] or '0') then redis.call('HSET', meta, 'ttl', longest) end
-- No pause, term or rest is longer than this, whatever the clock said before.
local function shorten(key, most)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. most, '+inf')) do
    redis.call('ZADD', key, most, name)
  end
end
if pausedUntil > now + longest + 1000 then
  pausedUntil = now + longest + 1000
  redis.call('HSET', meta, 'until', pausedUntil)
end
shorten(ends, now + longest)
shorten(ended, now + longest)
shorten(used, now + rest)
local isPaused = pausedUntil > now

-- C
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now)) do
  redis.call('ZREM', ends, name)
  redis.call('ZADD', ended, now + longest, name)
end
local gone = redis.call('ZRANGEBYSCORE', ended, '-inf', now)
if #gone > 0 and not isPaused then
  local isGone = {}
  for _, name in ipairs(gone) do
    isGone[name] = name ~= owner or op ~= 'renew'
    if isGone[name] then
      redis.call('ZREM', ended, name)
      if name ~= owner then redis.call('HDEL', owners, name) end
      redis.call('HDEL', owners, name .. '#')
    end
  end
  local all = redis.call('HGETALL', held)
  for at = 1, #all, 2 do
    if isGone[string.match(all[at + 1], '^(.*)|')] then
      redis.call('HDEL', held, all[at])
      redis.call('ZADD', used, now, all[at])
    end
  end
end

local function live()
  redis.call('ZREM', ended, owner)
  redis.call('ZADD', ends, now + ttl, owner)
end
local function count(change)
  redis.call('HINCRBY', owners, owner .. '#', change)
end
local function giveBack(block)
  redis.call('HDEL', held, block)
  redis.call('ZADD', used, now + rest, block)
end

local function acquire(want, first, last, seed)
  if isPaused then return {'paused', tostring(pausedUntil - now)} end
  local names, fresh, before = {}, {}, {}
  for block = first, last do names[#names + 1] = tostring(block) end
  local values = redis.call('HMGET', held, unpack(names))
  local times = redis.call('ZMSCORE', used, unpack(names))
  local soonest = math.huge
  for at, block in ipairs(names) do
    if not values[at] then
      local free = times[at] and tonumber(times[at])
      if not free then fresh[#fresh + 1] = block
      elseif free <= now then before[#before + 1] = {free, block}
      else soonest = math.min(soonest, free) end
    end
  end
  local found = {}
  while #found < want and #fresh > 0 do
    seed = (seed * 16807) % 2147483647
    local at = seed % #fresh + 1
    found[#found + 1] = fresh[at]
    fresh[at] = fresh[#fresh]
    fresh[#fresh] = nil
  end
  table.sort(before, function(a, b) return a[1] < b[1] end)
  for _, pair in ipairs(before) do
    if #found == want then break end
    found[#found + 1] = pair[2]
  end
  if #found == 0 then
    redis.call('HSET', meta, 'wanted', now)
    local answer, seen = {'none', tostring(math.min(soonest, now + ttl / 10) - now)}, {}
    for _, value in ipairs(values) do
      local name = value and string.match(value, '^(.*)|')
      if name and not seen[name] and #answer < 10 then
        seen[name] = true
        answer[#answer + 1] = name
      end
    end
    return answer
  end
  local grant = now .. '-' .. redis.call('HINCRBY', meta, 'grant', 1)
  for _, block in ipairs(found) do
    redis.call('HSET', held, block, owner .. '|' .. grant)
    redis.call('ZREM', used, block)
  end
  count(#found)
  live()
  return {'granted', grant, unpack(found)}
end

local function renew()
  local wanted = tonumber(redis.call('HGET', meta, 'wanted') or '0') > now - ttl
  local named, kept, answer = {}, 0, {'renewed', wanted and '1' or '0'}
  for at = 6, #ARGV, 2 do
    local block, value = ARGV[at], owner .. '|' .. ARGV[at + 1]
    local current = redis.call('HGET', held, block)
    if not current and isPaused then
      redis.call('HSET', held, block, value)
      redis.call('ZREM', used, block)
      current = value
    end
    if current == value then
      kept = kept + 1
      named[block] = true
    else
      answer[#answer + 1] = block
    end
  end
  if tonumber(redis.call('HGET', owners, owner .. '#') or '0') ~= kept then
    local all = redis.call('HGETALL', held)
    for at = 1, #all, 2 do
      local isMine = string.match(all[at + 1], '^(.*)|') == owner
      if isMine and not named[all[at]] then giveBack(all[at]) end
    end
    redis.call('HSET', owners, owner .. '#', kept)
  end
  live()
  return answer
end

local function release()
  for at = 6, #ARGV, 2 do
    if redis.call('HGET', held, ARGV[at]) == owner .. '|' .. ARGV[at + 1] then
      giveBack(ARGV[at])
      count(-1)
    end
  end
  return {'released'}
end

if op == 'renew' then return renew() end
if op == 'release' then return release() end
return acquire(tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]))
`;
