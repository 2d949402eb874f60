/* A script that uses the whole API, by chance: for random stories and for fuzzing. */
#ifndef STORY_H
#define STORY_H

static const char story[] =
    "local function work(n, tag)\n"
    "  local t = {} for i = 1, n do t['k' .. (ff.random(1, 1000))] = i end\n"
    "  local s = {} for k, v in pairs(t) do s[#s + 1] = k .. v end\n"
    "  return ff.activity('w' .. tag, {s = s, id = tostring(t), u = ff.uuid(), now = ff.now()})\n"
    "end\n"
    "return function(input)\n"
    "  local got, fails = 0, 0\n"
    "  ff.on_signal('poke', function(v) got = got + v local ok = pcall(work, v, 'sig') if not ok then fails = fails + 1 end end)\n"
    "  ff.on_query('got', function() return {got = got, fails = fails} end)\n"
    "  for round = 1, 6 do\n"
    "    local ok, e = pcall(function()\n"
    "      local kind = ff.random(1, 7)\n"
    "      if kind == 1 then work(5, 'a')\n"
    "      elseif kind == 2 then ff.all{a = ff.start('x', {r = round}), b = ff.start('y'), c = ff.timer(3)}\n"
    "      elseif kind == 3 then local f, t = ff.start('slow'), ff.timer(1) local _, k = ff.race{f, t} f:cancel() t:cancel()\n"
    "      elseif kind == 4 then ff.wait_signal('go', '5s')\n"
    "      elseif kind == 5 then ff.scope(function() ff.sleep(2) work(2, 'body') end, function(err) ff.activity('clean', {e = err and err.type}) end)\n"
    "      elseif kind == 6 then ff.child('kid', {round = round})\n"
    "      else local co = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(ff.activity('co', {i = i})) end end) co() co() end\n"
    "      if ff.patched('p' .. round) then ff.log('info', 'round', round, {}) ff.progress(round, 6) end\n"
    "    end)\n"
    "    if not ok then fails = fails + 1 if e.type == 'Cancelled' and ff.cancelled() then ff.scope(function() work(1, 'final') end) error(e) end end\n"
    "  end\n"
    "  return {got = got, fails = fails, t = tostring({}), r = ff.random()}\n"
    "end\n";

#endif
