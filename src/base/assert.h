/* ASSERT: for bugs of ours, never for what the outside world does (that is struct err).
 * Stays on in release builds. */
#ifndef FF_BASE_ASSERT_H
#define FF_BASE_ASSERT_H

__attribute__((noreturn, cold)) void assert_fail_(const char *expr, const char *file, int line);

#define ASSERT(x) (__builtin_expect(!!(x), 1) ? (void)0 : assert_fail_(#x, __FILE__, __LINE__))

#endif
