# The tests of each project of the tree, in its folder; offline. STEP: build or run; RUST_BIN, WORK, FEATURES, RELEASE, FILTER.
# A project has the topmost Cargo.toml; a lone package takes --workspace as well.
set -eu
export PATH="$RUST_BIN:$PATH" CARGO_HOME="${CARGO_HOME:-$WORK/cargo}" CARGO_TARGET_DIR="$WORK/target" CARGO_NET_OFFLINE=true
export CARGO_TERM_COLOR=never
test_project() {
  if [ "$STEP" = build ]; then
    cargo test --offline --workspace $RELEASE $FEATURES --no-run
  else
    cargo test --offline --workspace --no-fail-fast $RELEASE $FEATURES -- $FILTER
  fi
}
found=no status=0 top=
find . \( -name .git -o -name target -o -name vendor \) -prune -o -name Cargo.toml -print | sort >"$WORK/projects"
while read -r f; do
  d=${f%/Cargo.toml}
  [ -z "$top" ] || case "$d/" in "$top/"*) continue ;; esac
  top=$d found=yes
  echo "ff: project $d"
  (cd "$d" && test_project) </dev/null || status=$?
done <"$WORK/projects"
[ $found = yes ] || { echo 'error: there is no Cargo.toml' >&2; exit 1; }
exit $status
