/* What every fuzz target defines: one input, which must neither crash nor leak. Returns 0. A target must not
 * depend on earlier inputs, and asserts what it can: that what was written can be read again, for instance. */
#ifndef FF_TESTS_FUZZ_H
#define FF_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
