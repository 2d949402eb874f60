# Builds one harness of Java: HARNESS, a file of the tree, as OUT/NAME: a jar of it and all that it uses, whose manifest says which class
# it is. JAVA_BIN: where javac and jar are; JAZZER: a class path. OUT/NAME.sources: the tree's sources, for reports know them by package.
set -eu
export PATH="$JAVA_BIN:$PATH"
package=$(sed -n 's/^[[:space:]]*package[[:space:]]\{1,\}\([A-Za-z0-9_.]*\).*/\1/p' "$HARNESS" | head -n 1)
here=$(dirname "$HARNESS")
root=$here
for part in $(echo "$package" | tr . ' '); do root=$(dirname "$root"); done
classes="$WORK/$NAME-classes"
mkdir -p "$classes"

# The module that it is of.
module=$here
while [ "$module" != . ] && [ ! -e "$module/pom.xml" ] && ! ls "$module"/build.gradle* >/dev/null 2>&1; do module=$(dirname "$module"); done
module=${module#.}
module=${module:+$module/}

# What was compiled or fetched before: lib/, .ff/java, target/classes, target/dependency, build/...
path=$JAZZER
find . -name .git -prune -o -name '*.jar' ! -name '*-wrapper.jar' ! -name 'jazzer*.jar' -print | sort >"$WORK/jars"
while read -r jar; do
  path=$path:$jar
  full=$(realpath "$jar")
  (cd "$classes" && jar -xf "$full")
done <"$WORK/jars"
find . -name .git -prune -o -type d '(' -path '*/target/classes' -o -path '*/build/classes/java/main' ')' -print -prune >"$WORK/dirs"
while read -r dir; do
  path=$path:$dir
  cp -R "$dir"/. "$classes/"
done <"$WORK/dirs"
rm -f "$classes"/META-INF/*.SF "$classes"/META-INF/*.RSA "$classes"/META-INF/*.DSA "$classes"/META-INF/MANIFEST.MF

javac -g -nowarn -proc:none -encoding UTF-8 -d "$classes" -cp "$path" \
  -sourcepath "$root:${module}src/main/java:${module}src/test/java:src/main/java:src/test/java:src:." "$HARNESS"
for dir in src/main/resources src/test/resources "${module}src/main/resources" "${module}src/test/resources"; do
  [ ! -d "$dir" ] || cp -R "$dir"/. "$classes/"
done
# It is Jazzer's agent as well: else the machine would attach to itself, which takes files in /tmp.
cat >"$WORK/$NAME.mf" <<END
Jazzer-Fuzz-Target-Class: ${package:+$package.}$NAME
Premain-Class: com.code_intelligence.jazzer.third_party.net.bytebuddy.agent.Installer
Can-Redefine-Classes: true
Can-Retransform-Classes: true
Can-Set-Native-Method-Prefix: true
END
jar --create --file "$OUT/$NAME" --manifest "$WORK/$NAME.mf" -C "$classes" .
find . -name .git -prune -o -name '*.java' -print | sed 's|^\./||' >"$OUT/$NAME.sources"
[ ! -d "$here/${NAME}_seed_corpus" ] || cp -R "$here/${NAME}_seed_corpus" "$OUT/"
[ ! -f "$here/$NAME.dict" ] || cp "$here/$NAME.dict" "$OUT/"
