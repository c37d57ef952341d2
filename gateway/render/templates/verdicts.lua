-- Asks the gateway about each request, many at a time over one connection: see gateway/data_plane/verdict_stream.py.
-- Nothing is let through without an answer, and no answer is used twice.
local bit, semaphore = require "bit", require "ngx.semaphore"
local byte, char, find, lower, sub = string.byte, string.char, string.find, string.lower, string.sub
local band, rshift, concat, min = bit.band, bit.rshift, table.concat, math.min
local spawn, tcp, timer, now, exiting = ngx.thread.spawn, ngx.socket.tcp, ngx.timer.at, ngx.now, ngx.worker.exiting
local raw_header, http_version, log, ERR = ngx.req.raw_header, ngx.req.http_version, ngx.log, ngx.ERR

local ADDRESS, PORT, OPENING = "%{address}", %{port}, "%{opening}"
local UNDECIDED = '%{undecided}'
local UNDECIDED_LINES = "\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\nretry-after: 1"
local STREAMS = %{streams}
local TURNS = 6  -- of nginx' loop at most, in which more questions are waited for: where many came at a time, many come
local BUSY = 16  -- so many waiting questions are work for another of the gateway's processes
local MOST = 130000  -- bytes of a head
local CONNECT, WAIT, QUIET = 2, 5, 5  -- seconds: to the gateway, for an answer, and without a word of it
local REST, TWICE = 0.1, 1  -- seconds until it is tried again, where there was none, or only one that has a stream
local REMEMBERED = 4096

local streams = {}
for number = 1, STREAMS do
  streams[number] = {
    queue = {}, queued = 0,  -- what is to be sent, and how many pieces of it there are
    slots = {}, free = {}, waiting = 0,  -- who waits, by the number of his question; numbers that can be given again
    last = 1,  -- how many were asked about in the last write
    rests = 0,  -- until then: there was no gateway, or only one that has a stream already
    wake = semaphore.new(), turned = semaphore.new(),
  }
end

-- The beginning of a question of so many bytes.
local function begins(bytes, number)
  return char(
    0, band(rshift(bytes, 16), 255), band(rshift(bytes, 8), 255), band(bytes, 255),
    0, band(rshift(number, 16), 255), band(rshift(number, 8), 255), band(number, 255)
  )
end

-- All who wait hear that there is no answer; `again`: they may ask once more, elsewhere.
local function lose(stream, again)
  local slots = stream.slots
  stream.slots, stream.free, stream.waiting, stream.queue, stream.queued = {}, {}, 0, {}, 0
  for _, slot in pairs(slots) do
    if slot.waits then
      slot.waits, slot.answer, slot.again = false, nil, again
      slot.done:post(1)
    end
  end
end

local function answers(stream, data)
  local at, size, slots = 1, #data, stream.slots
  while size - at >= 7 do
    local l1, l2, l3, l4, n1, n2, n3, n4 = byte(data, at, at + 7)
    local upto = at + 4 + ((l1 * 256 + l2) * 256 + l3) * 256 + l4
    if upto - 1 > size then break end
    local slot = slots[((n1 * 256 + n2) * 256 + n3) * 256 + n4]
    if slot and slot.waits then
      slot.waits, slot.answer, slot.at, slot.upto = false, data, at + 8, upto - 1
      slot.done:post(1)
    elseif slot and slot.left then
      slot.left, stream.free[#stream.free + 1] = false, slot
    end
    at = upto
  end
  return at == 1 and data or sub(data, at)
end

-- Runs until the connection has ended, or has said nothing for too long.
local function read(stream, socket)
  local rest, asked_at = "", nil
  while true do
    local data, problem = socket:receiveany(65536)
    if data then
      stream.heard, asked_at = now(), nil
      rest = answers(stream, rest == "" and data or rest .. data)
    elseif problem ~= "timeout" then
      break
    elseif exiting() and stream.waiting == 0 then
      break
    elseif asked_at and now() - asked_at > QUIET then
      log(ERR, "the gateway has said nothing for too long")
      break
    elseif not asked_at and now() - stream.heard > QUIET then
      asked_at = now()
      stream.queued = stream.queued + 1
      stream.queue[stream.queued] = begins(4, 0)
      stream.wake:post(1)
    end
  end
  stream.up = false
  stream.wake:post(1)
end

local function open(socket)
  socket:settimeouts(CONNECT * 1000, WAIT * 1000, CONNECT * 1000)
  local done, problem
  if PORT then done, problem = socket:connect(ADDRESS, PORT) else done, problem = socket:connect(ADDRESS) end
  if not done then return nil, problem end
  done, problem = socket:send(OPENING)
  if not done then return nil, problem end
  local head = socket:receiveuntil("\r\n\r\n")
  done, problem = head()
  if not done then return nil, problem end
  if sub(done, 1, 12) ~= "HTTP/1.1 101" then
    return nil, "it answered " .. sub(done, 1, find(done, "\r\n", 1, true) or -1)
  end
  socket:settimeouts(CONNECT * 1000, WAIT * 1000, 1000)
  local process = ngx.re.match(done, "x-bb-process: ([0-9]+)", "jo")
  return true, process and process[1]
end

local function has_one(process)
  for number = 1, STREAMS do
    if streams[number].up and streams[number].process == process then return true end
  end
  return false
end

local function turn(_, stream)
  stream.turned:post(1)
end

local function run(premature, stream)
  local socket, opened, said = nil, false, "nginx ends"
  if not premature then
    socket = tcp()
    opened, said = open(socket)
  end
  if not opened then
    log(ERR, "the gateway does not answer: ", said)
    stream.running, stream.rests = false, now() + REST
    lose(stream, false)
    return
  end
  if has_one(said) then
    socket:close()
    stream.running, stream.rests = false, now() + TWICE
    lose(stream, true)
    return
  end
  stream.up, stream.process, stream.heard = true, said, now()
  local reader = spawn(read, stream, socket)
  while stream.up do
    if stream.queued == 0 then
      stream.asleep = true
      stream.wake:wait(60)
      stream.asleep = false
    end
    if stream.queued > 0 then
      local before, still = stream.queued, 0  -- turns in which nothing came
      for _ = 1, min(stream.last, TURNS) do
        if not timer(0, turn, stream) then break end  -- nginx ends
        stream.turned:wait(1)
        if stream.queued == before then still = still + 1 else before, still = stream.queued, 0 end
        if still == 2 then break end
      end
      stream.last = stream.queued / 3
      local queue = stream.queue
      stream.queue, stream.queued = {}, 0
      if not socket:send(queue) then break end
    end
  end
  ngx.thread.kill(reader)
  socket:close()
  stream.up, stream.running = false, false
  lose(stream, true)
end

local function begin(stream)
  stream.running = true
  local started, problem = timer(0, run, stream)
  if not started then
    log(ERR, "no timer: ", problem)
    stream.running, stream.rests = false, now() + REST
    lose(stream, false)
  end
end

-- The stream to ask on; nothing if there was no gateway a moment ago. A gateway's processes all take connections from
-- one socket: while one works, it is another that takes the next one.
local function choose()
  local best, opening, closed
  for number = 1, STREAMS do
    local stream = streams[number]
    if stream.up then
      if not best or stream.waiting < best.waiting then best = stream end
    elseif stream.running then
      opening = stream
    elseif now() >= stream.rests then
      closed = stream
    end
  end
  if closed and not opening and (not best or best.waiting >= BUSY) then
    begin(closed)
    opening = closed
  end
  return best or opening
end

-- Asks, if there is somebody to ask.
local function put(prefix, head)
  local stream = choose()
  if not stream then return nil end
  local free = stream.free
  local count = #free
  local slot = free[count]
  if slot then
    free[count] = nil
  else
    local number = #stream.slots + 1
    slot = { number = number, done = semaphore.new(), stream = stream }
    stream.slots[number] = slot
  end
  slot.waits, slot.answer, slot.again, slot.of = true, nil, false, stream.free
  stream.waiting = stream.waiting + 1
  local queue, queued = stream.queue, stream.queued
  queue[queued + 1] = begins(4 + #prefix + #head, slot.number)
  queue[queued + 2] = prefix
  queue[queued + 3] = head
  stream.queued = queued + 3
  if stream.asleep then
    stream.asleep = false
    stream.wake:post(1)
  end
  return slot
end

-- The answer, or nothing.
local function asked(prefix, head)
  for _ = 1, 2 do
    local slot = put(prefix, head)
    if not slot then return nil end
    local told = slot.done:wait(WAIT)
    local answer, stream = slot.answer, slot.stream
    slot.answer = nil  -- it has those of others in it
    if slot.of == stream.free then
      stream.waiting = stream.waiting - 1
      if told then
        stream.free[#stream.free + 1] = slot
      elseif slot.waits then
        slot.waits, slot.left = false, true  -- its number is given again when the answer has come after all
      end
    end
    if answer then return answer, slot.at, slot.upto end
    if not slot.again then return nil end
  end
end

-- Of a connection in HTTP/1: nothing in HTTP/2 (RFC 9113, 8.2.2).
local HOPS = {
  connection = true, upgrade = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["transfer-encoding"] = true,
}

-- The head of a request that did not come as text (HTTP/2 and 3).
local function written()
  local var = ngx.var
  local lines = { var.request_method .. " " .. var.request_uri .. " HTTP/1.1" }
  local headers = ngx.req.get_headers(0, true)
  if not headers.host and not headers.Host then lines[2] = "host: " .. (var.http_host or var.host) end
  for name, value in pairs(headers) do
    if not HOPS[lower(name)] then
      for _, each in ipairs(type(value) == "table" and value or { value }) do
        lines[#lines + 1] = name .. ": " .. (each == true and "" or each)
      end
    end
  end
  if headers.upgrade then ngx.req.clear_header("upgrade") end
  return concat(lines, "\r\n") .. "\r\n\r\n"
end

local prefixes = { http = {}, https = {} }
local prefixed = 0

local function prefix_of(scheme, peer)
  if prefixed >= REMEMBERED then prefixes, prefixed = { http = {}, https = {} }, 0 end
  prefixed = prefixed + 1
  local prefix = char(scheme == "https" and 1 or 0, #peer) .. peer
  prefixes[scheme][peer] = prefix
  return prefix
end

local callers, known = {}, 0

local function caller_of(text)
  local first = find(text, "\t", 1, true)
  local second = find(text, "\t", first + 1, true)
  local caller = { sub(text, 1, first - 1), sub(text, first + 1, second - 1), sub(text, second + 1) }
  if known >= REMEMBERED then callers, known = {}, 0 end
  callers[text], known = caller, known + 1
  return caller
end

-- Header lines of the answer, one by one.
local function add(lines)
  local at, header = 1, ngx.header
  while at < #lines do
    local ends = find(lines, "\r\n", at + 2, true) or #lines + 1
    local colon = find(lines, ": ", at + 2, true)
    local name, value = sub(lines, at + 2, colon - 1), sub(lines, colon + 2, ends - 1)
    local before = header[name]
    if type(before) == "table" then
      before[#before + 1] = value
      header[name] = before
    else
      header[name] = before and { before, value } or value
    end
    at = ends
  end
end

local function answer_with(status, lines, body)
  ngx.status = status
  add(lines)
  if status ~= 204 then ngx.header["content-length"] = #body end
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

local verdicts = {}

-- Returns if the request may be sent on, and has told the variables how.
function verdicts.ask()
  local var = ngx.var
  local version = http_version()
  local text = not version or version < 2  -- it has none where nginx knows no such version
  local head = text and raw_header() or written()
  if #head > MOST then head = sub(head, 1, MOST) end  -- the gateway says that it is too large
  local scheme, peer = var.scheme, var.remote_addr
  local answer, at, upto = asked(prefixes[scheme][peer] or prefix_of(scheme, peer), head)
  if not answer then return answer_with(503, UNDECIDED_LINES, UNDECIDED) end
  local s1, s2, i1, i2, l1, l2, c1, c2, t1, t2 = byte(answer, at, at + 9)
  local status, id, lines = s1 * 256 + s2, at + 26, at + 26 + i1 * 256 + i2  -- behind "x-bb-requestid: "
  local caller = at + 10 + l1 * 256 + l2
  local target = caller + c1 * 256 + c2
  var.coffee_requestid = sub(answer, id, lines - 1)
  if status > 1 then return answer_with(status, sub(answer, lines, caller - 3), sub(answer, target, upto)) end
  if caller > lines + 2 then
    local more = sub(answer, lines, caller - 3)
    if text then var.coffee_lines = more else add(more) end
  end
  if status == 1 then ngx.req.clear_header("upgrade") end  -- or an upstream's 101 would open a tunnel unasked
  local text = sub(answer, caller, target - 1)
  local known = callers[text] or caller_of(text)
  var.coffee_partner, var.coffee_uid, var.coffee_plan = known[1], known[2], known[3]
  local rest = target + t1 * 256 + t2
  var.coffee_to = sub(answer, target, rest - 1)
  var.coffee_head = sub(answer, rest, upto - (lines - at - 10) - 4)  -- without its last line, that of the id
end

return verdicts
