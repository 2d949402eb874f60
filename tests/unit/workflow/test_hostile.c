/* Scripts that mean harm: each must end the run with the limit's name, soon, and leave the process as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fake_server.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs a body to the end of its run; want: the type of its failure, alternatives separated by '|', or "ok". */
static void expect(const char *body, const char *want)
{
    struct server s;
    char script[4096];
    snprintf(script, sizeof script, "return function(input)\n%s\nend", body);
    double start = seconds();
    server_start(&s, script, NULL, NULL);
    s.limits = (struct workflow_limits){.instructions = 2000000, .memory_bytes = 4 << 20, .time_ms = 3000};
    s.compare = false;
    server_drain(&s, NULL);
    double took = seconds() - start;
    const char *got = s.close_type == PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW ? "continued" : s.final ? "ok" : s.failure_type ? s.failure_type : "no end";
    bool found = false;
    for (const char *p = want; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        found |= strncmp(p, got, strlen(got)) == 0 && (p[strlen(got)] == 0 || p[strlen(got)] == '|');
    if (!found)
        fail_msg("%s\n: %s (%s), wanted %s", body, got, s.failure_message ? s.failure_message : "", want);
    if (took > 20)
        fail_msg("%s\n: took %.1f s", body, took);
    server_release(&s);
}

static void test_loops(void **state)
{
    expect("while true do end", "InstructionLimit");
    expect("::a:: goto a", "InstructionLimit");
    expect("repeat until false", "InstructionLimit");
    expect("for i = 1, math.huge do end", "InstructionLimit");
    expect("local function f() return f() end f()", "InstructionLimit");
    expect("while true do pcall(function() while true do end end) end", "InstructionLimit");
    expect("while true do pcall(error, 'x') end", "InstructionLimit");
    expect("while true do xpcall(function() while true do end end, function(m) while true do end end) end", "InstructionLimit");
    expect("pcall(function() pcall(function() while true do end end) while true do end end) return {}", "InstructionLimit");
    expect("while true do local ok = pcall(ff.activity, '') end", "InstructionLimit");
    expect("while true do ff.now() end", "InstructionLimit");
    expect("while true do ff.log('x') end", "InstructionLimit");
    expect("while true do ff.sleep(0) end", "InstructionLimit");
    expect("while true do ff.start('x') end", "InstructionLimit|MemoryLimit");
    expect("local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return {x = t.x}", "ScriptError");
    expect("local t = {} t.t = setmetatable({}, {__index = function(_, k) while true do end end}) return {x = t.t.y}",
           "InstructionLimit");
    expect("for k, v in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end})) do end",
           "InstructionLimit");
    expect("error(setmetatable({}, {__tostring = function() while true do end end}))", "ScriptError");
    expect("tostring(setmetatable({}, {__tostring = function() while true do end end}))", "InstructionLimit");
    expect("error(setmetatable({message = 'm', type = 't'}, {__index = function() while true do end end}))", "t");
}

static void test_coroutines(void **state)
{
    expect("while true do coroutine.wrap(function() end)() end", "InstructionLimit|MemoryLimit");
    expect("while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
           "InstructionLimit");
    expect("local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
           "InstructionLimit");
    expect("local function f() return coroutine.wrap(f)() end f()", "ScriptError|InstructionLimit");
    expect("local co co = coroutine.create(function() return coroutine.resume(co) end) "
           "local a, b = coroutine.resume(co) return {a = a, b = b}", "ok");
    expect("local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) "
           "coroutine.yield() end) coroutine.resume(co) coroutine.close(co) return {}", "InstructionLimit");
    expect("pcall(function() local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end) "
           "return {}", "InstructionLimit");
    expect("local t = {} for i = 1, 100000 do t[i] = coroutine.create(function() coroutine.yield() end) "
           "coroutine.resume(t[i]) end", "MemoryLimit|InstructionLimit");
    expect("local co = coroutine.running() return {a = select(2, pcall(coroutine.resume, co)), b = pcall(coroutine.close, co), "
           "c = coroutine.status(co)}", "ok");
    expect("ff.on_signal('x', function() end) local co = coroutine.wrap(function() ff.sleep(1) end) co() return {}", "ok");
    expect("coroutine.yield()", "ScriptError");
    /* the thread of one fiber in the hands of another */
    expect("local main = coroutine.running() local s, ok, e, c ff.on_signal('x', function() s = coroutine.status(main) "
           "ok, e = coroutine.resume(main) c = pcall(coroutine.close, main) end) ff.sleep(1) ff.sleep(1) "
           "assert(s == nil or (s == 'normal' and ok == false and c == false)) return {}", "ok");
    expect("pcall(function() local x <close> = setmetatable({}, {__close = function() pcall(ff.progress, 'late') pcall(ff.start, 'x') end}) "
           "ff.continue_as_new{parameters = {n = 1}} end)", "continued");
    expect("for i = 1, 250 do local f = function() end for j = 1, i do local g = f f = function() return coroutine.wrap(g)() end end "
           "pcall(f) end return {}", "ok|InstructionLimit");
}

static void test_recursion(void **state)
{
    expect("local function f() return 1 + f() end f()", "ScriptError|MemoryLimit");
    expect("local function f() pcall(f) end f() return {}", "ok|InstructionLimit|ScriptError");
    expect("local t = {} t = setmetatable(t, {__index = function(t, k) return t[k .. 'x'] end}) local ok, e = pcall(function() return t.a end) "
           "return {ok = ok}", "ok");
    expect("local function f(s) return (s:gsub('.', f)) end f('ab')", "ScriptError|InstructionLimit");
    expect("local function f(a, b) table.sort({3, 2, 1}, f) return a < b end f(1, 2)", "ScriptError|InstructionLimit");
    expect("local a, b = {}, {} setmetatable(a, {__eq = function(x, y) return x == y end}) setmetatable(b, getmetatable(a)) return {x = a == b}",
           "ScriptError");
    expect("local s = 'return ' for i = 1, 20 do s = s .. s end", "MemoryLimit|ok");
    expect("local mt = {} mt.__index = mt mt.__call = function(self) return self() end setmetatable(mt, mt) mt()", "InstructionLimit|ScriptError");
    expect("local m = setmetatable({}, {}) for i = 1, 10000 do m = setmetatable({}, {__index = m}) end return {x = m.y == nil}",
           "ok|ScriptError");
    expect("local e = {} for i = 1, 1000 do e = {e = e} end return e", "ScriptError");
    expect("error(error)", "ScriptError");
    expect("local function h(m) error(m) end xpcall(error, h, 'x') return {}", "ok");
}

static void test_memory(void **state)
{
    expect("local t = {} while true do t[#t + 1] = {} end", "MemoryLimit");
    expect("local s = 'x' while true do s = s .. s end", "MemoryLimit");
    expect("local t = {} while true do t[#t + 1] = string.rep('x', 10000) .. #t end", "MemoryLimit");
    expect("string.rep('x', 1 << 40)", "MemoryLimit|InstructionLimit");
    expect("pcall(string.rep, 'x', 1 << 30) return {}", "MemoryLimit|InstructionLimit");
    expect("while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end", "MemoryLimit");
    expect("local t = {} for i = 1, 1 << 30 do t[i] = i end", "MemoryLimit|InstructionLimit");
    expect("local t = table.pack(('x'):rep(100000):byte(1, -1)) return {n = t.n}", "ok|ScriptError|MemoryLimit");
    expect("table.concat(setmetatable({}, {__index = tostring, __len = function() return 1 << 60 end}))",
           "MemoryLimit|InstructionLimit");
    expect("local s = ('a'):rep(1000000) while true do local t = s .. 'b' end", "InstructionLimit|MemoryLimit");
    expect("local s = ('a'):rep(1000000) while true do s:upper() end", "InstructionLimit|MemoryLimit");
    expect("local s = ('a'):rep(1000000) for i = 1, 1000000 do if s .. 'x' == s then end end", "InstructionLimit|MemoryLimit");
    expect("local f = function(...) return select('#', ...) end return {x = f(table.unpack({}, 1, 900000))}", "ok|ScriptError|MemoryLimit");
    expect("local t = {} for i = 1, 50000 do t[i] = 'some text ' .. i end return t", "ScriptError|MemoryLimit");
    expect("local t = {} for i = 1, 20 do t = {t, t} end return {t = t}", "ScriptError|MemoryLimit|InstructionLimit");
    expect("for i = 1, 1e9 do local s = ('%d'):format(i) end", "InstructionLimit");
}

/* Memory that a script freed in one size and asks for in another: what the process gives stays bounded too. */
static void test_fragments(void **state)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  for size = 1, 300, 12 do\n"
                 "    local t = {} for i = 1, 2000000 // (size + 60) do t[i] = ('x'):rep(size) .. i end\n"
                 "    ff.sleep(1)\n"
                 "  end\n"
                 "  return {}\n"
                 "end", NULL, NULL);
    s.limits = (struct workflow_limits){.memory_bytes = 4 << 20};
    s.compare = false;
    server_drain(&s, NULL);
    assert_true(s.closed);
    getrusage(RUSAGE_SELF, &after);
    long limit_kb = 16 << 10;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    limit_kb = LONG_MAX; /* freed memory is kept apart there */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    limit_kb = LONG_MAX;
#endif
#endif
    assert_true(after.ru_maxrss - before.ru_maxrss < limit_kb);
    server_release(&s);
}

static void test_patterns(void **state)
{
    expect("('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))", "InstructionLimit|ok|ScriptError");
    expect("('a'):rep(5000):match('(.-)(.-)(.-)(.-)(.-)b')", "InstructionLimit");
    expect("('a'):rep(5000):match('a*a*a*a*a*a*b')", "InstructionLimit");
    expect("pcall(string.find, ('a'):rep(5000), 'a-a-a-a-a-a-b') return {}", "InstructionLimit");
    expect("('a'):rep(100000):gsub('a-b', 'x')", "InstructionLimit");
    expect("for _ in ('a'):rep(100000):gmatch('.-b') do end", "InstructionLimit");
    expect("('('):rep(100000):match('%b()')", "InstructionLimit|ok");
    expect("return {x = ('x'):rep(300):match(('(x'):rep(20) .. (')'):rep(20))}", "ok");
    expect("return {x = ('x'):rep(300):match(('x?'):rep(300) .. 'y') == nil}", "ScriptError|InstructionLimit");
    expect("('x'):rep(1000):gsub('.', function() while true do end end)", "InstructionLimit");
    expect("while true do ('x'):rep(1000):find('y', 1, true) end", "InstructionLimit");
}

static void test_tables(void **state)
{
    expect("table.sort({5, 3, 1, 4, 2}, function() return true end) return {}", "ok");
    expect("local t = {} for i = 1, 1000 do t[i] = i % 7 end table.sort(t, function(a, b) return math.random() < 0.5 end) return {}", "ok");
    expect("table.sort({1, 2, 3}, function() error('no') end)", "ScriptError");
    expect("table.sort({1, 'x', 3})", "ScriptError");
    expect("table.sort({3, 2, 1}, function() coroutine.yield() end)", "ScriptError");
    expect("table.sort(setmetatable({}, {__len = function() return 1 << 29 end, __index = function() return 1 end}))",
           "InstructionLimit|MemoryLimit");
    expect("table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 'x')", "InstructionLimit");
    expect("table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)", "InstructionLimit");
    expect("table.move({}, 1, 1 << 60, 2)", "InstructionLimit");
    expect("local t = {} for i = 1, 20000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end",
           "InstructionLimit");
    expect("local t = {} for i = 1, 20000 do t['k' .. i] = i end while true do for k in pairs(t) do break end end", "InstructionLimit|MemoryLimit");
    expect("local t = {} for i = 1, 20000 do t['k' .. i] = i end local k repeat k = next(t, k) until not k", "InstructionLimit");
    expect("local mt = {} local t = setmetatable({}, mt) mt.__mode = 'k' ff.sleep(1) return {}", "WeakTable");
    expect("local mt = {} local t = setmetatable({}, mt) mt.__gc = function() error('late') end t = nil ff.sleep(1) return {}", "ok");
    expect("setmetatable(_G, {__index = function(_, k) error('no ' .. k) end}) return {x = undefined}", "ScriptError");
    expect("local g = _G for k in pairs(g) do g[k] = nil end return {}", "ok");
    expect("string.rep = nil ff.start = nil getmetatable('').__index.format = nil return {}", "ScriptError");
    expect("utf8.len(('x'):rep(1000000)) while true do utf8.len('abc') end", "InstructionLimit");
}

/* What a script must not reach. */
static void test_walls(void **state)
{
    expect("assert(getmetatable(ff.start('x')) == false) assert(getmetatable('') == false) return {}", "ok");
    expect("local f = ff.start('x') assert(not pcall(function() f.x = 1 end)) assert(not pcall(setmetatable, f, {})) return {}", "ok");
    expect("assert(not pcall(ff.await, {})) assert(not pcall(ff.await, 5)) assert(not pcall(ff.all, {1})) "
           "assert(not pcall(ff.race, {})) assert(not pcall(ff.await, ff.null)) return {}", "ok");
    expect("local e = select(2, pcall(ff.error, {type = 'x'})) assert(getmetatable(e) == false) return {}", "ok");
    expect("assert(not pcall(string.format, '%p', {})) assert(not tostring(print):find('0x5')) return {}", "ok");
    expect("local ok, e = pcall(ff.activity, ('x'):rep(2000)) assert(not ok) ok = pcall(ff.activity, 'a\\0b') assert(not ok) "
           "ok = pcall(ff.activity, '\\xff') assert(not ok) ok = pcall(ff.activity, 'a', {x = ('y'):rep(3000000)}) return {ok = ok}",
           "ok|MemoryLimit|InstructionLimit");
    expect("ff.on_query('q', 5)", "ScriptError");
    expect("ff.on_query('__stack', print)", "ScriptError");
}

static void refuse(const char *script, size_t len, const char *words)
{
    struct err err = {0};
    assert_int_equal(workflow_check(script, len, "workflow.lua", &err), -ERR_INVALID);
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void test_loading(void **state)
{
    static const char bytecode[] = "\033LuaT\0\x19\x93\r\n\x1a\n\4\10\10xV\0\0\0";
    refuse(bytecode, sizeof bytecode - 1, "binary chunk");
    refuse("return function(", 16, "workflow.lua:1:");
    refuse("\n\nlocal x = = 1", 15, "workflow.lua:3:");
    char *deep = malloc(200001);
    memset(deep, '(', 200000);
    deep[200000] = 0;
    refuse(deep, 200000, "overflow");
    memset(deep, '{', 200000);
    memcpy(deep, "x=", 2);
    refuse(deep, 200000, "overflow");
    free(deep);
    struct err err = {0};
    assert_int_equal(workflow_check("return 1", 8, "workflow.lua", &err), 0);
    assert_int_equal(workflow_check("", 0, "workflow.lua", &err), 0);
}

static void test_no_function(void **state)
{
    struct server s;
    server_start(&s, "return 5", NULL, NULL);
    server_drain(&s, NULL);
    assert_string_equal(s.failure_message, "workflow.lua must return a function, not a number");
    server_release(&s);
    server_start(&s, "while true do end", NULL, NULL);
    server_drain(&s, NULL);
    assert_string_equal(s.failure_type, "InstructionLimit");
    server_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragments), cmocka_unit_test(test_loops),    cmocka_unit_test(test_coroutines), cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_patterns),   cmocka_unit_test(test_tables),
        cmocka_unit_test(test_walls),    cmocka_unit_test(test_loading),    cmocka_unit_test(test_no_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
