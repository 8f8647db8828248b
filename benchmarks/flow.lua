-- The code flow with PKCE: authorize with a session, then redeem the code, and again. With BENCH_REFRESH the refresh token of
-- the first flow is redeemed instead, then the one that it bought, and so on. One connection a thread, each with its own state.
local authorize, token = os.getenv("BENCH_AUTHORIZE"), os.getenv("BENCH_PATH")
local refreshing = os.getenv("BENCH_REFRESH") == "1"
local session = {["Cookie"] = os.getenv("BENCH_COOKIE"), ["Host"] = "127.0.0.1"}
local client = {
  ["Authorization"] = os.getenv("BENCH_AUTHORIZATION"),
  ["Content-Type"] = "application/x-www-form-urlencoded",
  ["Host"] = "127.0.0.1",
}
local redeem = "grant_type=authorization_code&redirect_uri=" .. os.getenv("BENCH_CALLBACK")
  .. "&code_verifier=" .. os.getenv("BENCH_VERIFIER") .. "&code="
local code, refresh

local function fail(what, status, body)
  io.stderr:write(what .. ": " .. status .. " " .. tostring(body) .. "\n")
  os.exit(1)
end

request = function()
  if code then return wrk.format("POST", token, client, redeem .. code) end
  if refresh then return wrk.format("POST", token, client, "grant_type=refresh_token&refresh_token=" .. refresh) end
  return wrk.format("GET", authorize, session)
end

response = function(status, headers, body)
  if code or refresh then
    code, refresh = nil, body:match('"refresh_token" *: *"([^"]+)"')
    if status ~= 200 or not refresh then fail("no tokens", status, body) end
    if not refreshing then refresh = nil end
    return
  end
  local location = headers["Location"] or headers["location"] or ""
  code = location:match("[?&]code=([^&#]+)")
  if not code then fail("no code", status, location .. body) end
end
