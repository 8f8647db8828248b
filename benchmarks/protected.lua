-- Protected GETs: BENCH_USED tokens of the file BENCH_LINES in turn, at /thing or, with BENCH_PATHS, at as many paths in turn.
-- With BENCH_HEADER the lines are values of that header instead.
local used, paths = tonumber(os.getenv("BENCH_USED")), tonumber(os.getenv("BENCH_PATHS") or "0")
local header = os.getenv("BENCH_HEADER")
local before = header and "" or "Bearer "
header = header or "Authorization"
local tokens, at = {}, 0
for line in io.lines(os.getenv("BENCH_LINES")) do
  if #tokens < used then tokens[#tokens + 1] = before .. line end
end
assert(#tokens == used, "there are fewer tokens")

request = function()
  at = at + 1
  local path = paths > 0 and "/thing/" .. at % paths or "/thing"
  return wrk.format("GET", path, {[header] = tokens[at % used + 1], ["Host"] = "127.0.0.1"})
end
