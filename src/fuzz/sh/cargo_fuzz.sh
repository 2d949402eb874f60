# Builds one harness of Rust: HARNESS, a file of the tree, as OUT/NAME; offline. RUST_BIN: where cargo and rustc are; CARGO_FUZZ: where
# cargo-fuzz is, or empty; LINKER: clang; SANITIZERS; STAND_IN: stand_in.rs.
set -eu
export PATH="$RUST_BIN${CARGO_FUZZ:+:${CARGO_FUZZ%/*}}:$PATH" CARGO_HOME="${CARGO_HOME:-$WORK/cargo}" CARGO_TERM_COLOR=never
export CARGO_TARGET_DIR="$WORK/target" CARGO_NET_OFFLINE=true RUSTC_BOOTSTRAP=1

# As cargo-fuzz has them. A compiler without the sanitizer's runtime (Debian's) gets clang's UBSan for the stacks.
host=$(rustc -vV | sed -n 's/^host: //p')
base="-Clinker=$LINKER -Cdebuginfo=1 -Cforce-frame-pointers=yes -Clink-arg=-lm"
flags="$base -Cpasses=sancov-module --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1"
for f in level=4 inline-8bit-counters pc-table trace-compares; do
  flags="$flags -Cllvm-args=-sanitizer-coverage-$f"
done
kind=none
case ",$SANITIZERS," in
*,address,*)
  ls "$(rustc --print sysroot)/lib/rustlib/$host/lib/"librustc*_rt.asan.a >/dev/null 2>&1 && kind=address ;;
esac
extra=-Clink-arg=-fsanitize=undefined
for f in -Zsanitizer=address -Csanitizer=address; do
  [ $kind = address ] || break
  rustc $f --crate-name probe --crate-type lib --emit metadata -o "$WORK/probe" - </dev/null 2>/dev/null || continue
  extra=$f
  break
done
flags="$flags $extra"
lib=$("$LINKER" -print-file-name=libclang_rt.fuzzer-x86_64.a)
engine="-Clink-arg=$lib -Clink-arg=-lstdc++ -Clink-arg=-lm"

stand_in() { # VERSION
  [ ! -d "$WORK/stand-in-$1" ] || return 0
  mkdir -p "$WORK/stand-in-$1/src"
  printf '%s' "$STAND_IN" >"$WORK/stand-in-$1/src/lib.rs"
  cat >"$WORK/stand-in-$1/Cargo.toml" <<END
[package]
name = "libfuzzer-sys"
version = "$1"
edition = "2021"
[features]
default = ["link_libfuzzer"]
link_libfuzzer = []
END
}

# What the [[bin]] of a file is called; else the file's name.
program_of() { # FILE
  awk -v want="$1" -v name="$NAME" '
    function value(s) { sub(/^[^"]*"/, "", s); sub(/".*/, "", s); sub(/^\.\//, "", s); return s }
    function done() { if (bin && path == want && own) name = own }
    /^[ \t]*\[/ { done(); bin = /\[\[bin\]\]/; own = path = "" }
    /^[ \t]*name[ \t]*=/ { own = value($0) }
    /^[ \t]*path[ \t]*=/ { path = value($0) }
    END { done(); print name }' Cargo.toml
}

# The version that is asked for: of the lock file, or made from the requirement ("0.4": 0.4.99).
wanted_version() {
  local v
  v=$(sed -n '/^name = "libfuzzer-sys"/{n;s/^version = "\(.*\)"/\1/p;}' Cargo.lock 2>/dev/null || true)
  if [ -z "$v" ]; then
    v=$(sed -n '/^libfuzzer-sys/s/^[^0-9]*\([0-9.]*\).*/\1/p' Cargo.toml | head -n 1)
    v=${v:-0.4}
    while [ "$(printf %s "$v" | tr -cd . | wc -c)" -lt 2 ]; do v=$v.99; done
  fi
  echo "$v"
}

crate() { # FILE, in the folder of its Cargo.toml
  local bin build version s
  bin=$(program_of "$1")
  build="cargo build --offline --release --target $host --bin $bin --config profile.release.debug=1"
  if cargo metadata --offline --filter-platform "$host" --format-version 1 >/dev/null 2>&1; then # libfuzzer-sys is there
    [ ! -f "$lib" ] || export CUSTOM_LIBFUZZER_PATH="$lib"
    if [ -n "$CARGO_FUZZ" ]; then
      echo "$bin: cargo fuzz build --sanitizer $kind"
      RUSTFLAGS="$base" cargo fuzz build --fuzz-dir . --target "$host" --sanitizer $kind "$bin"
    else
      echo "$bin: cargo build $flags"
      RUSTFLAGS="$flags" $build
    fi
  else
    version=$(wanted_version)
    echo "$bin: libfuzzer-sys is neither vendored nor fetched: one that knows bytes only stands in"
    stand_in "$version"
    RUSTFLAGS="$flags $engine" $build --config "patch.crates-io.libfuzzer-sys.path=\"$WORK/stand-in-$version\""
  fi
  cp "$CARGO_TARGET_DIR/$host/release/$bin" "$OUT/$NAME"
  for s in corpus seeds; do
    [ -d "$s/$bin" ] || continue
    mkdir -p "$OUT/${NAME}_seed_corpus"
    cp -R "$s/$bin"/. "$OUT/${NAME}_seed_corpus/"
  done
  [ ! -f "$bin.dict" ] || cp "$bin.dict" "$OUT/$NAME.dict"
}

d=$(dirname "$HARNESS")
while [ ! -f "$d/Cargo.toml" ] && [ "$d" != . ]; do d=$(dirname "$d"); done
if [ -f "$d/Cargo.toml" ]; then
  f=${HARNESS#"$d"/}
  cd "$d"
  crate "$f"
else # a file alone
  stand_in 0.4.99
  rs="rustc --edition 2021 -Copt-level=3 $flags"
  $rs --crate-type rlib --crate-name libfuzzer_sys "$WORK/stand-in-0.4.99/src/lib.rs" -o "$WORK/liblibfuzzer_sys.rlib"
  $rs $engine --extern "libfuzzer_sys=$WORK/liblibfuzzer_sys.rlib" "$HARNESS" -o "$OUT/$NAME"
fi
