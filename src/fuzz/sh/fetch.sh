# What a build would have to fetch: for the step that may, and for the message where nobody allowed it. In SRC.

go_needs() { # FILE: a go.mod that requires modules which are not beside it
  [ ! -d "$(dirname "$1")/vendor" ] && [ ! -d .ff/go ] && grep -qE '^(require)?[[:space:](]*[a-z0-9.-]+\.[a-z]+/[^ ]+ v[0-9]' "$1"
}
cargo_needs() { # FILE: a Cargo.lock with crates of a registry
  [ ! -d vendor ] && [ ! -d "$(dirname "$1")/vendor" ] && grep -q '^source = "' "$1"
}
all() { find . -name "$1" -not -path '*/vendor/*' -not -path '*/.ff/*' -not -path '*/target/*' | head -n 50; }

go_vendor() ( # DIR; without a go.sum, that is made first
  cd "$1"
  export GOFLAGS=-mod=mod GOMODCACHE="$WORK/go"
  [ -f go.sum ] || go mod tidy
  go mod vendor
)

tell_needs() {
  local f allow='ff fuzz build --fetch, or the parameter fetch=true of a run, allows that'
  for f in $(all go.mod); do ! go_needs "$f" || echo "$f names modules that are not there; $allow"; done
  for f in $(all Cargo.lock); do ! cargo_needs "$f" || echo "$f names crates that are not there; $allow"; done
}

fetch_needs() {
  local f r=0
  PATH="$PATH:/usr/local/go/bin"
  for f in ${FF_TOOLS//:/ }; do PATH="$PATH:$f:$f/bin:$f/go/bin:$f/rust/bin"; done
  for f in $(all go.mod); do
    ! go_needs "$f" || go_vendor "$(dirname "$f")" || r=1
  done
  for f in $(all Cargo.toml); do
    [ -e "$(dirname "$f")/Cargo.lock" ] || grep -qE '^\[.*dependencies' "$f" || continue
    (cd "$(dirname "$f")" && [ ! -d vendor ] && mkdir -p .cargo && CARGO_HOME="$WORK/cargo" cargo vendor >>.cargo/config.toml) || r=1
  done
  if [ -f requirements.txt ] && [ ! -d .ff/python ]; then
    python3 -m pip install --quiet --target .ff/python -r requirements.txt || r=1
  fi
  return $r
}
