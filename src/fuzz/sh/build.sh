# How a tree is built: one function a step, called by build.c and build_ways.c. The environment is OSS-Fuzz's, and what each says.
set -eu

# TREE: the sources, which SRC becomes a copy of. The compilers in WORK/bin put our flags behind all others, so that no build
# system can lose them, and go by the names that a Makefile may have written out. -Wno-error: with another compiler than the
# author's there are other warnings.
copy_tree() {
  cp -dR --preserve=mode,timestamps,links "$TREE"/. "$SRC"
  chmod -R u+rwX "$SRC"
  [ -z "${CONFIG_SITE-}" ] || site_script >"$CONFIG_SITE"
  [ -n "${CC-}" ] || return 0
  mkdir "$WORK/bin"
  for n in cc gcc; do wrapper $n "$CC" "$CFLAGS"; done
  for n in c++ g++; do wrapper $n "$CXX" "$CXXFLAGS"; done
}
wrapper() { # NAME COMPILER FLAGS
  printf '#!/bin/sh\nexec %s "$@" %s -Wno-error -Qunused-arguments\n' "$2" "$3" >"$WORK/bin/$1"
  chmod +x "$WORK/bin/$1"
}

# --- what configure scripts of Autoconf find out: nine tenths of a small project's build, and the same for each engine ---

# Of each config.log the cache variables, for the same script in the same folder of the next engine's build. Not: programs, the
# environment, and what names a folder of this build; those are the engine's.
keep_probed() {
  local f d to script
  find "$SRC" "$WORK" -name config.log -size -8192k | while read -r f; do
    d=$(dirname "$f")
    script=$(sed -n 's/^  \$ \([^ ]*\).*/\1/p' "$f" | head -n 1)
    to="${SRC%/src}/probed${d#"${SRC%/src}"}"
    cd "$d" && [ -f "$script" ] && mkdir -p "$to" || continue
    cksum <"$script" >"$to/script"
    sed -n '/^## Cache variables/,/^## Output variables/p' "$f" | grep -vF "${SRC%/src}" | grep -vE '^[^=]*_(env|path|prog)_' |
      grep -xE "[A-Za-z0-9_]+_cv_[A-Za-z0-9_]+=('[^']*'|[A-Za-z0-9_.,:+/-]*)" >"$to/answers" || true
  done
}
site_script() { # the text of CONFIG_SITE, which configure reads first
  cat <<END
ff_probed=\$PROBED\${PWD#"${SRC%/src}"}
if test -r "\$ff_probed/answers" && test "\`cksum <"\$0"\`" = "\`cat "\$ff_probed/script"\`"; then
  . "\$ff_probed/answers"
fi
:
END
}

# --- build systems; SUB: the folder of the file that they are known by; HARNESSES: files, one a line ---

build_cmake() {
  local g=
  ! command -v ninja >/dev/null || g='-G Ninja'
  cmake -S "$SUB" -B "$WORK/build" $g -DCMAKE_BUILD_TYPE=None -DBUILD_SHARED_LIBS=OFF
  if [ -n "$g" ]; then build_wanted; else cmake --build "$WORK/build" -j "$(nproc)"; fi
}

build_meson() {
  meson setup "$WORK/build" "$SUB" --buildtype=plain --default-library=static -Db_lundef=false --wrap-mode=nodownload
  build_wanted
}

# Of what ninja would make: static libraries, and programs with a harness. A shared library is taken apart: its objects.
build_wanted() {
  local w ok=0 s objects
  ninja -C "$WORK/build" -t targets all >"$WORK/all"
  w=$(sed -n 's/^\([^ :]*\): [^ ]*STATIC[A-Z_]*LINKER.*/\1/p' "$WORK/all"; programs_with_harness)
  [ -z "$w" ] || ninja -C "$WORK/build" -k 0 $w || ok=$?
  for s in $(sed -n 's/^\([^ :]*\.so[0-9.]*\): [^ ]*_LINKER.*/\1/p' "$WORK/all" | head -n 100); do
    objects=$(ninja -C "$WORK/build" -t inputs "$s" | grep '\.o$' || true)
    [ -n "$objects" ] && ninja -C "$WORK/build" -k 0 $objects || continue
    (cd "$WORK/build" && ar rc "$WORK/$(basename "$s").a" $objects)
  done
  return $ok
}
programs_with_harness() {
  sed -n 's/^\([^ :]*\): [^ ]*_LINKER.*/\1/p' "$WORK/all" | grep -vE '\.(a|so[0-9.]*)$' | head -n 500 | while read -r e; do
    if ninja -C "$WORK/build" -t inputs "$e" | grep -qF "$HARNESSES"; then echo "$e"; fi
  done
}

# Each configure script knows other options.
build_make() {
  cd "$SUB"
  if [ ! -x configure ]; then
    if [ -x buildconf ]; then ./buildconf
    elif [ -x autogen.sh ]; then NOCONFIGURE=1 ./autogen.sh
    elif [ -x bootstrap ]; then ./bootstrap
    elif [ -f configure.ac ] || [ -f configure.in ]; then autoreconf -fi; fi
  fi
  if [ -x configure ]; then
    ./configure --disable-shared --enable-static || ./configure --static || ./configure
  fi
  make -k -j "$(nproc)" CC="$CC" CXX="$CXX"
}

# --- a harness that no build system knows; HARNESS: its file; NAME: of the target; HARNESS_FLAGS ---

# With what the build has left, or else with the other files of its folder.
link_harness() {
  local sys left
  d=$(dirname "$HARNESS")
  o="$WORK/$NAME.o"
  inc="-I. -Iinclude -Isrc -I$d -I$d/.."
  [ ! -d "$WORK/build" ] || inc="$inc -I$WORK/build"
  mkdir -p "$WORK/rest"
  compile "$HARNESS" "$o" "$HARNESS_FLAGS"
  ! link '' '' || return 0
  sys=$(system_libs)
  [ -z "$sys" ] || ! link '' "$sys" || return 0
  left=$(objects_left)
  [ -z "$left" ] || ! link "$left" "$sys" || return 0
  rest=
  : >"$WORK/rest.log"
  compile_rest
  [ -z "$rest" ] || ! link "$rest" "$sys" || return 0
  cat "$WORK/rest.log" "$WORK/link.log" >&2
  return 1
}

# What a compiler of C stumbled over is extern "C".
only_cxx() { grep -m 1 -A 1 ' error: ' "$WORK/cc.log" | grep -q '^ *extern  *"C"'; }

compile() { # FILE OBJECT FLAGS; headers are looked for in the tree as the compiler misses them; a .c file may be C++
  local cc h p tries=0
  case "$1" in *.c) cc="$CC $CFLAGS" ;; *) cc="$CXX $CXXFLAGS" ;; esac
  until $cc $inc $3 -c "$1" -o "$2" 2>"$WORK/cc.log"; do
    if [ "$cc" = "$CC $CFLAGS" ] && only_cxx; then
      cc="$CXX $CXXFLAGS -x c++"
      continue
    fi
    h=$(sed -n "s/.*fatal error: '\(.*\)' file not found.*/\1/p" "$WORK/cc.log" | head -n 1)
    p=
    [ -z "$h" ] || [ $tries -ge 30 ] || p=$(find . "$WORK" -path "*/$h" -print -quit)
    if [ -z "$p" ]; then
      cat "$WORK/cc.log" >&2
      return 1
    fi
    inc="$inc -I${p%"/$h"}"
    tries=$((tries + 1))
  done
  cat "$WORK/cc.log" >&2
}

link() { # OBJECTS LIBRARIES
  $CXX $CXXFLAGS "$o" $1 -Wl,--start-group $LIB_FUZZING_ENGINE $(archives) -Wl,--end-group $2 -lm -lpthread \
    -o "$OUT/$NAME" >"$WORK/link.log" 2>&1
}
archives() { find . "$WORK" -name '*.a' -not -path '*/.git/*' -not -name '*_main.a' | sort; }

# Those that files of the build name, if they are there.
system_libs() {
  find . "$WORK" '(' -name '*.la' -o -name '*.pc' -o -name link.txt -o -name build.ninja -o -name Makefile ')' -size -4096k \
    -exec grep -ohE -e "(^|[ '\"=])-l[A-Za-z0-9_+.-]+" -e '/usr/lib/[^ ]*\.so' '{}' + |
  tr -d " '\"=" | sort -u | head -n 50 | while read -r l; do
    case "$l" in
    -l*) [ "$($CC -print-file-name="lib${l#-l}.so")" = "lib${l#-l}.so" ] || echo "$l" ;;
    *) echo "$l" ;;
    esac
  done
}

objects_left() {
  find . "$WORK/build" -name '*.o' -not -path '*/.git/*' 2>/dev/null | while read -r f; do
    nm "$f" 2>/dev/null | grep -qE ' T (main|LLVMFuzzerTestOneInput)$' || echo "$f"
  done
}

compile_rest() {
  local f n=0 seen=
  for f in "$d"/*.c "$d"/*.cc "$d"/*.cpp src/*.c src/*.cc src/*.cpp lib/*.c lib/*.cc lib/*.cpp *.c *.cc *.cpp; do
    [ -f "$f" ] && [ "$f" != "$HARNESS" ] || continue
    f=$(realpath --relative-to=. "$f")
    case " $seen " in *" $f "*) continue ;; esac
    seen="$seen $f"
    ! grep -qE 'LLVMFuzzerTestOneInput|[^_a-zA-Z]main *\(' "$f" || continue
    n=$((n + 1))
    if compile "$f" "$WORK/rest/$n.o" '' 2>>"$WORK/rest.log"; then rest="$rest $WORK/rest/$n.o"; fi
  done
}

# --- a source of a target of fuzz.yaml ---

compile_source() { # FILE OBJECT FLAGS...
  local f=$1 o=$2 cc
  shift 2
  case "$f" in *.c) cc="$CC $CFLAGS" ;; *) cc="$CXX $CXXFLAGS" ;; esac
  $cc "$@" -c "$f" -o "$o" 2>"$WORK/cc.log" ||
    { [ "$cc" = "$CC $CFLAGS" ] && only_cxx && $CXX $CXXFLAGS "$@" -x c++ -c "$f" -o "$o" 2>"$WORK/cc.log"; } ||
    { cat "$WORK/cc.log" >&2; return 1; }
  cat "$WORK/cc.log" >&2
}

# --- what lies beside a harness in the tree; HARNESS: its file; NAME: of the target ---

# As OSS-Fuzz names it, and in the folders that many projects have. What the build itself has put beside the target stays.
beside_harness() {
  local d n s e
  d=$(dirname "$HARNESS")
  n=$(basename "$HARNESS")
  n=${n%.*}
  for s in "$d/$NAME" "$d/$n"; do
    for e in dict options; do
      [ ! -f "$s.$e" ] || [ -e "$OUT/$NAME.$e" ] || cp "$s.$e" "$OUT/$NAME.$e"
    done
  done
  [ ! -e "$OUT/${NAME}_seed_corpus" ] && [ ! -e "$OUT/${NAME}_seed_corpus.zip" ] || return 0
  for n in "$NAME" "$n"; do
    for s in "$d/${n}_seed_corpus" "$d/corpus/$n" "$d/corpora/$n" "$d/seeds/$n" "$d/../corpus/$n" "corpus/$n" "seeds/$n"; do
      take_seeds "$s" && return 0
    done
  done
  for s in "$d/seeds" "$d/corpus"; do # of all harnesses of the folder, where each has none of its own
    [ -z "$(find "$s" -maxdepth 1 -type f -print -quit 2>/dev/null)" ] || take_seeds "$s"
  done
}
take_seeds() { # a folder, or a zip of that name
  if [ -d "$1" ]; then
    mkdir -p "$OUT/${NAME}_seed_corpus"
    cp -R "$1"/. "$OUT/${NAME}_seed_corpus/"
  elif [ -f "$1.zip" ]; then
    cp "$1.zip" "$OUT/${NAME}_seed_corpus.zip"
  else
    return 1
  fi
}
