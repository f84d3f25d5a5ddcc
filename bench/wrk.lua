-- Ask wrk's one thread: path, body and expected answer come after `--`, then headers.

local asking

function setup(thread)
  asking = thread
end

function init(args)
  wrk.method, wrk.path, wrk.body, expected = "POST", args[1], args[2], args[3]
  for at = 4, #args do
    local name, value = args[at]:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
  wrong = 0
end

function response(status, headers, body)
  if status ~= 200 or body ~= expected then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "wrong": %d, "seconds": %f, "median": %d, "p99": %d}\n',
    summary.requests,
    asking:get("wrong") + errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6,
    latency:percentile(50),
    latency:percentile(99)
  ))
end
