-- One transaction: everything that it read is compared with what is there now; only then is everything written.
--
-- KEYS: 1 the feed, without which this is no database of ours (any more), then every key that is named below.
-- ARGV: 1 whether it is being made ("1"), 2 the caller's time, then the steps. A step is a letter, the number of its key in
-- KEYS, and what the letter takes:
--   e value                   the key has this value
--   a                         the key is not there
--   l number-of-set member    nor is it in this sorted set of records by their end, so that it has not been lost before it
--   m members                 the members of the sorted set, joined by commas
--   s value milliseconds      set, to expire then ("0": never)
--   d                         delete
--   z score member milliseconds  add to a sorted set, which expires no sooner than then ("0": is not touched)
--   r member                  remove from a sorted set
--   h changes-key channel kept count entries...   (the key is the feed) append, and tell
-- Comparisons come before the first change. Answers OK, CONFLICT, NONE (no database) or LOST.

local call = redis.call
local last, now = #ARGV, tonumber(ARGV[2])

if ARGV[1] ~= "1" and call("EXISTS", KEYS[1]) == 0 then return "NONE" end

local function announce(name, step)
  local changes, kept, count = KEYS[tonumber(ARGV[step + 2])], tonumber(ARGV[step + 4]), tonumber(ARGV[step + 5])
  local feed = cjson.decode(call("GET", name))
  for entry = 1, count do
    feed.head = feed.head + 1
    local number = string.format("%.0f", feed.head)
    call("ZADD", changes, number, number .. " " .. ARGV[step + 5 + entry])
  end
  if feed.head - kept > feed.floor then
    feed.floor = feed.head - kept
    call("ZREMRANGEBYSCORE", changes, "-inf", string.format("%.0f", feed.floor))
  end
  local value = string.format('{"head":%.0f,"floor":%.0f,"epoch":%.0f}', feed.head, feed.floor, feed.epoch + 1)
  call("SET", name, value)
  call("PUBLISH", ARGV[step + 3], value)
  return step + 6 + count
end

local step = 3
while step <= last do
  local letter, key = ARGV[step], KEYS[tonumber(ARGV[step + 1])]
  if letter == "e" then
    if call("GET", key) ~= ARGV[step + 2] then return "CONFLICT" end
    step = step + 3
  elseif letter == "a" then
    if call("EXISTS", key) == 1 then return "CONFLICT" end
    step = step + 2
  elseif letter == "l" then
    if call("EXISTS", key) == 1 then return "CONFLICT" end
    local ends = call("ZSCORE", KEYS[tonumber(ARGV[step + 2])], ARGV[step + 3])
    if ends and tonumber(ends) > now then return "LOST" end
    step = step + 4
  elseif letter == "m" then
    if table.concat(call("ZRANGE", key, 0, -1), ",") ~= ARGV[step + 2] then return "CONFLICT" end
    step = step + 3
  elseif letter == "s" then
    if ARGV[step + 3] == "0" then
      call("SET", key, ARGV[step + 2])
    else
      call("SET", key, ARGV[step + 2], "PX", ARGV[step + 3])
    end
    step = step + 4
  elseif letter == "d" then
    call("DEL", key)
    step = step + 2
  elseif letter == "z" then
    call("ZADD", key, ARGV[step + 2], ARGV[step + 3])
    local least = tonumber(ARGV[step + 4])
    if least > 0 and call("PTTL", key) < least then call("PEXPIRE", key, ARGV[step + 4]) end
    step = step + 5
  elseif letter == "r" then
    call("ZREM", key, ARGV[step + 2])
    step = step + 3
  elseif letter == "h" then
    step = announce(key, step)
  else
    return redis.error_reply("oauth_gateway: unknown step " .. tostring(letter)) -- before the first change: see the caller
  end
end
return "OK"
