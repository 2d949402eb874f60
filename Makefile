# FuzzForge: a thin front for Meson. `make demo` and `make test` do everything on a fresh Debian 12.
BUILD  ?= build
PREFIX ?= /usr/local
MESON_FLAGS ?=
.DEFAULT_GOAL := all

.PHONY: all demo test test-asan test-tsan test-clang test-real bench tidy install clean fuzzers setup
.NOTPARALLEL:

all: setup $(BUILD)/build.ninja
	@ninja -C $(BUILD)

setup:
	@tools/setup build

$(BUILD)/build.ninja:
	meson setup $(BUILD) -Dprefix=$(PREFIX) -Dwerror=true $(MESON_FLAGS)

# The main job on the bundled example.
demo: all
	@tools/demo $(BUILD)/ff

test: all
	meson test -C $(BUILD) --print-errorlogs --no-suite real

# The same tests under AddressSanitizer and UndefinedBehaviorSanitizer, built by clang.
test-asan: setup
	@tools/setup check
	@test -f $(BUILD)-asan/build.ninja || CC=clang-14 meson setup $(BUILD)-asan -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false
	meson test -C $(BUILD)-asan --print-errorlogs --no-suite real --no-suite slow --timeout-multiplier 4

# Engine and worker under ThreadSanitizer.
test-tsan: setup
	@tools/setup check
	@test -f $(BUILD)-tsan/build.ninja || CC=clang-14 meson setup $(BUILD)-tsan -Dwerror=true -Db_sanitize=thread -Db_lundef=false
	meson test -C $(BUILD)-tsan --print-errorlogs --suite tsan --timeout-multiplier 4

# Real servers and engines, fetched from the registries into a cache outside the checkout.
test-real: all
	@tools/setup real
	meson test -C $(BUILD) --print-errorlogs --suite real

bench: all
	@tools/setup real # wrk, Python
	@bench/run $(BUILD)

tidy: $(BUILD)/build.ninja
	@tools/setup check
	@tools/tidy $(BUILD)

# A build folder keeps the prefix it was made with, unless this call names another.
install: all
	@$(if $(filter file,$(origin PREFIX)),,meson configure $(BUILD) -Dprefix=$(PREFIX) && ninja -C $(BUILD))
	meson install -C $(BUILD) --no-rebuild

fuzzers: setup
	@tools/setup check
	@test -f $(BUILD)-fuzz/build.ninja || CC=clang-14 meson setup $(BUILD)-fuzz -Dfuzzers=true -Db_lundef=false
	@ninja -C $(BUILD)-fuzz

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
