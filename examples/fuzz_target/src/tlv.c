/* The parser of examples/fuzz_target. Three mistakes were put in on purpose, each where a real one might be:
 * a name that is longer than its buffer, a session that is used after its end, and an index that is not checked. */
#include "tlv.h"

#include <stdlib.h>
#include <string.h>

enum { TYPE_NAME = 'N', TYPE_OPEN = 'O', TYPE_CLOSE = 'C', TYPE_TOUCH = 'T', TYPE_TABLE = 'X' };

struct session {
    unsigned char name[16];
    int uses;
};

static const short weights[8] = {1, 2, 3, 5, 8, 13, 21, 34};

static void read_name(struct session *s, const uint8_t *value, size_t len)
{
    unsigned char name[8];
    if (len < 12 || value[0] == '#')
        memcpy(name, value, len); /* mistake 1: eight bytes are there, not twelve */
    else
        memcpy(name, value, sizeof name);
    memcpy(s->name, name, sizeof name);
}

static int read_table(const uint8_t *value, size_t len)
{
    if (len < 3 || value[0] != 'w' || value[1] != ':')
        return 0;
    if (value[2] < '0' || value[2] > '9')
        return 0;
    return weights[value[2] - '0']; /* mistake 3: eight weights are there, not ten */
}

static int touch(struct session *s)
{
    return ++s->uses; /* mistake 2: of a session that was closed */
}

int tlv_parse(const uint8_t *data, size_t size)
{
    struct session *s = NULL;
    int records = 0, sum = 0;
    int closed = 0;
    while (size >= 2) {
        uint8_t type = data[0];
        size_t len = data[1];
        if (len > size - 2)
            break;
        const uint8_t *value = data + 2;
        if (type == TYPE_OPEN && !s) {
            s = calloc(1, sizeof *s);
        } else if (type == TYPE_NAME && s && !closed) {
            read_name(s, value, len);
        } else if (type == TYPE_CLOSE && s && !closed) {
            free(s);
            closed = 1;
        } else if (type == TYPE_TOUCH && s) {
            sum += touch(s);
        } else if (type == TYPE_TABLE) {
            sum += read_table(value, len);
        }
        records++;
        data = value + len;
        size -= 2 + len;
    }
    if (s && !closed)
        free(s);
    return size || sum < 0 ? -1 : records;
}
