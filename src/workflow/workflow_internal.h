/* The private half of the workflow runtime: what its files share.
 *
 *   alloc.c    memory of the Lua state: bounded, with a creation number in front of every object
 *   limits.c   instruction, memory and time limits that a script cannot swallow
 *   sandbox.c  the globals a script sees; base functions; coroutines
 *   order.c    pairs, next, tostring: the same in every state
 *   pattern.c  string matching with a bound; strlib.c, tablib.c: the rest of string and table
 *   value.c    Lua values -> JSON text; value_read.c: the way back
 *   fiber.c    the scheduler: fibers, futures, signals, cancellation; wait.c: what waits; event_map.c
 *   api.c      ff.*; options.c: the options of activities and children
 *   command.c  commands to be sent; replay.c: history in, matching of commands; failure.c: failures <-> ff.error
 *   query.c    queries; workflow.c: the public functions
 *
 * Cleanup attributes do not run across Lua's longjmp: a function that can raise holds nothing live,
 * what it needs is in struct workflow or on the Lua stack; what must not raise is plain C that
 * knows no lua_State. */
#ifndef FF_WORKFLOW_WORKFLOW_INTERNAL_H
#define FF_WORKFLOW_WORKFLOW_INTERNAL_H

#include "base/strbuf.h"
#include "base/vec.h"
#include "workflow/workflow.h"

#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>

#define NAME_LEN_MAX 1000              /* bytes of a module, workflow, signal or query name, and of an id */
#define PAYLOAD_BYTES_MAX ((size_t)2 << 20)
#define VALUE_DEPTH_MAX 100            /* nesting of a table that becomes JSON, and back */
#define LOGS_MAX 1000                  /* log lines of one task */
#define LOG_BYTES_MAX 4096
#define QUERY_INSTRUCTIONS 20000000

enum limit_kind { LIMIT_NONE, LIMIT_INSTRUCTIONS, LIMIT_MEMORY, LIMIT_TIME, LIMIT_WEAK };

/* ---- memory ---- */

#define HEAP_CLASSES 16 /* of 16 bytes each; larger blocks are malloc's */
struct heap {
    size_t used, limit;
    size_t chunk_bytes;
    void *free[HEAP_CLASSES];
    struct heap_chunk *chunks;
    char *bump, *bump_end;
    struct heap_large *large;
    uint32_t serial; /* of the object made last */
    bool failed;     /* malloc gave nothing: the machine is out of memory, not the script over its limit */
    bool over;       /* the limit was met since it was last cleared */
};

struct heap_header { /* in front of every block */
    uint32_t serial; /* creation number, of tables, functions, userdata and threads */
    uint32_t shown;  /* the number that tostring() gave it; 0: not yet */
};

struct workflow;
void *heap_realloc(void *ud, void *ptr, size_t osize, size_t nsize); /* a lua_Alloc; ud: struct workflow */
void lua_heap_release(struct heap *h);
static inline struct heap_header *heap_header(const void *block)
{
    return (struct heap_header *)block - 1;
}

/* ---- fibers and futures ---- */

/* What Lua keeps for us in front of each thread. */
struct thread_extra {
    uint32_t shield;  /* open shielded scopes on this thread */
    uint32_t blocked; /* it waits in a blocking call of ff: nobody may resume it but the scheduler */
};
_Static_assert(sizeof(struct thread_extra) <= LUA_EXTRASPACE, "thread_extra does not fit");
static inline struct thread_extra *thread_extra(lua_State *L)
{
    return lua_getextraspace(L);
}

enum future_kind { FUTURE_ACTIVITY, FUTURE_TIMER, FUTURE_CHILD };
enum future_state { FUTURE_PENDING, FUTURE_DONE, FUTURE_FAILED };

struct waiter {
    struct fiber *fiber;
    uint64_t token;
    struct waiter *next;
};

/* A full userdata with one user value: the result, or the error. Anchored in the registry while it
 * is pending. */
struct future {
    uint32_t serial, shown; /* as in heap_header */
    enum future_kind kind;
    enum future_state state;
    bool cancel_requested, shielded, started;
    uint64_t seq;
    int64_t event_id; /* of the event that started it; 0: the command is not sent yet */
    struct waiter *waiters, *last_waiter;
    struct future *prev, *next; /* pending ones in order of creation */
    char run_id[64];            /* of a child that has started */
    char *id;                   /* workflow id of a child; inside the block */
    char name[];                /* module or workflow */
};

enum wait_kind { WAIT_NONE, WAIT_ONE, WAIT_ALL, WAIT_RACE, WAIT_SIGNAL };

struct fiber {
    struct fiber *prev, *next; /* all of them, in order of creation */
    struct fiber *next_ready;
    lua_State *co;
    int ref;
    bool is_main, ready, started;
    bool interrupted; /* cancellation ended its wait */
    int nargs;        /* values on top of co that resume passes */
    enum wait_kind wait;
    uint64_t token;          /* of the wait; a stale waiter has another */
    size_t remaining;        /* WAIT_ALL: futures still pending */
    struct future *decider;  /* the future that ended the wait */
    char *signal;            /* WAIT_SIGNAL: its name */
    bool signalled;
    uint32_t shield;         /* while it is suspended: open shielded scopes of its whole chain */
};

struct ready_queue {
    struct fiber *head, *tail;
};

/* ---- commands ---- */

enum command_kind {
    COMMAND_NONE, /* taken back before it was sent */
    COMMAND_ACTIVITY,
    COMMAND_CANCEL_ACTIVITY,
    COMMAND_TIMER,
    COMMAND_CANCEL_TIMER,
    COMMAND_CHILD,
    COMMAND_CANCEL_CHILD,
    COMMAND_MARKER,
    COMMAND_COMPLETE,
    COMMAND_FAIL,
    COMMAND_CANCEL,
    COMMAND_CONTINUE,
};

struct command {
    enum command_kind kind;
    struct future *future; /* what it starts; NULL for the others */
    uint64_t seq;
    int64_t event_id; /* of what it cancels */
    char *name;       /* module, workflow or patch id */
    char *id;         /* workflow id of a child */
    int line;         /* of the script */
    Pb__Command *pb;  /* NULL while history is replayed */
};

struct activity_opts {
    int64_t timeout_ms, queue_timeout_ms, heartbeat_ms;
    int retry_max;
    int64_t retry_initial_ms, retry_interval_max_ms;
    double retry_backoff;
    const char *non_retryable[32]; /* borrowed from the Lua stack */
    size_t non_retryable_count;
    const char *vertical, *network, *summary;
    bool has_resources; /* JSON text in w->text[1] */
};

struct child_opts {
    const char *id;
    const char *vertical;
    int64_t timeout_ms, task_timeout_ms;
    Pb__ParentClosePolicy parent_close_policy;
};

/* ---- the run ---- */

struct event_map { /* event id -> pending future */
    int64_t *keys; /* 0: empty */
    struct future **values;
    size_t cap, len;
};

enum closing { CLOSING_NOT, CLOSING_COMPLETE, CLOSING_FAIL, CLOSING_CANCEL, CLOSING_CONTINUE };

struct workflow {
    lua_State *L;
    struct heap heap;
    struct workflow_limits limits;
    char *script, *chunk_name;
    size_t script_len;

    /* limits */
    int64_t budget; /* instructions left in this run of the fibers */
    int64_t deadline_ns;
    enum limit_kind limit_hit; /* sticky: pcall and resume raise it again */
    bool running;              /* script code is on the stack: budget and deadline count */
    unsigned hooks;

    /* determinism */
    uint64_t rng[4];
    uint32_t shown;
    uint64_t next_activity, next_timer, next_child;
    int64_t now_ns;

    /* the scheduler */
    struct fiber *fibers, *last_fiber, *idle, *main_fiber, *current;
    struct ready_queue ready, ready_signals;
    /* signals whose handlers are to be started: handler, value, handler, value ... */
    lua_Integer deliveries_first, deliveries_last;
    uint64_t next_token;
    uint32_t shield; /* of the chain of threads that runs */
    bool blocked;    /* the yield that is under way is ours, not coroutine.yield() */
    lua_State *base; /* the outermost thread of what runs: a fiber's, or a query's */
    struct waiter *idle_waiters;
    struct future *pending_head, *pending_tail;
    struct event_map by_event;

    /* the run */
    bool started, cancelled, incomplete, replaying, in_query, broken;
    char *cancel_cause; /* set by the event; the script learns of it when its fibers run */
    char *workflow_id, *run_id, *type, *task_queue;
    Pb__Header *header;
    Pb__Memo *memo;
    json_t *context;    /* "ff-context" of the header, an object */
    json_t *default_context, *default_parameters; /* or NULL */
    json_t *start_input;
    int64_t run_timeout_ns, task_timeout_ns;
    int64_t closes_ns; /* when the run's own time is over; 0: never */
    int32_t attempt;
    bool suggest_continue;
    enum closing closing;
    char *progress;     /* JSON text */
    json_t *patches;    /* id -> decided; true or false */
    json_t *recorded_patches; /* ids of the markers in the history at hand */

    /* history */
    int64_t next_event_id, last_started_id;
    bool ran_ahead; /* the last task was run, its completion is not seen yet */
    bool matching;  /* events of commands are due */
    VEC(struct command) commands;
    size_t commands_first; /* those before are matched */

    /* a task's answers */
    struct workflow_result *result;
    int failed;            /* -ERR_x: workflow_task() gives it up */
    char *nondeterminism;  /* message; the task fails */
    Pb__Failure *failure;  /* of a run that ends so */

    /* scratch: what a longjmp must not lose */
    struct strbuf text[2];
    struct err err;
};

static inline struct workflow *workflow_of(lua_State *L)
{
    void *ud;
    lua_getallocf(L, &ud);
    return ud;
}

/* limits.c */
void limits_install(struct workflow *w);
void limits_begin(struct workflow *w, uint64_t instructions);
void limits_end(struct workflow *w);
void limits_charge(lua_State *L, uint64_t n); /* raises when the budget is used up */
/* After a protected call gave status: raises again what a script must not swallow (a limit, the end
 * of the run). */
void limits_rethrow(lua_State *L, int status);
bool limits_unwinding(const struct workflow *w);
const char *limit_name(enum limit_kind k);
void limit_message(const struct workflow *w, char *buf, size_t size);
int64_t limits_cpu_ns(void);

/* sandbox.c: builds the globals of a fresh state. Raises. */
void sandbox_open(lua_State *L);
/* The name of a function of ours or of the standard library ("string.byte"); NULL: none. ret_index
 * (may be NULL): its place, for ordering. */
const char *sandbox_function_name(lua_CFunction f, size_t *ret_index);
extern lua_CFunction sandbox_string_rep, sandbox_string_format; /* the standard library's own */
int sandbox_where(lua_State *L); /* line of the script that is running; 0: none */

/* order.c */
int order_pairs(lua_State *L);
int order_next(lua_State *L);
int order_tostring(lua_State *L);
/* Pushes an array of the keys of the table at index t in their order; gives their number. */
lua_Integer order_keys(lua_State *L, int t);
/* Pushes the text of any value, as tostring() gives it; metamethods are called if asked. */
const char *order_tolstring(lua_State *L, int idx, bool metamethods, size_t *len);

/* pattern.c, strlib.c, tablib.c */
int pattern_find(lua_State *L);
int pattern_match(lua_State *L);
int pattern_gmatch(lua_State *L);
int pattern_gsub(lua_State *L);
int strlib_rep(lua_State *L);
int strlib_format(lua_State *L);
int strlib_charged(lua_State *L); /* upvalue 1: the standard function */
int tablib_concat(lua_State *L);
int tablib_insert(lua_State *L);
int tablib_remove(lua_State *L);
int tablib_move(lua_State *L);
int tablib_pack(lua_State *L);
int tablib_unpack(lua_State *L);
int tablib_sort(lua_State *L);

/* value.c */
extern const char value_array_key; /* registry: metatable of arrays */
void value_open(lua_State *L);
/* JSON text of the value at idx into out (cleared first). Raises with the path of what cannot be
 * JSON; what names the value in messages. max: bytes. */
void value_write(lua_State *L, int idx, struct strbuf *out, const char *what, size_t max);
void value_push(lua_State *L, const json_t *j); /* raises */
/* Pushes the value of a JSON text, or of payload 0 (null if there is none). false: a message is
 * pushed instead. Raises for memory alone; text[1] is used. */
bool value_read(lua_State *L, const char *text, size_t len);
bool value_read_payload(lua_State *L, const Pb__Payloads *p);
/* Raises unless the text is UTF-8. */
void value_check_text(lua_State *L, const char *s, size_t n, const char *what);
int value_array(lua_State *L); /* ff.array */

/* rng.c */
void rng_seed(uint64_t s[4], const char *text, size_t len);
uint64_t rng_next(uint64_t s[4]);
double rng_float(uint64_t s[4]);
int rng_random(lua_State *L); /* math.random and ff.random */
int rng_randomseed(lua_State *L);
int rng_uuid(lua_State *L);

/* fiber.c */
extern const char future_key; /* registry: metatable of futures */
void fiber_open(lua_State *L);
/* Makes a fiber that will call the function below its nargs arguments, all on top of L; pops them.
 * Raises. */
struct fiber *fiber_spawn(struct workflow *w, lua_State *L, int nargs, bool is_main);
void fiber_run(struct workflow *w, lua_State *L); /* until nothing is ready or the run ends */
struct future *future_new(lua_State *L, enum future_kind kind, const char *name, const char *id);
/* Ends a pending future with the value on top of L (popped). */
void future_resolve(struct workflow *w, lua_State *L, struct future *f, bool ok);
struct future *future_check(lua_State *L, int idx);
/* Blocks until it ends: to be called as return future_await(L, idx). */
int future_await(lua_State *L, int idx);
int fiber_await(lua_State *L); /* ff.await */
int fiber_all(lua_State *L);
int fiber_race(lua_State *L);
int fiber_scope(lua_State *L);
int fiber_wait_signal(lua_State *L);
/* Raises if nothing may be started or awaited now: in a query, where yielding is impossible, after
 * cancellation. */
void fiber_check(lua_State *L, const char *what, bool will_wait);
void fiber_signal(struct workflow *w, lua_State *L, const char *name); /* value on top of L, popped */
/* Pushes the oldest value that waits in the queue of a name; false: none, and nothing is pushed. */
bool fiber_take_signal(lua_State *L, const char *name);
void fiber_flush_signals(struct workflow *w, lua_State *L, const char *name);
void fiber_cancel_all(struct workflow *w, lua_State *L);
void future_cancel(struct workflow *w, lua_State *L, struct future *f);
void fiber_release(struct workflow *w);
bool event_map_set(struct event_map *m, int64_t key, struct future *f);
struct future *event_map_take(struct event_map *m, int64_t key);
struct future *event_map_get(const struct event_map *m, int64_t key);

/* api.c, options.c */
void api_open(lua_State *L);
int api_print(lua_State *L);
int api_log(lua_State *L); /* ff.log */
const char *api_function_name(lua_CFunction f, size_t *ret_index);
void options_activity(lua_State *L, int idx, struct activity_opts *ret);
void options_child(lua_State *L, int idx, struct child_opts *ret);
int64_t options_duration_ms(lua_State *L, int idx, const char *what);

/* command.c: plain C; 0 or -ERR_NO_MEMORY. In replay only what matching needs is kept. */
int command_activity(struct workflow *w, struct future *f, const struct activity_opts *o, int line);
int command_timer(struct workflow *w, struct future *f, int64_t ms, int line);
int command_child(struct workflow *w, struct future *f, const struct child_opts *o, int line);
int command_cancel(struct workflow *w, struct future *f, int line);
int command_marker(struct workflow *w, const char *patch, int line);
int command_close(struct workflow *w, enum command_kind kind, int line);
/* Takes back a command that has not been sent; false: it has been. */
bool command_take_back(struct workflow *w, const struct future *f);
void command_clear(struct workflow *w);
const char *command_describe(const struct command *c, char *buf, size_t size);
Pb__Payloads *command_payloads(const char *text, size_t len);

/* failure.c */
extern const char failure_key; /* registry: metatable of ff.error */
void failure_open(lua_State *L);
/* Pushes an ff.error table. details: JSON value on top of L is taken if has_details. */
void failure_push(lua_State *L, const char *type, const char *message, bool retryable);
void failure_push_pb(lua_State *L, const Pb__Failure *f, const char *field, const char *name, const char *verb);
/* Keeps f for the error table on top: what the run fails with if nobody catches it. */
void failure_keep(lua_State *L, const Pb__Failure *f);
int failure_raise(lua_State *L); /* ff.error */
int failure_new(lua_State *L);   /* ff.new_error */
void failure_push_cancelled(lua_State *L);
bool failure_is_cancelled(lua_State *L, int idx);
/* A failure of the run from the error value at idx of L; stack: text or NULL. Calls no metamethod,
 * does not raise but for memory. Sets w->failure. */
void failure_from_error(struct workflow *w, lua_State *L, int idx, const char *stack);
void failure_set(struct workflow *w, const char *type, const char *message, const char *stack, bool non_retryable,
                 const json_t *details);

/* replay.c */
void replay_task(struct workflow *w, lua_State *L, const Pb__HistoryEvent *const *events, size_t count, bool query_only);

/* query.c */
void query_answer_all(struct workflow *w, lua_State *L, const Pb__PollWorkflowTaskQueueResponse *task);

/* Registry keys of tables: name -> function; name -> queue of values; pending futures. */
extern const char deliveries_key, metatables_key;
extern const char signal_handlers_key, signal_queues_key, query_handlers_key, pending_key, main_key;

#endif
