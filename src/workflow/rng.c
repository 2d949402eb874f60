/* Random numbers that are the same in every replay: xoshiro256** (Blackman, Vigna: "Scrambled
 * linear pseudorandom number generators", 2021), seeded from the run's id by splitmix64 over its
 * FNV-1a hash. */
#include "workflow/workflow_internal.h"

#include <stdio.h>

void rng_seed(uint64_t s[4], const char *text, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    for (int i = 0; i < 4; i++) {
        uint64_t z = h += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rng_next(uint64_t s[4])
{
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double rng_float(uint64_t s[4])
{
    return (double)(rng_next(s) >> 11) * 0x1p-53;
}

/* An even number in [0, n]. */
static uint64_t below(uint64_t s[4], uint64_t n)
{
    uint64_t mask = n;
    for (int k = 1; k < 64; k *= 2)
        mask |= mask >> k;
    uint64_t v;
    do
        v = rng_next(s) & mask;
    while (v > n);
    return v;
}

int rng_random(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    lua_Integer low = 1, high;
    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, rng_float(w->rng));
        return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)rng_next(w->rng));
            return 1;
        }
        break;
    default:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + below(w->rng, (uint64_t)high - (uint64_t)low)));
    return 1;
}

int rng_randomseed(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    if (lua_isnoneornil(L, 1))
        return 0; /* the seed stays the run's */
    char text[64];
    int n = snprintf(text, sizeof text, "%.17g", (double)luaL_checknumber(L, 1));
    rng_seed(w->rng, text, (size_t)n);
    return 0;
}

int rng_uuid(lua_State *L)
{
    struct workflow *w = workflow_of(L);
    uint64_t a = rng_next(w->rng), b = rng_next(w->rng);
    a = (a & ~UINT64_C(0xf000)) | 0x4000;                                    /* version 4 */
    b = (b & ~UINT64_C(0xc000000000000000)) | UINT64_C(0x8000000000000000); /* variant */
    char text[37];
    snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
             (unsigned)(a & 0xffff), (unsigned)(b >> 48), (unsigned long long)(b & UINT64_C(0xffffffffffff)));
    lua_pushstring(L, text);
    return 1;
}
