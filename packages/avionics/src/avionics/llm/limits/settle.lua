-- Books what was used in place of what was claimed: `bookkeeping.settle` in Redis's language.
-- KEYS: the counters. ARGV: now (empty: the server's clock), holder, when the claims were granted, longest debt, a
-- minute, then for each claim: kind, claimed, used, end. Durations and moments are microseconds.
-- Returns for each claim two numbers that say how its counter stands.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local holder, taken_at, longest_debt, minute = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function whole(number)
  return string.format('%.0f', number)
end

local answer = {}
for place, key in ipairs(KEYS) do
  local at = 5 + (place - 1) * 4
  local kind, claimed, used, ends_at = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local first, second = 0, 0
  if kind == 'rate' then
    first = tonumber(redis.call('GET', key) or 0)
    if first < now or first > now + longest_debt then
      first = now
    end
    if used > claimed or now - taken_at < minute then
      first = math.min(first + used - claimed, now + longest_debt)
      if first > now then
        redis.call('SET', key, whole(first), 'PX', whole(math.ceil((first - now) / 1000) + 120000))
      else
        redis.call('DEL', key)
      end
    end
  elseif kind == 'slot' then
    redis.call('ZREM', key, holder)
    first = redis.call('ZCARD', key)
  else
    local reserved = tonumber(redis.call('HGET', key, 'reserved') or 0)
    first = redis.call('HINCRBY', key, 'spent', whole(used))
    second = math.max(0, reserved - claimed)
    redis.call('HSET', key, 'reserved', whole(second))
    if ends_at then
      redis.call('PEXPIREAT', key, whole(math.ceil(ends_at / 1000)))
    end
  end
  answer[2 * place - 1], answer[2 * place] = whole(first), whole(second)
end
return answer
