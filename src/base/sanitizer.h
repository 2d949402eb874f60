/* Which sanitizer this program was built with: BUILT_WITH_ASAN, BUILT_WITH_TSAN, or none. */
#ifndef FF_BASE_SANITIZER_H
#define FF_BASE_SANITIZER_H

#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define BUILT_WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define BUILT_WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define BUILT_WITH_TSAN 1
#endif

#endif
