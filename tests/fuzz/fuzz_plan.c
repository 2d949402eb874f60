/* The plan of a sandbox as the spawner reads it: what is accepted keeps its
 * bounds, and means the same when it is written and read once more. */
#include "base/assert.h"
#include "base/strbuf.h"
#include "fuzz.h"
#include "sandbox/sandbox_internal.h"

#include <stdlib.h>
#include <string.h>

static void check_string(const char *s, const char *data, size_t size) {
  ASSERT(!s || (s >= data && s < data + size &&
                memchr(s, 0, (size_t)(data + size - s))));
}

static void check_plan(const struct wire_plan *w, const char *data,
                       size_t size) {
  const struct sandbox_plan *p = &w->plan;
  ASSERT(!p->builtin == (p->argv != NULL) && w->argv_count <= PLAN_ARGV_MAX &&
         w->env_count <= PLAN_ENV_MAX);
  check_string(p->name, data, size);
  check_string(p->cwd, data, size);
  check_string(p->scratch, data, size);
  for (size_t i = 0; i < w->argv_count; i++)
    check_string(w->argv[i], data, size);
  for (size_t i = 0; i < w->env_count; i++) {
    check_string(w->env[i], data, size);
    ASSERT(strchr(w->env[i], '=') > w->env[i]);
  }
  ASSERT(!w->argv[w->argv_count] && !w->env[w->env_count] &&
         p->mounts_count <= PLAN_MOUNTS_MAX);
  for (size_t i = 0; i < p->mounts_count; i++) {
    check_string(p->mounts[i].source, data, size);
    check_string(p->mounts[i].target, data, size);
    ASSERT(p->mounts[i].target[0] == '/' &&
           strcmp(p->mounts[i].target, "/") != 0);
    ASSERT(p->mounts[i].kind == MOUNT_TMPFS || p->mounts[i].source[0] == '/');
  }
  ASSERT(p->limits.memory_bytes && p->limits.pids && p->limits.files &&
         p->limits.wall_ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct wire_plan first, second;
  struct strbuf a = STRBUF_INIT_MAX(1 << 20), b = STRBUF_INIT_MAX(1 << 20);
  if (size > WIRE_MESSAGE_MAX ||
      wire_decode_plan((const char *)data, size, &first, NULL) < 0)
    return 0;
  check_plan(&first, (const char *)data, size);
  ASSERT(wire_encode_plan(&first.plan, &a, NULL) == 0);
  ASSERT(wire_decode_plan(a.s, a.len, &second, NULL) == 0);
  check_plan(&second, a.s, a.len);
  ASSERT(wire_encode_plan(&second.plan, &b, NULL) == 0);
  ASSERT(a.len == b.len && memcmp(a.s, b.s, a.len) == 0);
  strbuf_release(&a);
  strbuf_release(&b);
  return 0;
}
