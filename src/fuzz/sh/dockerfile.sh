# What stands before the lines of a Dockerfile. There is no root and no other system: what installs or fetches is looked for first.
# A package of the system is there or is named; a clone lies where it would be made, or is made where FETCH is "yes".
# PROJECT: the folder of the Dockerfile. WORK/notes: lines for the user.
HERE="$SRC"
cd "$SRC"
export GOMODCACHE="$SRC/.ff/go" CARGO_HOME="$SRC/.ff/cargo"
[ "${FETCH-}" = yes ] || export GOPROXY=off GOFLAGS=-mod=mod CARGO_NET_OFFLINE=true
[ ! -d "$SRC/.ff/python" ] || export PYTHONPATH="$SRC/.ff/python"

note() { printf '%s\n' "$*" >>"$WORK/notes"; }
failed() { [ -s "$WORK/notes" ] || note "Dockerfile, line $1: it failed here"; }
may() { [ "${FETCH-}" = yes ]; }
unmet() { # WHAT [WHERE]
  note "the Dockerfile fetches what is not there: $1${2:+, for the folder or file $2}; ff fuzz build --fetch, or the parameter" \
    "fetch=true of a run, allows that"
  return 1
}
net() {
  local r=0
  command "$@" || r=$?
  [ $r = 0 ] || may || unmet "$*" || true
  return $r
}

# --- what RUN lines call ---

rm() { command rm "$@" 2>/dev/null || true; }
sudo() { "$@"; }
apt() { apt-get "$@"; }
apt-get() {
  local p miss= install=
  for p; do
    case "$p" in
    -* | *=*) ;;
    install) install=1 ;;
    *) [ -z "$install" ] || [ -e "/usr/share/doc/$p" ] || miss="$miss $p" ;;
    esac
  done
  [ -z "$miss" ] || note "packages that the Dockerfile installs are not there: apt-get install$miss"
}

# A library that build.sh installs: where the system's own place cannot be written, below WORK, where the compilers, pkg-config and
# CMake look for it too.
ROOT="$WORK/root" L="$WORK/root/usr/local"
export ROOT CPATH="$L/include" LIBRARY_PATH="$L/lib:$L/lib64" CMAKE_PREFIX_PATH="$L" PATH="$L/bin:$PATH"
export PKG_CONFIG_PATH="$L/lib/pkgconfig:$L/lib64/pkgconfig:$L/share/pkgconfig"
# Clang looks there behind the system's folders, where a library of the same name may lie: its linkers look there before.
linkers() {
  local n real
  mkdir -p "$WORK/linkers"
  for n in ld ld.bfd ld.gold ld.lld; do
    real=$(command -v "$n") || continue
    cat >"$WORK/linkers/$n" <<END
#!/bin/sh
own=
for a; do
  shift
  case "\$a" in -L/usr/* | -L/lib*) [ "\$own" ] || set -- "\$@" "-L$L/lib" "-L$L/lib64"; own=1 ;; esac
  set -- "\$@" "\$a"
done
exec $real "\$@"
END
    chmod +x "$WORK/linkers/$n"
  done
  export COMPILER_PATH="$WORK/linkers"
}
linkers

installing() { # COMMAND...
  case " $* " in
  *" install "* | *" install-"* | *" --install "*) command "$@" || install_below "$@" ;;
  *) command "$@" ;;
  esac
}
install_below() {
  DESTDIR="$ROOT" command "$@" || return
  find "$ROOT" '(' -name '*.pc' -o -name '*.la' ')' -exec sed -i "s,\([= ']\|-[IL]\)/usr/local,\1$ROOT/usr/local,g" '{}' +
}
make() { installing make "$@"; }
ninja() { installing ninja "$@"; }
cmake() { installing cmake "$@"; }
meson() { installing meson "$@"; }
ldconfig() { command ldconfig "$@" 2>/dev/null || true; }
export -f note sudo apt apt-get installing install_below make ninja cmake meson ldconfig # scripts of projects call them as well

# OSS-Fuzz's image has a libc++ of its own.
without_libcxx() {
  local n real
  ! $CXX -stdlib=libc++ -x c++ -include cstddef -fsyntax-only /dev/null 2>/dev/null || return 0
  mkdir -p "$WORK/bin"
  for n in clang clang++ "$CC" "$CXX"; do
    real=$(command -v "$n") && [ ! -e "$WORK/bin/$n" ] || continue
    printf '#!/bin/sh\nfor a; do shift; [ "$a" = -stdlib=libc++ ] || set -- "$@" "$a"; done\nexec %s "$@"\n' "$real" >"$WORK/bin/$n"
    chmod +x "$WORK/bin/$n"
  done
  export PATH="$WORK/bin:$PATH"
  no_libcxx=yes
}
[ -z "${CXX-}" ] || without_libcxx

# Build scripts that ask git for a version find one: sources that came without their history get one of one commit.
as_cloned() { # DIR
  [ ! -e "$1/.git" ] && type -P git >/dev/null && grep -qsIE 'git (-C [^ ]+ )?(describe|rev-parse)' "$1"/* "$1"/*/* || return 0
  (cd "$1" && command git init -q && command git add -A &&
    command git -c user.name=ff -c user.email=ff@localhost commit -qm 'as it lies here' && command git tag 0.0.0 &&
    touch .git/taken-as-it-is) >/dev/null 2>&1 || true
}

git() {
  local dir= url= all=("$@")
  case "${1-}" in
  -C) (cd "$2" && shift 2 && git "$@") ;;
  clone)
    shift
    while [ $# -gt 0 ]; do
      case "$1" in
      -b | --branch | --depth | -j | --jobs | -o | --origin | -c | --config | --reference | --filter) shift ;;
      -*) ;;
      *) if [ -z "$url" ]; then url=$1; else dir=$1; fi ;;
      esac
      [ $# = 0 ] || shift
    done
    [ -n "$dir" ] || dir=$(basename "$url" .git)
    if [ -e "$dir" ]; then as_cloned "$dir" && return 0; fi
    if may; then command git "${all[@]}"; else unmet "git clone $url" "$dir"; fi
    ;;
  apply | init | config) command git "$@" ;;
  *) if [ -e .git ] && [ ! -e .git/taken-as-it-is ]; then net git "$@"; fi ;; # sources without their history are taken as they are
  esac
}

download() { # TOOL ARGUMENTS
  local tool=$1 out= url= all=("$@")
  shift
  while [ $# -gt 0 ]; do
    case "$1" in
    -o | --output | --output-document) out=${2-} ;;
    -O) [ $tool = curl ] || out=${2-} ;;
    *://*) url=$1 ;;
    esac
    shift
  done
  [ -n "$out" ] || out=$(basename "$url")
  [ ! -e "$out" ] || return 0
  if may; then command "${all[@]}"; else unmet "$url" "$out"; fi
}
wget() { download wget "$@"; }
curl() { download curl "$@"; }

pip() {
  if [ "${1-}" != install ]; then
    net pip3 "$@"
  elif may; then
    command pip3 "$@" --target "$SRC/.ff/python"
  else
    [ -d "$SRC/.ff/python" ] || pip_there "$@" || unmet "pip $*"
  fi
}
pip_there() { # install NAME...: each is a program or a module of the system
  local p n=0
  for p in "${@:2}"; do
    case "$p" in -*) continue ;; esac
    p=${p%%[][<>=~!]*}
    command -v "$p" >/dev/null || command python3 -Ic "import ${p//-/_}" 2>/dev/null || return 1
    n=1
  done
  [ $n = 1 ]
}
pip3() { pip "$@"; }
python3() { if [ "${1-} ${2-}" = '-m pip' ]; then shift 2 && pip "$@"; else command python3 "$@"; fi; }
svn() { net svn "$@"; }
hg() { net hg "$@"; }
go() { net go "$@"; }
cargo() { net cargo "$@"; }
npm() { net npm "$@"; }
rustup() { net rustup "$@"; }

# --- COPY, ADD ---

copy() { # FILE... DEST
  local dest="${!#}"
  case "$dest" in /*) ;; *) dest="$HERE/$dest" ;; esac
  case "$dest" in */ | */.) mkdir -p "$dest" ;; esac
  while [ $# -gt 1 ]; do
    if [ ! -e "$1" ]; then
      echo "COPY: there is no $1"
    elif [ -d "$1" ]; then
      [ "$1" -ef "$dest" ] || { mkdir -p "$dest" && cp -R "$1"/. "$dest"/; }
    elif [ ! "$1" -ef "$dest" ] && [ ! "$1" -ef "$dest/$(basename "$1")" ]; then
      mkdir -p "$(dirname "$dest")" && cp "$1" "$dest"
    fi
    shift
  done
}
add_url() { # URL DEST
  case "$2" in */) wget -O "$2$(basename "$1")" "$1" ;; *) wget -O "$2" "$1" ;; esac
}
enter() { # DIR
  case "$1" in /*) set -- "$1" ;; *) set -- "$HERE/$1" ;; esac
  if mkdir -p "$1" && cd "$1"; then HERE="$1"; fi
}

# --- build.sh ---

# A line that fails is noted, and the next ones are done: in the image none fails, so it is what is missing here, which may be the
# seeds, a test, or one target of many.
build_sh() {
  [ -z "${no_libcxx-}" ] || ! grep -qsIe -stdlib=libc++ "$SRC/build.sh" ||
    note "there is no libc++ (apt-get install libc++-14-dev libc++abi-14-dev): it is built with libstdc++"
  export -f build_failed
  bash -uEc 'trap "build_failed \$LINENO" ERR; . "$0"; trap - ERR; [ ! -e "$WORK/failed" ]' "$SRC/build.sh"
}
build_failed() { # LINE
  case "${FUNCNAME[1]-}" in installing | install_below | make | ninja | cmake | meson) return ;; esac
  echo >>"$WORK/failed"
  [ "$(wc -l <"$WORK/failed")" -gt 4 ] || note "build.sh, line $1: this failed: $(sed -n "$1s/^ *//p" "$SRC/build.sh" | cut -c 1-200)"
}

# --- the Dockerfile ---
