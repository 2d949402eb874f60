/* Parsers of what engines write, apart from where they write it: for their driver and its fuzz target; and the methods that
 * drivers share. */
#ifndef FF_FUZZ_DRIVER_INTERNAL_H
#define FF_FUZZ_DRIVER_INTERNAL_H

#include "fuzz/driver.h"

/* The options of sanitizers, as ClusterFuzz sets them: signals are theirs, and the target's own handlers are not called. One that
 * ends the process in good order would hide the crash. */
#define FUZZ_SIGNALS "handle_segv=1:handle_sigbus=1:handle_sigfpe=1:handle_sigill=1:handle_abort=1:allow_user_segv_handler=0"

/* What the target's own environment says; NULL: nothing. */
const char *fuzz_target_env(const struct fuzz_target *t, const char *key);

/* fuzzer_stats; text is cut into lines. */
void aflplusplus_read_stats(struct fuzz_counts *c, char *text);
/* plot_data: its last line counts. */
void aflplusplus_read_plot(struct fuzz_counts *c, const char *text);

/* cargo and rustc: 0, or -ERR_MISSING; and what builds by them see. */
int cargo_missing(struct err *err);
void cargo_build_env(const char *sanitizers, struct fuzz_words *env);

/* The methods of libFuzzer, for engines that are libFuzzer in another language. */
void libfuzzer_bounds(const struct fuzz_target *t, const struct fuzz_bounds *b, struct fuzz_words *argv); /* its options */
void libfuzzer_session(const struct fuzz_session *s, struct fuzz_words *argv);                        /* the others */
void libfuzzer_walls(const struct fuzz_session *s, struct fuzz_command *c); /* of a session */
int libfuzzer_make_dirs(const struct fuzz_session *s, struct err *err);
void libfuzzer_command(const struct fuzz_session *s, struct fuzz_command *c);
void libfuzzer_line(struct fuzz_session *s, const char *text, size_t len);
enum fuzz_fault libfuzzer_fault(const char *name);
bool libfuzzer_input_name(const char *name);
void libfuzzer_reproduce(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *input, bool symbolize,
                         struct fuzz_command *c);
void libfuzzer_merge(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *into, const char *from,
                     const char *crashes, struct fuzz_command *c);
void libfuzzer_coverage(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *corpus, struct fuzz_command *c);

#endif
