-- No two requests alike: neither nginx nor an application may answer from memory.

local count = 0
local seed = os.getenv("LOAD_SEED") or "0"

function request()
   count = count + 1
   local id = seed .. "-" .. count
   local headers = {
      ["Host"] = "localhost",
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
      ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
      ["Accept-Language"] = "en-US,en;q=0.5",
      ["Accept-Encoding"] = "gzip, deflate",
      ["Cookie"] = "session=" .. id .. "; theme=dark",
   }
   return wrk.format("GET", "/page?id=" .. id, headers)
end

function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format("figures %d %d %d\n", summary.requests, summary.duration, failed))
end
