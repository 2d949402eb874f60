/* What scripts can do: each case is a script and the story of its run; every task is answered by a cached instance and by a
 * fresh one that replays, which must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "fake_server.h"

#include <stdio.h>
#include <string.h>

/* A run that only computes: its result. */
static void expect(const char *body, const char *json)
{
    struct server s;
    char script[4096];
    snprintf(script, sizeof script, "return function(input)\n%s\nend", body);
    server_start(&s, script, NULL, NULL);
    server_drain(&s, NULL);
    if (!s.final)
        fail_msg("%s: %s: %s\n%s", body, s.failure_type ? s.failure_type : "-", s.failure_message ? s.failure_message : "not closed",
                 s.failure_stack ? s.failure_stack : "");
    struct strbuf b = STRBUF_INIT;
    assert_int_equal(json_write(s.final, &b, NULL), 0);
    assert_string_equal(strbuf_str(&b), json);
    strbuf_release(&b);
    server_release(&s);
}

/* A run that fails. */
static void expect_failure(const char *body, const char *type, const char *words)
{
    struct server s;
    char script[4096];
    snprintf(script, sizeof script, "return function(input)\n%s\nend", body);
    server_start(&s, script, NULL, NULL);
    server_drain(&s, NULL);
    if (!s.failure_type)
        fail_msg("'%s' did not fail", body);
    assert_string_equal(s.failure_type, type);
    if (!strstr(s.failure_message, words))
        fail_msg("'%s' does not say '%s'", s.failure_message, words);
    server_release(&s);
}

static void test_values(void **state)
{
    expect("return {a = 1, b = 1.5, c = 'x\"\\n\\1', d = true, e = ff.null, f = {}, g = ff.array{}, h = {1, 2, {z = 1}}}",
           "{\"a\":1,\"b\":1.5,\"c\":\"x\\\"\\n\\u0001\",\"d\":true,\"e\":null,\"f\":{},\"g\":[],\"h\":[1,2,{\"z\":1}]}");
    expect("return {x = 2^53, y = 1e22, z = 0.25, i = math.maxinteger}",
           "{\"i\":9223372036854775807,\"x\":9007199254740992.0,\"y\":1e22,\"z\":0.25}");
    expect("return nil", "{}");
    expect("return {t = input.target.ref, n = input.none == nil}", "{\"n\":true,\"t\":\"sha256:00\"}");
    expect_failure("return {a = {b = {0/0}}}", "ScriptError", "result.a.b[1]: NaN");
    expect_failure("return {a = {[1] = 1, x = 2}}", "ScriptError", "result.a: a key of type number beside names");
    expect_failure("local t = {} t.t = t return t", "ScriptError", "nested too deep");
    expect_failure("return {f = print}", "ScriptError", "result.f: a function has no place in JSON");
    expect_failure("return {s = '\\xff'}", "ScriptError", "not UTF-8");
    expect_failure("return {1, 2}", "ScriptError", "not an array");
    expect_failure("return 'text'", "ScriptError", "must return a table");
    expect_failure("return {a = ff.array{1, nil, 3}}", "ScriptError", "keys are not 1, 2, 3");
}

static void test_order(void **state)
{
    expect("local t = {} for k = 1, 20 do t['key' .. (k * 7919 % 100)] = k end t[3] = 1 t[1.5] = 2 t[-1] = 3 t[true] = 4\n"
           "local a, b = {}, {} t[b] = 'b' t[a] = 'a' t[print] = 'p'\n"
           "local s = {} for k, v in pairs(t) do s[#s + 1] = type(k) == 'table' and v or type(k) == 'function' and v or tostring(k) end\n"
           "return {s = table.concat(s, ',')}",
           "{\"s\":\"-1,1.5,3,key14,key19,key23,key28,key33,key38,key4,key42,key47,key52,key57,key61,key66,key71,key76,"
           "key80,key85,key9,key90,key95,true,p,a,b\"}");
    expect("local t = {} return {a = tostring(t), b = tostring({}), c = tostring(t), d = tostring(print), "
           "f = string.format('%s %5.1f %q', t, 1.25, 'x')}",
           "{\"a\":\"table: 0x00000001\",\"b\":\"table: 0x00000002\",\"c\":\"table: 0x00000001\",\"d\":\"function: builtin "
           "print\",\"f\":\"table: 0x00000001   1.2 \\\"x\\\"\"}");
    expect("local t, s, k, v = {c = 1, a = 2, b = 3, 9, 8}, {} repeat k, v = next(t, k) s[#s + 1] = k until k == nil\n"
           "return {s = table.concat(s, ' '), e = next({}) == nil}",
           "{\"e\":true,\"s\":\"1 2 a b c\"}");
    expect("local t = {1, 2, 3} local s = 0 for k, v in pairs(t) do t[k] = nil s = s + v end return {s = s, n = #t}",
           "{\"n\":0,\"s\":6}");
    expect("local a = {math.random(100), math.random(), math.random(5, 6)} local b = ff.uuid()\n"
           "return {ok = a[1] <= 100 and a[2] < 1 and a[3] >= 5, v = b:sub(15, 15), n = #b}",
           "{\"n\":36,\"ok\":true,\"v\":\"4\"}");
}

static void test_library(void **state)
{
    expect("return {io = io == nil, os = os == nil, dbg = debug == nil, load = load == nil, req = require == nil, "
           "gc = collectgarbage == nil, dump = string.dump == nil, dofile = dofile == nil, package = package == nil, "
           "g = _G.ff == ff}",
           "{\"dbg\":true,\"dofile\":true,\"dump\":true,\"g\":true,\"gc\":true,\"io\":true,\"load\":true,\"os\":true,"
           "\"package\":true,\"req\":true}");
    expect("local t = {5, 2, 8, 1, 9, 3} table.sort(t) local u = {'b', 'a', 'c'} table.sort(u, function(x, y) return x > y end)\n"
           "return {t = table.concat(t, ','), u = table.concat(u)}",
           "{\"t\":\"1,2,3,5,8,9\",\"u\":\"cba\"}");
    expect("local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) local r = table.remove(t, 2) "
           "return {t = t, r = r, p = table.pack(1, nil, 3).n, u = select('#', table.unpack({1, 2, nil, 4}, 1, 4)), "
           "m = table.move({1, 2, 3}, 1, 3, 2)}",
           "{\"m\":[1,1,2,3],\"p\":3,\"r\":1,\"t\":[0,2,3,4],\"u\":4}");
    expect("return {a = ('x'):rep(3, ','), b = ('abc'):upper(), c = '10' + 5, d = utf8.len('h\\u{e9}'), e = ('%d'):format(3), "
           "f = #'abc', g = ('abc'):byte(2)}",
           "{\"a\":\"x,x,x\",\"b\":\"ABC\",\"c\":15,\"d\":2,\"e\":\"3\",\"f\":3,\"g\":98}");
    expect("local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)\n"
           "local x = co(1) local y = co(10) local ok, e = pcall(co) return {x = x, y = y, ok = ok, e = e}",
           "{\"e\":\"cannot resume dead coroutine\",\"ok\":false,\"x\":2,\"y\":20}");
    expect("local co = coroutine.create(function() error({code = 7}) end) local ok, e = coroutine.resume(co)\n"
           "return {ok = ok, c = e.code, s = coroutine.status(co), x = select(2, pcall(error, 'm', 0))}",
           "{\"c\":7,\"ok\":false,\"s\":\"dead\",\"x\":\"m\"}");
    expect("local ok, e = xpcall(function() error('x') end, function(m) return m .. '!' end) return {e = e}",
           "{\"e\":\"workflow.lua:2: x!\"}");
    expect_failure("setmetatable({}, {__gc = function() end})", "ScriptError", "finalizers");
    expect_failure("setmetatable({}, {__mode = 'k'})", "ScriptError", "weak tables");
    expect_failure("return {s = string.format('%p', {})}", "ScriptError", "'%p' is not available");
}

static void test_patterns(void **state)
{
    expect("return {a = {('hello world'):find('o w')}, b = {('key = val'):match('^(%w+)%s*=%s*(%w+)$')}, "
           "c = {('a.b'):find('.', 1, true)}, d = ('x'):find('') , e = {('THE (quick) fox'):find('%((%a+)%)')}}",
           "{\"a\":[5,7],\"b\":[\"key\",\"val\"],\"c\":[2,2],\"d\":1,\"e\":[5,11,\"quick\"]}");
    expect("local s = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do s[#s + 1] = k .. v end\n"
           "local w = {} for x in ('one two'):gmatch('%a*') do w[#w + 1] = x end return {s = s, w = w}",
           "{\"s\":[\"a1\",\"b2\"],\"w\":[\"one\",\"two\"]}");
    expect("return {a = ('hello'):gsub('l', 'L'), b = ('hello'):gsub('', '-'), c = ('abc'):gsub('%w', '%0%0'), "
           "d = ('$name is'):gsub('%$(%w+)', {name = 'lua'}), e = ('abc'):gsub('b', function(x) return x:upper() end), "
           "f = ('abc'):gsub('(a)(b)', '%2%1'), g = ('aaa'):gsub('a', 'b', 2)}",
           "{\"a\":\"heLLo\",\"b\":\"-h-e-l-l-o-\",\"c\":\"aabbcc\",\"d\":\"lua is\",\"e\":\"aBc\",\"f\":\"bac\",\"g\":\"bba\"}");
    expect("return {a = ('f(a(b)c)d'):match('%b()'), b = ('THE (quick) fox'):gsub('%f[%a]%a+', 'w'), c = ('[x]'):match('[]]'), "
           "d = ('a-b'):match('[a%-]+'), e = ('xx'):match('(x)%1'), f = ('abc'):match('()b()'), g = ('a\\0b'):match('%z') == nil, "
           "h = ('  trim  '):match('^%s*(.-)%s*$'), i = ('0x1F'):match('^0[xX](%x+)$'), j = ('ab'):match('^(a?)(b?)(c?)$')}",
           "{\"a\":\"(a(b)c)\",\"b\":\"w (w) w\",\"c\":\"]\",\"d\":\"a-\",\"e\":\"x\",\"f\":2,\"g\":true,\"h\":\"trim\",\"i\":\"1F\","
           "\"j\":\"a\"}");
    expect_failure("return {a = ('x'):match('[x')}", "ScriptError", "malformed pattern (missing ']')");
    expect_failure("return {a = ('x'):match('%')}", "ScriptError", "malformed pattern (ends with '%')");
    expect_failure("return {a = ('x'):match('(x')}", "ScriptError", "unfinished capture");
    expect_failure("return {a = ('x'):gsub('x', '%2')}", "ScriptError", "invalid capture index");
    expect_failure("return {a = ('x'):rep(100):match(('(x?)'):rep(33))}", "ScriptError", "too many captures");
}

static void test_activities(void **state)
{
    struct server s;
    server_start(&s,
                 "return function(input)\n"
                 "  local a = ff.activity('scan', {depth = 2}, {timeout = '30s', retry = {max = 5, initial = '50ms'}})\n"
                 "  local f = ff.start('one') local g = ff.start('two', {x = 1})\n"
                 "  local r = ff.all{f, g}\n"
                 "  ff.log('warn', 'n is', a.summary.n, {k = 1})\n"
                 "  return {summary = {n = a.summary.n, one = r[1].summary.n, two = r[2].summary.n, done = f:done()}}\n"
                 "end",
                 NULL, "{\"vertical\":\"python\",\"resources\":{\"memory\":\"1G\"}}");
    server_task(&s);
    const Pb__ScheduleActivityTaskCommandAttributes *c = s.result.commands[0]->schedule_activity_task_command_attributes;
    assert_string_equal(c->activity_id, "1");
    assert_string_equal(c->task_queue->name, "python-queue");
    assert_int_equal(c->start_to_close_timeout->seconds, 30);
    assert_int_equal(c->retry_policy->maximum_attempts, 5);
    assert_int_equal(c->retry_policy->initial_interval->nanos, 50000000);
    assert_string_equal(c->header->fields[0]->key, "ff-context");
    assert_int_equal(json_i64(s.pending.v[0].input, "depth", 0), 2);
    server_complete(&s, "scan", "{\"status\":\"partial\",\"summary\":{\"n\":42}}");
    server_task(&s);
    assert_int_equal(s.pending.len, 2);
    server_complete(&s, "two", "{\"status\":\"success\",\"summary\":{\"n\":2}}");
    server_task(&s);
    assert_false(s.closed);
    server_complete(&s, "one", "{\"status\":\"success\",\"summary\":{\"n\":1}}");
    server_task(&s);
    assert_true(s.closed);
    const json_t *sum = json_object_get(s.final, "summary");
    assert_int_equal(json_i64(sum, "n", 0), 42);
    assert_int_equal(json_i64(sum, "one", 0), 1);
    assert_int_equal(json_i64(sum, "two", 0), 2);
    assert_true(json_flag(sum, "done", false));
    assert_true(json_flag(s.final, "incomplete", false));
    assert_string_equal(strbuf_str(&s.logs), "1:n is 42 {\"k\":1}\n");
    server_release(&s);
}

static void test_context(void **state)
{
    struct server s;
    server_start(&s,
                 "return function(i) ff.activity('a', nil, {vertical = 'rust', network = 'full', "
                 "resources = {cpu = '1.5s', disk = '2M'}, queue_timeout = 5, heartbeat = '10s', retry = {non_retryable = {'Bad'}}}) end",
                 NULL, "{\"vertical\":\"python\",\"resources\":{\"memory\":\"1G\"},\"network\":\"none\"}");
    server_task(&s);
    const Pb__ScheduleActivityTaskCommandAttributes *c = s.result.commands[0]->schedule_activity_task_command_attributes;
    const Pb__Payload *p = c->header->fields[0]->value;
    char text[300];
    snprintf(text, sizeof text, "%.*s", (int)p->data.len, (char *)p->data.data);
    assert_string_equal(text, "{\"vertical\":\"rust\",\"resources\":{\"memory\":\"1G\",\"cpu\":1.5,\"disk\":2097152},\"network\":\"full\"}");
    assert_string_equal(c->task_queue->name, "rust-queue");
    assert_int_equal(c->schedule_to_start_timeout->seconds, 5);
    assert_int_equal(c->heartbeat_timeout->seconds, 10);
    assert_string_equal(c->retry_policy->non_retryable_error_types[0], "Bad");
    server_release(&s);
    expect_failure("ff.activity('a', {}, {timout = '1s'})", "ScriptError", "unknown option 'timout': did you mean 'timeout'?");
    expect_failure("ff.activity('a', {}, {timeout = 'soon'})", "ScriptError", "is no time");
    expect_failure("ff.activity('a', {}, {resources = {memory = 'much'}})", "ScriptError", "resources: memory must be a size");
    expect_failure("ff.activity('a', {x = 1/0})", "ScriptError", "input.x: infinity");
}

static void test_errors(void **state)
{
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local ok, e = pcall(ff.activity, 'bad')\n"
                 "  local ok2, e2 = pcall(ff.all, {ff.start('bad'), ff.start('good')})\n"
                 "  local ok3, e3 = pcall(ff.error, {type = 'Mine', message = 'm', retryable = false, details = {1}})\n"
                 "  return {t = e.type, m = e.message, a = e.activity, r = e.retryable, s = tostring(e), t2 = e2.type, "
                 "t3 = e3.type, w3 = e3.where, ok = ok or ok2 or ok3}\n"
                 "end", NULL, NULL);
    server_task(&s);
    server_fail(&s, "bad", "Boom", "it broke");
    server_task(&s);
    server_fail(&s, "bad", "Boom2", "again");
    server_task(&s);
    assert_true(s.closed);
    struct strbuf b = STRBUF_INIT;
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"a\":\"bad\",\"m\":\"it broke\",\"ok\":false,\"r\":false,\"s\":\"Boom: it broke\","
                                        "\"t\":\"Boom\",\"t2\":\"Boom2\",\"t3\":\"Mine\"}");
    strbuf_release(&b);
    server_release(&s);
    server_start(&s, "local function f() ff.activity('bad') end\nreturn function()\n  f()\nend", NULL, NULL);
    server_task(&s);
    server_fail(&s, "bad", "Boom", "it broke");
    server_task(&s);
    assert_string_equal(s.failure_type, "Boom");
    assert_string_equal(s.failure_message, "activity 'bad' failed: it broke");
    assert_non_null(strstr(s.failure_stack, "workflow.lua:1:"));
    assert_non_null(strstr(s.failure_stack, "workflow.lua:3:"));
    server_release(&s);
    expect_failure("ff.error{type = 'Own', message = 'words'}", "Own", "words");
    expect_failure("error(ff.error{type = 'Own', message = 'words'})", "Own", "words");
    expect_failure("local x = nil; x.y = 1", "ScriptError", "workflow.lua:2: attempt to index a nil value (local 'x')");
    expect_failure("error(setmetatable({}, {__tostring = function() while true do end end}))", "ScriptError", "table without a message");
}

/* As Temporal's SDKs have it: around what failed, who failed. */
static void test_failure_chain(void **state)
{
    struct server s;
    server_start(&s, "return function() ff.activity('bad') end", NULL, NULL);
    server_task(&s);
    server_fail(&s, "bad", "Boom", "it broke");
    server_task(&s);
    const Pb__Failure *f = s.failure;
    assert_string_equal(f->message, "activity 'bad' failed");
    assert_string_equal(f->source, "FuzzForge");
    assert_non_null(strstr(f->stack_trace, "workflow.lua:1:"));
    assert_int_equal(f->failure_info_case, PB__FAILURE__FAILURE_INFO_ACTIVITY_FAILURE_INFO);
    assert_string_equal(f->activity_failure_info->activity_type->name, "bad");
    assert_string_equal(f->activity_failure_info->activity_id, "1");
    assert_int_equal(f->activity_failure_info->scheduled_event_id, 5);
    assert_int_equal(f->cause->failure_info_case, PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO);
    assert_string_equal(f->cause->application_failure_info->type, "Boom");
    assert_string_equal(f->cause->message, "it broke");
    assert_null(f->cause->cause);
    server_release(&s);

    /* Raised again it is the same; with other words those stand in front of it. */
    server_start(&s, "return function() local ok, e = pcall(ff.activity, 'bad') error(e, 0) end", NULL, NULL);
    server_task(&s);
    server_fail(&s, "bad", "Boom", "it broke");
    server_task(&s);
    assert_string_equal(s.failure->message, "activity 'bad' failed");
    server_release(&s);
    server_start(&s, "return function() local ok, e = pcall(ff.activity, 'bad') e.message = 'no luck' error(e) end", NULL, NULL);
    server_task(&s);
    server_fail(&s, "bad", "Boom", "it broke");
    server_task(&s);
    assert_string_equal(s.failure_message, "no luck: activity 'bad' failed: it broke");
    assert_string_equal(s.failure->application_failure_info->type, "Boom");
    server_release(&s);

    server_start(&s, "return function() ff.child('kid') end", NULL, NULL);
    server_task(&s);
    server_fail(&s, "kid", "Boom", "it broke");
    server_task(&s);
    assert_string_equal(s.failure_message, "child workflow 'kid' failed: it broke");
    assert_int_equal(s.failure->failure_info_case, PB__FAILURE__FAILURE_INFO_CHILD_WORKFLOW_EXECUTION_FAILURE_INFO);
    server_release(&s);
}

static void test_timers_and_races(void **state)
{
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local t0 = ff.now() ff.sleep('6s') local dt = ff.now() - t0\n"
                 "  local a, t = ff.start('slow'), ff.timer(5)\n"
                 "  local v, who = ff.race{work = a, time = t}\n"
                 "  a:cancel()\n"
                 "  local ok, e = pcall(ff.await, a)\n"
                 "  local f = ff.start('never') f:cancel()\n"
                 "  local ok2, e2 = pcall(ff.await, f)\n"
                 "  return {who = who, e = e.type, e2 = e2.type, dt = dt > 0}\n"
                 "end", NULL, NULL);
    server_task(&s);
    server_fire(&s, NULL);
    server_task(&s);
    server_fire(&s, NULL);
    server_task(&s);
    assert_int_equal(s.result.commands_count, 1); /* cancel slow; it still waits for its end */
    server_ack_cancels(&s);
    server_task(&s);
    assert_true(s.closed);
    assert_string_equal(json_str(s.final, "who", ""), "time");
    assert_string_equal(json_str(s.final, "e", ""), "Cancelled");
    assert_string_equal(json_str(s.final, "e2", ""), "Cancelled");
    assert_true(json_flag(s.final, "dt", false));
    server_release(&s);
}

static void test_deadline(void **state)
{
    static const char script[] = "return function() ff.sleep(5) return {left = (ff.info().deadline or 0) - ff.now()} end";
    struct server s;
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        server_start(&s, script, NULL, NULL);
        if (limited)
            s.events.v[0]->workflow_execution_started_event_attributes->workflow_run_timeout = pbx_duration(60 * NS_PER_S);
        server_task(&s);
        server_fire(&s, NULL);
        server_task(&s);
        double left = json_num(s.final, "left", 0);
        assert_true(limited ? left > 0 && left <= 60 : left < 0);
        server_release(&s);
    }
}

static void test_signals(void **state)
{
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local got = {}\n"
                 "  local first = ff.wait_signal('go')\n"
                 "  local none = ff.wait_signal('go', '1s')\n"
                 "  local second = ff.wait_signal('go', '1m')\n"
                 "  ff.on_signal('add', function(v) ff.activity('note', {v = v}) got[#got + 1] = v end)\n"
                 "  while #got < 3 do ff.sleep('1s') end\n"
                 "  return {first = first, none = none == nil, second = second, got = got}\n"
                 "end", NULL, NULL);
    server_task(&s);
    server_signal(&s, "add", "1");
    server_signal(&s, "go", "{\"x\":1}");
    server_task(&s);
    server_fire(&s, NULL);
    server_task(&s);
    server_signal(&s, "go", "\"two\"");
    server_signal(&s, "add", "2");
    server_task(&s); /* cancels the timer of wait_signal, takes up the buffered signals */
    server_signal(&s, "add", "3");
    server_drain(&s, NULL);
    assert_true(s.closed);
    struct strbuf b = STRBUF_INIT;
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"first\":{\"x\":1},\"got\":[1,2,3],\"none\":true,\"second\":\"two\"}");
    strbuf_release(&b);
    server_release(&s);
}

/* What came before anybody listened is kept, in order, and costs no more than it is. */
static void test_many_signals(void **state)
{
    enum { COUNT = 20000 };
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local first, n, bad = ff.wait_signal('s'), 1, 0\n"
                 "  assert(first == 1)\n"
                 "  for i = 2, 100 do assert(ff.wait_signal('s') == i) n = i end\n"
                 "  ff.on_signal('s', function(v) if v ~= n + 1 then bad = bad + 1 end n = v end)\n"
                 "  ff.wait_signal('end')\n"
                 "  return {n = n, bad = bad}\n"
                 "end", NULL, NULL);
    for (int i = 1; i <= COUNT; i++) {
        char text[20];
        snprintf(text, sizeof text, "%d", i);
        server_signal(&s, "s", text);
    }
    server_task(&s);
    server_signal(&s, "end", "0");
    server_task(&s);
    assert_true(s.closed);
    assert_int_equal(json_i64(s.final, "n", 0), COUNT);
    assert_int_equal(json_i64(s.final, "bad", -1), 0);
    server_release(&s);
}

static void test_queries(void **state)
{
    struct server s;
    server_start(&s,
                 "local n = 0\n"
                 "return function()\n"
                 "  ff.on_query('count', function(arg) return {n = n, arg = arg} end)\n"
                 "  ff.on_query('bad', function() ff.activity('x') end)\n"
                 "  ff.on_query('loop', function() while true do end end)\n"
                 "  ff.on_query('dice', function() return {r = math.random(1000000)} end)\n"
                 "  ff.progress(1, 10, 'scanning')\n"
                 "  ff.activity('a') n = n + 1\n"
                 "  ff.progress{done = 2} ff.sleep(1)\n"
                 "  return {r = math.random(1000000)}\n"
                 "end", NULL, NULL);
    server_task(&s);
    static const struct {
        const char *name, *arg, *want;
    } cases[] = {{"count", "{\"k\":1}", "{\"arg\":{\"k\":1},\"n\":0}"},
                 {"__progress", NULL, "{\"done\":1,\"message\":\"scanning\",\"total\":10}"},
                 {"nope", NULL, "error: unknown query 'nope'; there are: __progress, __stack, bad, count, dice, loop"},
                 {"bad", NULL, "error: ff.activity: a query handler may only look, not start or wait"},
                 {"loop", NULL, "error: the script ran more than 5000000 instructions without waiting"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = server_query(&s, cases[i].name, cases[i].arg);
        if (!strstr(got, strncmp(cases[i].want, "error: ", 7) == 0 ? cases[i].want + 7 : cases[i].want))
            fail_msg("%s: %s", cases[i].name, got);
        free(got);
    }
    char *dice = server_query(&s, "dice", NULL), *stack = server_query(&s, "__stack", NULL);
    assert_non_null(strstr(stack, "workflow.lua:8"));
    free(stack);
    server_complete(&s, "a", "{}");
    server_task(&s);
    char *count = server_query(&s, "count", NULL);
    assert_string_equal(count, "{\"arg\":null,\"n\":1}");
    free(count);
    char *again = server_query(&s, "dice", NULL);
    assert_string_equal(dice, again); /* a query does not use up the run's chance */
    free(dice);
    free(again);
    server_drain(&s, NULL);
    assert_true(s.closed);
    char *after = server_query(&s, "count", NULL);
    assert_string_equal(after, "{\"arg\":null,\"n\":1}");
    free(after);
    server_release(&s);
}

static void test_children(void **state)
{
    struct server s;
    server_start(&s,
                 "return function(input)\n"
                 "  local a = ff.child('sub', {depth = 3})\n"
                 "  local f = ff.start_child('sub', {}, {id = 'mine', parent_close_policy = 'abandon', timeout = '1h'})\n"
                 "  local ok, e = pcall(ff.await, f)\n"
                 "  return {x = a.x, t = e.type, c = e.child}\n"
                 "end", "{\"target\":{\"ref\":\"t\"},\"parameters\":{\"p\":1},\"run\":{\"id\":\"r\"}}", NULL);
    server_task(&s);
    struct strbuf b = STRBUF_INIT;
    json_write(s.pending.v[0].input, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"parameters\":{\"depth\":3},\"run\":{\"id\":\"r\"},\"target\":{\"ref\":\"t\"}}");
    assert_string_equal(s.pending.v[0].id, "wf-5c1c9a52-1");
    server_complete(&s, "sub", "{\"x\":5,\"incomplete\":true}");
    server_task(&s);
    const Pb__StartChildWorkflowExecutionCommandAttributes *c =
        s.result.commands[0]->start_child_workflow_execution_command_attributes;
    assert_string_equal(c->workflow_id, "mine");
    assert_int_equal(c->parent_close_policy, PB__PARENT_CLOSE_POLICY__PARENT_CLOSE_POLICY_ABANDON);
    assert_int_equal(c->workflow_run_timeout->seconds, 3600);
    server_fail(&s, "sub", "Deep", "trouble");
    server_task(&s);
    strbuf_clear(&b);
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"c\":\"sub\",\"incomplete\":true,\"t\":\"Deep\",\"x\":5}");
    strbuf_release(&b);
    server_release(&s);
}

static void test_continue_as_new(void **state)
{
    struct server s;
    server_start(&s,
                 "return function(input) pcall(function() local x <close> = setmetatable({}, {__close = function() end})\n"
                 "ff.continue_as_new{parameters = {n = input.parameters.n + 1}} end) while true do end end",
                 "{\"target\":{\"ref\":\"t\"},\"parameters\":{\"n\":1},\"run\":{}}", "{\"vertical\":\"v\"}");
    server_drain(&s, NULL);
    assert_int_equal(s.close_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW);
    const Pb__ContinueAsNewWorkflowExecutionCommandAttributes *c =
        s.result.commands[0]->continue_as_new_workflow_execution_command_attributes;
    assert_string_equal(c->workflow_type->name, "test");
    assert_string_equal(c->task_queue->name, "workflows");
    assert_int_equal(c->header->n_fields, 1);
    struct strbuf b = STRBUF_INIT;
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"parameters\":{\"n\":2},\"run\":{},\"target\":{\"ref\":\"t\"}}");
    strbuf_release(&b);
    server_release(&s);
}

static void test_cancellation(void **state)
{
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local bg = ff.start('background')\n"
                 "  ff.scope(function()\n"
                 "    ff.activity('fuzz')\n"
                 "  end, function(e)\n"
                 "    ff.activity('clean', {why = e.type, msg = e.message})\n"
                 "  end)\n"
                 "end", NULL, NULL);
    server_task(&s);
    server_cancel(&s);
    server_task(&s);
    assert_int_equal(s.result.commands_count, 3); /* two cancellations, the cleanup */
    assert_false(s.closed);
    struct pending *p = server_find(&s, "clean");
    assert_non_null(p);
    assert_string_equal(json_str(p->input, "why", ""), "Cancelled");
    assert_string_equal(json_str(p->input, "msg", ""), "the user asked");
    server_ack_cancels(&s);
    server_task(&s);
    server_complete(&s, "clean", "{}");
    server_task(&s);
    assert_int_equal(s.close_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED);
    server_release(&s);
    /* a shielded section goes on; the next wait after it ends the run; what pcall caught may end it well */
    server_start(&s,
                 "return function()\n"
                 "  local r = ff.scope(function() return ff.activity('keep') end)\n"
                 "  local ok, e = pcall(ff.sleep, 10)\n"
                 "  return {r = r.v, ok = ok, t = e.type, c = ff.cancelled()}\n"
                 "end", NULL, NULL);
    server_task(&s);
    server_cancel(&s);
    server_task(&s);
    assert_int_equal(s.result.commands_count, 0);
    server_complete(&s, "keep", "{\"v\":1}");
    server_task(&s);
    assert_int_equal(s.close_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
    struct strbuf b = STRBUF_INIT;
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"c\":true,\"ok\":false,\"r\":1,\"t\":\"Cancelled\"}");
    strbuf_release(&b);
    server_release(&s);
    /* timers, children, waiting for a signal, all and race */
    server_start(&s,
                 "return function() local k = ff.start_child('kid') local a = ff.start('a')\n"
                 "ff.on_signal('s', function() ff.wait_signal('never') end)\n"
                 "ff.race{ff.timer(5), k, a} end", NULL, NULL);
    server_task(&s);
    server_signal(&s, "s", "1");
    server_task(&s);
    server_cancel(&s);
    server_task(&s);
    assert_int_equal(s.close_type, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED);
    assert_int_equal(s.result.commands_count, 4);
    server_release(&s);
}

static void test_failed_cleanup(void **state)
{
    struct server s;
    server_start(&s, "return function() ff.scope(function() error('body', 0) end, function(e) error(e .. ' and cleanup', 0) end) end", NULL, NULL);
    server_drain(&s, NULL);
    assert_string_equal(s.failure_message, "body");
    assert_string_equal(strbuf_str(&s.logs), "1:cleanup failed: body and cleanup\n");
    server_release(&s);
    expect_failure("return ff.scope(function() return {} end, function(e) error('cleanup', 0) end)", "ScriptError", "cleanup");
    expect("return ff.scope(function() return {a = 1}, 2 end, function(e) assert(e == nil) end)", "{\"a\":1}");
    expect("local t = {} pcall(ff.scope, function() ff.scope(function() error('x', 0) end, function() t[#t + 1] = 'in' end) end, "
           "function(e) t[#t + 1] = e end) return {t = t}", "{\"t\":[\"in\",\"x\"]}");
}

static void test_coroutines_wait(void **state)
{
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(ff.activity('a', {i = i}).v) end end)\n"
                 "  local mt = setmetatable({}, {__index = function(t, k) return ff.activity(k).v end})\n"
                 "  local sum = gen() + gen() + mt.b + gen()\n"
                 "  local ok, e = pcall(table.sort, {3, 2, 1}, function(x, y) ff.sleep(1) return x < y end)\n"
                 "  local ok2, e2 = pcall(function() return ff.scope(function() return pcall(ff.activity, 'c') end) end)\n"
                 "  local ok3, e3 = pcall(coroutine.yield, 1)\n"
                 "  return {sum = sum, e = e, ok2 = ok2, e3 = e3}\n"
                 "end", NULL, NULL);
    server_drain(&s, "{\"v\":7}");
    assert_true(s.closed);
    assert_int_equal(json_i64(s.final, "sum", 0), 28);
    assert_non_null(strstr(json_str(s.final, "e", ""), "cannot wait inside a function called from C"));
    assert_string_equal(json_str(s.final, "e3", ""), "attempt to yield from outside a coroutine");
    server_release(&s);
}

/* Signals reach a handler while the main function waits; its thread is nobody's to resume. Queries ride on a task. */
static void test_fibers_apart(void **state)
{
    struct server s;
    server_start(&s,
                 "return function()\n"
                 "  local main, seen = coroutine.running(), {}\n"
                 "  ff.on_signal('x', function(v) seen[#seen + 1] = coroutine.status(main) seen[#seen + 1] = coroutine.resume(main) "
                 "seen[#seen + 1] = pcall(coroutine.close, main) end)\n"
                 "  ff.on_query('n', function() return {n = #seen} end)\n"
                 "  ff.activity('a')\n"
                 "  return {seen = seen}\n"
                 "end", NULL, NULL);
    server_task(&s);
    server_signal(&s, "x", "1");
    server_task(&s);
    server_complete(&s, "a", "{}");
    server_task(&s);
    struct strbuf b = STRBUF_INIT;
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"seen\":[\"normal\",false,false]}");
    strbuf_release(&b);
    server_release(&s);
}

static void test_queries_on_task(void **state)
{
    static const char script[] = "return function() local n = 0 ff.on_query('n', function(x) return {n = n, x = x} end) n = n + 1 ff.sleep(1) end";
    struct server s;
    struct err err = {0};
    struct workflow *w;
    struct workflow_result r;
    server_start(&s, script, NULL, NULL);
    s.compare = false;
    Pb__PollWorkflowTaskQueueResponse task;
    Pb__WorkflowExecution x;
    Pb__History h;
    Pb__WorkflowQuery q[2];
    Pb__PollWorkflowTaskQueueResponse__QueriesEntry entries[2], *list[] = {&entries[0], &entries[1]};
    pb__poll_workflow_task_queue_response__init(&task);
    pb__workflow_execution__init(&x);
    pb__history__init(&h);
    for (int i = 0; i < 2; i++) {
        pb__workflow_query__init(&q[i]);
        pb__poll_workflow_task_queue_response__queries_entry__init(&entries[i]);
        q[i].query_type = (char *)(i ? "none" : "n");
        entries[i].key = (char *)(i ? "k2" : "k1");
        entries[i].value = &q[i];
    }
    Pb__HistoryEvent *e = server_event(&s, PB__EVENT_TYPE__EVENT_TYPE_WORKFLOW_TASK_STARTED);
    e->workflow_task_started_event_attributes = malloc(sizeof *e->workflow_task_started_event_attributes);
    pb__workflow_task_started_event_attributes__init(e->workflow_task_started_event_attributes);
    e->attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_STARTED_EVENT_ATTRIBUTES;
    h.events = s.events.v;
    h.n_events = s.events.len;
    task.workflow_execution = &x;
    task.history = &h;
    task.queries = list;
    task.n_queries = 2;
    assert_int_equal(workflow_new(script, sizeof script - 1, "workflow.lua", NULL, &w, &err), 0);
    assert_int_equal(workflow_task(w, &task, NULL, 0, &r, &err), 0);
    assert_int_equal(r.commands_count, 1);
    assert_int_equal(r.query_results_count, 2);
    assert_string_equal(r.query_results[0]->key, "k1");
    const Pb__Payload *p = r.query_results[0]->value->answer->payloads[0];
    assert_int_equal(p->data.len, strlen("{\"n\":1,\"x\":null}"));
    assert_memory_equal(p->data.data, "{\"n\":1,\"x\":null}", p->data.len);
    assert_int_equal(r.query_results[1]->value->result_type, PB__QUERY_RESULT_TYPE__QUERY_RESULT_TYPE_FAILED);
    assert_null(r.query_result);
    workflow_result_release(&r);
    workflow_free(w);
    server_release(&s);
}

static void test_bad_payloads(void **state)
{
    struct server s;
    server_start(&s,
                 "return function() local ok, e = pcall(ff.activity, 'a') local ok2, e2 = pcall(ff.activity, 'b') "
                 "return {t = e.type, m = e.message, t2 = e2.type, m2 = e2.message} end", NULL, NULL);
    server_task(&s);
    server_complete(&s, "a", "{}");
    Pb__Payload *p = s.events.v[s.events.len - 2]->activity_task_completed_event_attributes->result->payloads[0];
    p->data.len = 1; /* "{" */
    server_task(&s);
    server_complete(&s, "b", "{}");
    p = s.events.v[s.events.len - 2]->activity_task_completed_event_attributes->result->payloads[0];
    memcpy(p->metadata[0]->value.data, "protobuf!!", 10);
    server_task(&s);
    struct strbuf b = STRBUF_INIT;
    json_write(s.final, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"m\":\"no valid JSON at byte 1: an object without a name in quotes\","
                                        "\"m2\":\"payload encoding 'protobuf!!' is not json/plain\",\"t\":\"BadPayload\",\"t2\":\"BadPayload\"}");
    strbuf_release(&b);
    server_release(&s);
}

/* JSON that comes in goes out the same. */
static void test_json_round_trip(void **state)
{
    static const char *const texts[] = {
        "{\"a\":[],\"b\":{},\"c\":[[],{}],\"d\":null,\"e\":-0.5,\"f\":9223372036854775807,\"g\":\"\\u0000\\\"\\\\\"}",
        "[1,2,3]", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "true", "-1", "1.25", "null", "{\"\":{\"x y\":[true,false,null]}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct server s;
        server_start(&s, "return function() return {v = ff.activity('a')} end", NULL, NULL);
        server_task(&s);
        server_complete(&s, "a", texts[i]);
        server_task(&s);
        struct strbuf b = STRBUF_INIT;
        json_write(json_object_get(s.final, "v"), &b, NULL);
        assert_string_equal(strbuf_str(&b), texts[i]);
        strbuf_release(&b);
        server_release(&s);
    }
}

static void test_logs_once(void **state)
{
    struct server s;
    server_start(&s,
                 "return function() ff.log('info', 'one', {}, nil) ff.activity('a') ff.log('debug', 'two') print('three') end",
                 NULL, NULL);
    s.keep_cache = false; /* each task replays; what was logged is not logged again */
    server_drain(&s, NULL);
    assert_string_equal(strbuf_str(&s.logs), "2:one {} nil\n3:two\n2:three\n");
    server_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_order),
        cmocka_unit_test(test_library),    cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_activities), cmocka_unit_test(test_context),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_failure_chain),     cmocka_unit_test(test_timers_and_races),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_signals),    cmocka_unit_test(test_queries),
        cmocka_unit_test(test_children),   cmocka_unit_test(test_continue_as_new),
        cmocka_unit_test(test_cancellation), cmocka_unit_test(test_coroutines_wait), cmocka_unit_test(test_many_signals), cmocka_unit_test(test_failed_cleanup),
        cmocka_unit_test(test_logs_once),  cmocka_unit_test(test_fibers_apart),
        cmocka_unit_test(test_queries_on_task), cmocka_unit_test(test_bad_payloads),
        cmocka_unit_test(test_json_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
