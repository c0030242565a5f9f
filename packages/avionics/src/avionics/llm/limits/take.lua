-- Books all claims, or none: `bookkeeping.take` in Redis's language.
-- KEYS: the counters. ARGV: now (empty: the server's clock), holder, end of the lease after now, longest debt,
-- then for each claim: kind, amount, limit, end. Durations and moments are microseconds.
-- Returns now, 'granted' | 'refused' | 'budget', the refused places, the wait (empty: unknown), and for each claim two
-- numbers that say how its counter stands.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local holder, lease, longest_debt = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function whole(number)
  return string.format('%.0f', number)
end

local function claim(place)
  local at = 4 + (place - 1) * 4
  return ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
end

local refused, spent_up, standings, granted_at = {}, {}, {}, 0
for place, key in ipairs(KEYS) do
  local kind, amount, limit = claim(place)
  if kind == 'rate' then
    local whole_at = tonumber(redis.call('GET', key) or 0)
    if whole_at < now or whole_at > now + longest_debt then
      whole_at = now
    end
    standings[place] = {whole_at, 0}
    if whole_at + amount - limit > now then
      table.insert(refused, place - 1)
      granted_at = math.max(granted_at, whole_at + amount - limit)
    end
  elseif kind == 'slot' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
    standings[place] = {redis.call('ZCARD', key), 0}
    if standings[place][1] >= limit then
      table.insert(refused, place - 1)
    end
  else
    local figures = redis.call('HMGET', key, 'spent', 'reserved')
    standings[place] = {tonumber(figures[1] or 0), tonumber(figures[2] or 0)}
    if amount > 0 and standings[place][1] + standings[place][2] + amount > limit then
      table.insert(spent_up, place - 1)
    end
  end
end

local verdict = 'granted'
if #spent_up > 0 then
  verdict, refused, granted_at = 'budget', spent_up, 0
elseif #refused > 0 then
  verdict = 'refused'
else
  for place, key in ipairs(KEYS) do
    local kind, amount, _, ends_at = claim(place)
    local standing = standings[place]
    if kind == 'rate' then
      standing[1] = standing[1] + amount
      redis.call('SET', key, whole(standing[1]), 'PX', whole(math.ceil((standing[1] - now) / 1000) + 120000))
    elseif kind == 'slot' then
      standing[1] = standing[1] + 1
      redis.call('ZADD', key, whole(now + lease), holder)
      redis.call('PEXPIRE', key, whole(math.ceil(lease / 1000)))
    else
      standing[2] = standing[2] + amount
      redis.call('HINCRBY', key, 'reserved', whole(amount))
      if ends_at then
        redis.call('PEXPIREAT', key, whole(math.ceil(ends_at / 1000)))
      end
    end
  end
end

local answer = {}
for place, standing in ipairs(standings) do
  answer[2 * place - 1], answer[2 * place] = whole(standing[1]), whole(standing[2])
end
return {whole(now), verdict, refused, granted_at > 0 and whole(granted_at - now) or '', answer}
