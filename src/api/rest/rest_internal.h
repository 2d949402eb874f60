/* The parts of the server: its table (api.c), connections and requests (server.c), bodies (body.c), threads that may block
 * (jobs.c), answers (reply.c, download.c), streams (stream.c, socket.c), and what each route does (do_*.c). */
#ifndef FF_API_REST_REST_INTERNAL_H
#define FF_API_REST_REST_INTERNAL_H

#include "api/rest/feed.h"
#include "api/rest/mhd.h"
#include "api/rest/rest.h"
#include "api/rest/target.h"
#include "api/rest/tls.h"
#include "api/service/run.h"
#include "api/service/submit.h"
#include "base/histogram.h"
#include "base/map.h"
#include "base/strbuf.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROUTES_MAX 96
#define JSON_BODY_MAX ((size_t)4 << 20)
#define NAME_ID_LEN 26

struct exchange;

/* --- the table ------------------------------------------------------------------------------------------------------ */

typedef int do_route(struct exchange *x, struct err *err);

struct route {
    const char *method, *path, *op, *summary;
    enum rest_role role;
    const json_t *extra; /* the object of api.yaml; NULL: none */
    char *text;          /* parts point into it */
    const char *parts[TARGET_PARTS_MAX]; /* "{name}" is a parameter */
    size_t parts_count;
    do_route *run;
    bool mounted;
    const struct rest_mount *mount; /* NULL: nobody serves it here */
    bool lasts; /* a stream: how long it takes says nothing */
    struct histogram took;
};

struct api {
    json_t *doc;
    struct route routes[ROUTES_MAX];
    size_t count;
    char *openapi; /* text of the document */
};

int api_load(struct api *a, const struct rest_mount *mounts, bool open, struct err *err);
void api_release(struct api *a);
/* The route; NULL: there is none, and then ret_allow (64 bytes) has the methods of that path, or "". HEAD is GET's. */
const struct route *api_find(const struct api *a, const char *method, const struct target *t, char *ret_allow);
const json_t *api_schema(const struct api *a, const char *name);
const json_t *api_parameter(const struct api *a, const char *name);
/* Checks path, query and headers. *ret_args: what was given, {name: value}. ret_field (64 bytes): what is wrong. */
int api_arguments(const struct api *a, const struct exchange *x, json_t **ret_args, char *ret_field, struct err *err);
int openapi_write(const struct api *a, bool open, char **ret, struct err *err);

/* --- jobs ------------------------------------------------------------------------------------------------------------ */

struct jobs;
int jobs_new(struct jobs **ret, struct err *err);
/* of: the namespace whose share of the threads it is, as rest_caller has it. False: too much of it is waiting. */
bool jobs_add(struct jobs *j, const char *of, void (*run)(void *arg), void *arg);
size_t jobs_waiting(struct jobs *j);
/* Waits for all of them; none are taken from here on. NULL is fine. */
void jobs_drain(struct jobs *j);
void jobs_free(struct jobs *j); /* drained before; NULL is fine */

/* --- requests --------------------------------------------------------------------------------------------------------- */

#define ETAG_MAX 48

struct answer {
    int status; /* 0: none yet */
    const char *type;
    char *text;
    size_t len;
    char etag[ETAG_MAX], allow[64], link[8], retry_after[8];
    char header[2][256];
    bool replayed;              /* an idempotent request that was done before */
    struct MHD_Response *ready; /* of a stream, an upgrade, a file; else NULL */
    bool in_file, zipped;
    size_t held; /* that it counts, as long as it is not taken */
};

enum phase { PHASE_BODY, PHASE_WORKING, PHASE_ANSWERED, PHASE_SENT };

struct body_upload;

struct exchange {
    struct rest *rest;
    struct MHD_Connection *conn;
    char id[NAME_ID_LEN + 1];
    char method[16];
    struct target target;
    const char *uri; /* where the library has it; what it points to may be changed by now */
    size_t uri_len;
    int target_error; /* of its parsing; 0: it is fine */
    struct err target_why;
    const struct route *route;
    struct rest_caller caller;
    char name_space[72]; /* that a caller of all of them has named; "": none */
    struct service svc; /* for the caller's namespace */
    char key[LIVE_KEY_MAX];
    json_t *args; /* checked: path, query and header parameters */
    enum phase phase;
    struct strbuf body;
    json_t *json;
    struct body_upload *upload;
    uint64_t body_bytes; /* that have come */
    size_t held; /* bytes of memory that its body has been given */
    int64_t body_ms, body_left_ms; /* when its time was last counted (0: the server was not ready for more), and what was left */
    struct answer answer;
    struct sock *sock; /* that is to be made of the connection, until it is */
    char field[64];         /* what a 422 is about */
    const char *error_type; /* of the error, where it is not the code's own */
    int error_status;       /* the same; 0: the code's */
    bool gzip, head;
    bool closes; /* where the next request begins is not known: the connection ends with the answer */
    bool last;   /* it ends likewise, as the client wants it or the library does */
    bool refused; /* answered past the library */
    bool lingers; /* what the client still sends is taken for a while, so that he sees the answer */
    int64_t begun_ns;
    uint64_t sent;
};

/* A checked argument, or NULL. */
const char *arg_text(const struct exchange *x, const char *name);
int64_t arg_number(const struct exchange *x, const char *name, int64_t def);
/* A header of the request, or NULL. */
const char *request_header(const struct exchange *x, const char *name);

/* Each takes what it is given. */
int reply_json(struct exchange *x, int status, json_t *j, struct err *err);
int reply_text(struct exchange *x, int status, const char *type, char *text, size_t len, struct err *err);
int reply_message(struct exchange *x, const char *run_id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The bytes of an object, for a file: nothing of it is to be shown by a browser. */
int reply_object(struct exchange *x, const char *ref, struct err *err);
/* Is it the server's own? (A version of HTTP that is not spoken here, 505, is not.) */
bool reply_is_fault(int status);
/* Makes an error the answer. */
void reply_error(struct exchange *x, const struct err *why);
/* A 422 that names the field. */
int bad_field(struct exchange *x, const char *field, struct err *err);
/* Sets the ETag of the answer from its text, and makes it a 304 if the client has it. */
void reply_etag(struct exchange *x);
/* In a thread of the jobs, when all is said: compresses it, and counts what is large: a 429 instead, where that is too much. */
void reply_finish(struct exchange *x);
/* Of what is large and waits for its client, as long as it does; a namespace has its share of it: false, it has too much. */
#define ANSWERS_LARGE ((size_t)1 << 20)
bool answers_hold(struct rest *r, const char *name_space, size_t bytes);
void answers_let_go(struct rest *r, const char *name_space, size_t bytes); /* none is fine */
enum MHD_Result reply_send(struct exchange *x);
/* Sends it past the library, which can send nothing after it. */
void reply_past(struct exchange *x, int fd);

/* One Host, and one way to say where the body ends: else another server on the way may see other requests than this one.
 * -ERR_USAGE. */
int head_check(struct exchange *x, const char *version, struct err *err);
bool head_is_last(const struct exchange *x, const char *version); /* no other request follows on the connection */
/* What an Accept-Encoding says; NULL: nothing. */
bool head_accepts_gzip(const char *list);
/* Has the client shown a certificate of the authority? */
bool exchange_certified(const struct exchange *x);
/* Where the client is; NULL: it is not known. */
const struct sockaddr *exchange_address(const struct exchange *x);
/* The cookie of a browser's session, by its name and its value; NULL: none was sent. */
const char *session_cookie_name(const struct rest *r);
const char *session_cookie(const struct exchange *x);
/* Who asks, and whether he may; a refused change is written into the audit log. Sets caller and svc. */
int exchange_rights(struct exchange *x, struct err *err);
/* -ERR_NOT_FOUND: the one that the caller has named is not there. Waits for the engine. */
int exchange_namespace(struct exchange *x, struct err *err);
/* What a caller has shown who listens for long: it is looked at again now and then. Begins as zeros. */
struct pass {
    char *authorization, *session; /* NULL: none was sent */
    bool certificate;
    int64_t asked_ns;
};
int pass_take(const struct exchange *x, struct pass *ret, struct err *err);
/* Does it still count? Takes no time. */
bool pass_holds(struct rest *r, struct pass *p);
void pass_release(struct pass *p);
/* A change is written down before it is made. In a thread of the jobs. */
int exchange_audit(const struct exchange *x, struct err *err);
/* The run that the path names. */
int exchange_run(struct exchange *x, struct run_info *ret, struct err *err);
/* What a run of the caller's namespace is called in live.h; valid until the next call. */
const char *exchange_key(struct exchange *x, const char *run_id);
/* What an engine is given as the id of a request: made of the client's Idempotency-Key, if there is one, and of what is asked
 * for; more: NULL, if what says all. */
int key_request_id(struct exchange *x, const char *what, const char *more, char ret[37], struct err *err);
/* Held while what a key asks for is begun: of equal requests at the same time one is first, the others find what it made. */
pthread_mutex_t *key_lock(const char *key);
/* In a thread of the jobs: runs the route and makes an answer of what it gives; then wakes the connection. */
void exchange_work(void *arg);

/* --- bodies ------------------------------------------------------------------------------------------------------------ */

/* On the first call: what kind of body comes. -ERR: answered at once. */
int body_begin(struct exchange *x, struct err *err);
/* A piece has come. */
enum MHD_Result body_data(struct exchange *x, const char *data, size_t *io_size);
/* All has come: the exchange goes to work. */
void body_end(struct exchange *x);
void body_free(struct exchange *x);
/* What was gathered, as x->json, checked; in a thread of the jobs. An empty body for schema Any leaves it NULL. */
int body_json(struct exchange *x, struct err *err);
/* Is it wrong already, before all of it has come? In the connection's thread. */
bool upload_failed(struct exchange *x, struct err *why);
/* Of an upload, after its end: fields and target. */
const char *upload_field(const struct exchange *x, const char *name);
/* What was sent, for a sum of it: the fields, and a sum of the file as it came. A folder's tar is made anew for each attempt: its
 * bytes do not count. NULL: no memory. */
json_t *upload_asked(const struct exchange *x);
int upload_take(struct exchange *x, struct ingest_result *ret, struct err *err);
/* Of a route that takes bytes: all of them, from the first; the exchange's. */
int upload_file(struct exchange *x, int *ret_fd, struct err *err);

/* --- the server --------------------------------------------------------------------------------------------------------- */

struct stream;
struct sockets;

struct rest_counters {
    atomic_uint_fast64_t requests, errors, bytes, uploads, upload_bytes;
    atomic_int connections, working;
};

struct rest {
    struct rest_options o;
    struct MHD_Daemon *daemon;
    struct rest_tls *tls; /* NULL: none */
    struct api api;
    struct jobs *jobs;
    struct sockets *sockets;
    int port;
    unsigned connections_max;
    char host[80]; /* of the address */
    int64_t started_ns;
    atomic_bool stopping, over; /* over: what is not worked on yet will not be */
    atomic_int exchanges;
    char name[NAME_ID_LEN + 1]; /* what ids of requests begin with */
    atomic_uint_fast64_t named;
    struct rest_counters counters;
    pthread_mutex_t lock; /* streams, connections, cache, answers */
    pthread_cond_t cond;
    struct stream *streams;
    struct map watchers; /* how many, by namespace */
    struct map answers;  /* large ones that are not taken yet, in bytes, by namespace */
    size_t answers_bytes; /* of all */
    struct conn *conns;
    pthread_t clock;
    bool clock_started;
    struct status_cache *cache;
    struct {
        int fd;           /* the program's own connection; -1: none */
        atomic_int taken; /* its other end, until the library's thread has seen it; -1 */
        int64_t asked_ns; /* 0: it was answered */
    } pulse;
    atomic_bool backing_up, restoring;
    int listener; /* that the daemon, or TLS before it, has */
    struct map bodies; /* memory of bodies that are arriving, in bytes, by namespace; the connections' thread alone */
    size_t bodies_bytes; /* of all */
};

/* Makes the answer a stream of what the feed gives; takes it, also when it fails. */
int stream_feed(struct exchange *x, struct rest_feed *feed, struct err *err);
/* The client's address. */
void exchange_peer(const struct exchange *x, char *buf, size_t size);
do_route do_mount;

/* Whoever needs none makes none: what is open on this machine for a while must not leave a key behind. */
int exchange_has_token(const struct exchange *x, const char *what, struct err *err);

/* Before the body of a backup comes: is it wanted? do_restore.c. */
int restore_permitted(const struct exchange *x, struct err *err);
int restore_begin(struct exchange *x, struct err *err);

/* Wakes streams (feeds: those alone that others fill): for signs of life, and when the server stops. Under no lock. */
void streams_wake(struct rest *r, bool feeds);
/* One more who watches runs of a namespace, by a stream or a WebSocket: -ERR_BUSY if it has its share of them. Who is bound to
 * none ("") is not counted. */
int watchers_enter(struct rest *r, const char *name_space, struct err *err);
void watchers_leave(struct rest *r, const char *name_space);

int sockets_new(struct rest *r, struct sockets **ret, struct err *err);
void sockets_free(struct sockets *s);
/* The connection has ended before it could be made one. */
void socket_drop(struct exchange *x);

/* Answers of /runs/{id}/status for a moment: whoever polls asks often. */
struct status_cache *status_cache_new(void);
void status_cache_free(struct status_cache *c); /* NULL is fine */
bool status_cached(struct exchange *x, const char *run_id);
void status_keep(struct rest *r, const char *run_id, const char *text, size_t len);
void status_forget(struct rest *r, const char *run_id);

void metrics_write(struct rest *r, struct strbuf *out);

#define X(op) do_route do_##op;
#include "api/rest/ops.h"
#undef X

#endif
