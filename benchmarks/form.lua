-- One form posted again and again: BENCH_FORM to BENCH_PATH with BENCH_AUTHORIZATION.
-- With BENCH_LINES it is followed by a line of that file in turn, BENCH_USED of them.
local path, form, used = os.getenv("BENCH_PATH"), os.getenv("BENCH_FORM"), tonumber(os.getenv("BENCH_USED") or "0")
local headers = {
  ["Authorization"] = os.getenv("BENCH_AUTHORIZATION"),
  ["Content-Type"] = "application/x-www-form-urlencoded",
  ["Host"] = "127.0.0.1",
}
local lines, at = {}, 0
if used > 0 then
  for line in io.lines(os.getenv("BENCH_LINES")) do
    if #lines < used then lines[#lines + 1] = line end
  end
  assert(#lines == used, "there are fewer tokens")
end

request = function()
  at = at + 1
  return wrk.format("POST", path, headers, used > 0 and form .. lines[at % used + 1] or form)
end
