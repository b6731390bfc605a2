#!/bin/sh
# The rules of the source tree: includes go downward only, and only cmd prints, exits or reads the
# environment.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
cd "$L2_SRC" || exit 99

# Layers from the bottom up; those of one line do not see each other, except as allowed() says.
rank() {
    case $1 in
    util) echo 0 ;;
    stream | model | text) echo 1 ;;
    kern | data) echo 2 ;;
    nn | clean) echo 3 ;;
    sample | train) echo 4 ;;
    rlhf | eval) echo 5 ;;
    *) echo 9 ;;
    esac
}

# includes FILE: the layers that it includes headers of
includes() {
    sed -n 's/^ *# *include "\([a-z]*\)\/.*/\1/p' "$1" | sort -u
}

found=
for layer in util stream text clean model data kern nn sample train rlhf eval; do
    [ -d "libcore/$layer" ] || continue
    for f in libcore/"$layer"/*.[ch]; do
        for to in $(includes "$f"); do
            [ "$to" = "$layer" ] && continue
            [ "$(rank "$to")" -lt "$(rank "$layer")" ] || found="$found $f->$to"
        done
    done
done
is 'libcore includes only lower layers' '' "$found"

found=
for f in libcore/*/*.c cmd/*.c cmd/common/*.c; do
    # the first line that is neither comment nor blank
    first=$(sed -e 's/\/\*.*\*\///' -e '/\/\*/,/\*\//d' -e '/^ *$/d' "$f" | head -n 1)
    case $first in
    '#include <config.h>' | '#if'* | '#define _'*) ;; # a feature macro comes before
    *) found="$found $f" ;;
    esac
done
is 'every source file begins with config.h' '' "$found"

found=$(grep -nE '\b(printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|abort|getenv|secure_getenv|setenv|isatty|signal|sigaction)\(|\b(stdout|stderr|environ)\b' \
    libcore/*/*.[ch] | grep -vE '^[^:]*:[0-9]*: *(/?\*|//)')
is 'libcore neither prints, nor exits, nor reads the environment' '' "$found"

found=$(grep -nE '\b(strtok|strcpy|strcat|sprintf|gets|atoi|atof|atol|rand|srand|alloca|setlocale)\(' \
    libcore/*/*.[ch] cmd/*.c cmd/common/*.[ch])
is 'no functions that cannot be used safely' '' "$found"

found=
for f in libcore/*/*.[ch] cmd/*.c cmd/common/*.[ch] tests/*/*.[ch]; do
    head -n 12 "$f" | grep -q 'SPDX-License-Identifier: MIT' || found="$found $f"
done
is 'every source file names its licence' '' "$found"

found=$(for f in libcore/*/*.[ch] cmd/*.c cmd/common/*.[ch]; do basename "$f"; done | sort | uniq -d)
is 'base names are unique' '' "$found"

if have nm && [ -f "$L2_BIN/l2-cat" ]; then
    found=
    for p in "$L2_BIN"/l2-*; do
        [ -x "$p" ] || continue
        case ${p##*/} in
        l2-eval | l2-gatt | l2-generate | l2-score | l2-embed | l2-train | l2-ppo) continue ;;
        esac
        nm -D "$p" 2>/dev/null | grep -q cblas_ && found="$found ${p##*/}"
    done
    is 'only programs that load a model link OpenBLAS' '' "$found"
else
    skip 'only programs that load a model link OpenBLAS' 'no nm, or no programs'
fi
finish
