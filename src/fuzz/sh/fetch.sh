# What a build would have to fetch: for the step that may, and for the message where nobody allowed it. In SRC.

go_needs() { # FILE: a go.mod that requires modules which are not beside it
  [ ! -d "$(dirname "$1")/vendor" ] && [ ! -d .ff/go ] && grep -qE '^(require)?[[:space:](]*[a-z0-9.-]+\.[a-z]+/[^ ]+ v[0-9]' "$1"
}
cargo_needs() { # FILE: a Cargo.lock with crates of a registry
  [ ! -d vendor ] && [ ! -d "$(dirname "$1")/vendor" ] && grep -q '^source = "' "$1"
}
maven_needs() { # FILE: a pom.xml with artifacts of a repository
  [ ! -d .ff/java ] && grep -q '<dependency>' "$1"
}
gradle_needs() { # FILE: a build.gradle with some; there are no jars that may be them
  grep -qE "^[[:space:]]*[a-zA-Z]*([iI]mplementation|[aA]pi|[cC]ompile|[cC]ompileOnly)[ (]+[\"']" "$1" &&
    [ -z "$(find . -name '*.jar' ! -name '*-wrapper.jar' -print -quit)" ]
}
outermost() { # NAME: a parent has its modules' as well
  local f d seen=
  all "$1" | awk '{ print gsub("/", "/"), $0 }' | sort -n | cut -d' ' -f2- | while read -r f; do
    for d in $seen; do
      case "$f" in "$d"/*) continue 2 ;; esac
    done
    seen="$seen ${f%/*}"
    echo "$f"
  done
}
all() { find . -name "$1" -not -path '*/vendor/*' -not -path '*/.ff/*' -not -path '*/target/*' | head -n 50; }

maven_program() { # Debian has its settings in /etc, which is not seen here
  local program home to="$WORK/maven"
  program=$(readlink -f "$(command -v mvn)") && [ -f "$program" ] || return 1
  home=${program%/bin/mvn}
  if [ -L "$home/bin/m2.conf" ] && [ ! -e "$home/bin/m2.conf" ]; then
    mkdir -p "$to/bin" "$to/conf/logging"
    ln -sfn "$home/boot" "$to/boot"
    ln -sfn "$home/lib" "$to/lib"
    cp "$program" "$to/bin/mvn"
    printf '%s\n' 'main is org.apache.maven.cli.MavenCli from plexus.core' '[plexus.core]' 'load ${maven.home}/lib/*.jar' >"$to/bin/m2.conf"
    program=$to/bin/mvn
  fi
  echo "$program"
}

# The jars of all that it names; and what a compiler's plug-in makes, only Maven can make: it compiles here, without the tests.
maven_jars() ( # DIR
  cd "$1"
  "$(maven_program)" --batch-mode --quiet -Dstyle.color=never -Dmaven.repo.local="$WORK/m2" -Dmaven.test.skip=true \
    package dependency:copy-dependencies -DoutputDirectory="$SRC/.ff/java"
)

go_vendor() ( # DIR; without a go.sum, that is made first
  cd "$1"
  export GOFLAGS=-mod=mod GOMODCACHE="$WORK/go"
  [ -f go.sum ] || go mod tidy
  go mod vendor
)

tell_needs() {
  local f mvn= allow='ff fuzz build --fetch, or the parameter fetch=true of a run, allows that'
  command -v mvn >/dev/null || mvn=' (with Maven; Debian: maven)'
  for f in $(all go.mod); do ! go_needs "$f" || echo "${f#./} names modules that are not there; $allow"; done
  for f in $(all Cargo.lock); do ! cargo_needs "$f" || echo "${f#./} names crates that are not there; $allow"; done
  for f in $(all pom.xml); do
    ! maven_needs "$f" || echo "${f#./} names artifacts that are not there; $allow$mvn"
  done
  for f in $(all 'build.gradle*'); do
    ! gradle_needs "$f" || echo "${f#./} names artifacts that are not there, and Gradle is not run: copy their jars into the tree," \
      "lib/ say (a task of type Copy, from configurations.runtimeClasspath)"
  done
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
  if [ ! -d .ff/java ]; then
    for f in $(outermost pom.xml); do maven_jars "$(dirname "$f")" || r=1; done
  fi
  if [ -f requirements.txt ] && [ ! -d .ff/python ]; then
    python3 -m pip install --quiet --target .ff/python -r requirements.txt || r=1
  fi
  return $r
}
