-- Batches of twenty calls of a trivial method, no two alike.

local count = 0
local headers = { ["Host"] = "localhost", ["Content-Type"] = "application/json" }

function request()
   local items = {}
   for place = 1, 20 do
      count = count + 1
      items[place] = string.format('{"jsonrpc":"2.0","method":"add","params":[%d,1],"id":%d}', count, count)
   end
   return wrk.format("POST", "/jsonrpc/batch", headers, "[" .. table.concat(items, ",") .. "]")
end

function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format("figures %d %d %d\n", summary.requests, summary.duration, failed))
end
