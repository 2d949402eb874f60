# Builds one harness of Go: NAME, in the file HARNESS, as OUT/NAME. Its engine, which is Go's own package internal/fuzz, goes on after
# crashes (GO_ON), where the toolchain's sources are as they are known; else it ends at each, and a seed that crashes ends each start.
set -eu
export GOCACHE="$WORK/cache" GOPATH="$WORK/go"
cd "$(dirname "$HARNESS")"
test_binary() { "$GO" test -c -fuzz "^$NAME\$" "$@" -o "$OUT/$NAME" .; }
engine="$("$GO" env GOROOT)/src/internal/fuzz"
printf '%s\n' "$GO_ON" >"$WORK/go_on.go"
sed 's/^\t\t\tc\.updateStats(result)$/&\n\t\t\tif c.goesOn(\&result) {\n\t\t\t\tbreak\n\t\t\t}/' "$engine/fuzz.go" >"$WORK/fuzz.go" || true
# It records no input of a worker that SIGKILL ended, which may have been its own doing: a bound of memory or time that was met.
sed 's/^\t\tsyscall\.SIGPIPE: .*/\t\tsyscall.SIGPIPE, syscall.SIGKILL:/' "$engine/sys_posix.go" >"$WORK/sys_posix.go" || true
for f in fuzz go_on sys_posix; do printf '"%s/%s.go": "%s/%s.go"\n' "$engine" $f "$WORK" $f; done |
  paste -sd , | sed 's/.*/{"Replace": {&}}/' >"$WORK/overlay"
if ! grep -q goesOn "$WORK/fuzz.go" || ! test_binary -overlay "$WORK/overlay"; then
  test_binary
  echo "the sources of $("$GO" version) are not those that are known: its fuzzing ends at each crash"
fi
[ ! -d "testdata/fuzz/$NAME" ] || cp -R "testdata/fuzz/$NAME" "$OUT/${NAME}_seed_corpus"
