/* Rust by libFuzzer, as cargo-fuzz has it (https://rust-fuzz.github.io/book): harnesses with fuzz_target!, which runs what
 * the crate libfuzzer-sys brings. What is built is a program of libFuzzer, and is run as one.
 *
 * The build is offline. With libfuzzer-sys in the tree (cargo vendor) or fetched before, cargo-fuzz builds it, or cargo with
 * the same flags where there is no cargo-fuzz. Without it a crate of the same name stands in, which needs nothing but clang's
 * libFuzzer and knows inputs of bytes only; so does it for a harness that has no Cargo.toml. RUSTC_BOOTSTRAP lets a stable
 * compiler take the flags for AddressSanitizer. */
#include "base/cleanup.h"
#include "fuzz/build_internal.h"
#include "fuzz/driver_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Where Rust is: the folder with rustc and cargo; the caller frees. */
static char *rust_bin(void)
{
    char *cargo = fuzz_in_system("bin/cargo");
    if (cargo)
        *strrchr(cargo, '/') = 0;
    return cargo;
}

int cargo_missing(struct err *err)
{
    _cleanup_free_ char *bin = rust_bin(), *rustc = fuzz_in_system("bin/rustc");
    if (bin && rustc)
        return 0;
    err_set(err, ERR_MISSING, "%s is not installed", bin ? "rustc" : "cargo");
    return err_hint(err, "rustup, Debian: cargo rustc, or a toolchain in a folder of FF_TOOLS");
}

static int missing(struct err *err)
{
    int r = cargo_missing(err);
    return r < 0 ? r : libfuzzer_driver.missing(err); /* its runtime, and the linker */
}

void cargo_build_env(const char *sanitizers, struct fuzz_words *env)
{
    _cleanup_free_ char *bin = rust_bin(), *cargo_fuzz = fuzz_in_system("bin/cargo-fuzz");
    const char *cc = fuzz_tool("clang-14", "clang");
    fuzz_word(env, "LINKER=%s", cc ? cc : "clang");
    fuzz_word(env, "SANITIZERS=%s", sanitizers);
    fuzz_word(env, "RUST_BIN=%s", bin ? bin : "/usr/bin");
    fuzz_word(env, "CARGO_FUZZ=%s", cargo_fuzz ? cargo_fuzz : "");
    fuzz_word(env, "STAND_IN=%s", fuzz_stand_in_rs);
}

static const char *const languages[] = {"rust", NULL};

const struct fuzz_driver cargo_fuzz_driver = {
    .name = "cargo-fuzz",
    .vertical = "rust",
    .languages = languages,
    .missing = missing,
    .build_env = cargo_build_env,
    .build_script = fuzz_cargo_fuzz_sh,
    .make_dirs = libfuzzer_make_dirs,
    .command = libfuzzer_command,
    .line = libfuzzer_line,
    .corpus_dir = "corpus",
    .input_name = libfuzzer_input_name,
    .crash_dir = "crashes",
    .import_dir = "corpus",
    .subsets = true,
    .ends_at_crash = true,
    .keep_signal = SIGABRT,
    .stop_signal = SIGUSR1,
    .fault = libfuzzer_fault,
    .reproduce = libfuzzer_reproduce,
    .crashed = fuzz_status_crashed,
    .merge = libfuzzer_merge,
    .coverage = libfuzzer_coverage,
};
