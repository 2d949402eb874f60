/* A small format of records: a type, a length, a value. */
#ifndef TLV_H
#define TLV_H

#include <stddef.h>
#include <stdint.h>

/* Reads all records; gives their number, or -1 for bytes that are none. */
int tlv_parse(const uint8_t *data, size_t size);

#endif
