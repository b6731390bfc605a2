#!/bin/sh
# Runs every command of the EXAMPLES of every manual page.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

# examples PAGE: its example commands, one a line. They are the lines of literal blocks that begin with
# "$ "; a line that ends in a backslash or | goes on in the next.
examples() {
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE ALSO/p' "$1" | awk '
        /^\.Bd -literal/ { on = 1; next }
        /^\.Ed/ { on = 0; open = 0; next }
        !on { next }
        {
            if ($0 ~ /^\$ /) sub(/^\$ /, ""); else if (!open) next
            gsub(/\\e/, "\\"); gsub(/\\&/, ""); gsub(/\\-/, "-"); gsub(/\\\(aq/, "\047")
            gsub(/\\\(dq/, "\""); gsub(/\\\(ti/, "~"); gsub(/\\\(ha/, "^"); gsub(/\\\(ga/, "`")
            open = 0
            if (sub(/\\$/, "")) { open = 1; printf "%s", $0 }
            else if ($0 ~ /\|$/) { open = 1; printf "%s ", $0 }
            else print
        }'
}

# Presets and rules are found where they are installed; a test runs before that.
mkdir "$L2_TMP/bin" && cat >"$L2_TMP/bin/l2-model" <<'WRAPPER'
#!/bin/sh
if [ "${1-}" = init ]; then
    shift
    exec "$L2_BIN/l2-model" init --presets "$L2_SRC/examples/presets" "$@"
fi
exec "$L2_BIN/l2-model" "$@"
WRAPPER
cat >"$L2_TMP/bin/l2-clean" <<'WRAPPER'
#!/bin/sh
exec "$L2_BIN/l2-clean" --rules-dir "$L2_SRC/examples/rules" "$@"
WRAPPER
chmod +x "$L2_TMP/bin/l2-model" "$L2_TMP/bin/l2-clean"
PATH=$L2_TMP/bin:$PATH

shell=sh
have bash && shell='bash -o pipefail'

ok 'the fixtures are made' make_fixtures "$L2_TMP/fixtures"
n=0
for page in "$L2_SRC"/man/*.[1-9]; do
    name=${page##*/}
    examples "$page" >"$L2_TMP/examples"
    case $name in
    *.1) ok "$name: has examples" test -s "$L2_TMP/examples" ;;
    esac
    rm -rf "$L2_TMP/work"
    cp -R "$L2_TMP/fixtures" "$L2_TMP/work" && cd "$L2_TMP/work" || exit 99
    while IFS= read -r command <&3; do
        n=$((n + 1))
        case $command in
        *'jq '*) have jq || { skip "$name: $command" 'no jq' && continue; } ;;
        *'l2-plot '*) have gnuplot || { skip "$name: $command" 'no gnuplot' && continue; } ;;
        esac
        # shellcheck disable=SC2086 # the shell and its option
        ok "$name: $command" $shell -c "$command"
    done 3<"$L2_TMP/examples"
done
ok 'there are examples at all' test "$n" -ge 10
finish
