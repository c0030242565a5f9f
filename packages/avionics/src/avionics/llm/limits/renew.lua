-- Renews leases. KEYS: slots. ARGV: now (empty: the server's clock), the lease in microseconds, then the holder of each.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local lease = tonumber(ARGV[2])
for place, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', string.format('%.0f', now + lease), ARGV[2 + place])
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(lease / 1000)))
end
