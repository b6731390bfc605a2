# Shows answers and their scores as a table for people: each prompt with the best and the worst of its answers.
# SPDX-License-Identifier: MIT
#
#   l2-rsample --best 16 ... | l2-tokenize -d -z MODEL | awk -v scores="helpful safe" -f show.awk
#
# Reads rows as l2-tokenize -d writes them, whose completions stand best first; their scores named in scores
# become columns. Of a dialogue the last message is shown. width is that of a text, 60 by default.

function fail(message) {
    print "show.awk: line " NR ": " message >"/dev/stderr"
    failed = 1
    exit 1
}

# plain TEXT: the inside of a JSON string on one line, cut to the width, in bytes, at the end of a character
function plain(text) {
    text = unescaped(text)
    gsub(/^ +| +$/, "", text)
    if (length(text) > width) {
        text = substr(text, 1, width - 3)
        sub(/[\300-\377]?[\200-\277]*$/, "", text)
        text = text "..."
    }
    return text
}

# unescaped TEXT: with JSON's escapes replaced, those of control characters by a space
function unescaped(text,   done, c) {
    while (match(text, /\\(u00..|.)/)) {
        c = substr(text, RSTART + 1, 1)
        done = done substr(text, 1, RSTART - 1) (c ~ /["\\\/]/ ? c : " ")
        text = substr(text, RSTART + RLENGTH)
    }
    return done text
}

# question ROW: its prompt, the last content of a list of messages. Quotation marks inside of strings are
# escaped, so that the patterns occur nowhere else.
function question(row,   text) {
    if (match(row, /"prompt":"([^"\\]|\\.)*"/))
        return substr(row, RSTART + 10, RLENGTH - 11)
    if (!match(row, /"prompt":\[.*\],"completions":\[/))
        fail("no prompt with completions")
    row = substr(row, RSTART, RLENGTH)
    while (match(row, /"content":"([^"\\]|\\.)*"/)) {
        text = substr(row, RSTART + 11, RLENGTH - 12)
        row = substr(row, RSTART + RLENGTH)
    }
    return text
}

# line NAME, OBJECT: prints a completion's text and scores
function line(name, object,   i, text) {
    match(object, /"text":"([^"\\]|\\.)*"/)
    text = substr(object, RSTART + 8, RLENGTH - 9)
    printf "  %-6s%-" width "s", name, plain(text)
    for (i = 1; i <= columns; i++) {
        if (!match(object, "\"" column[i] "\":-?[0-9][-+.0-9eE]*"))
            fail("no score \"" column[i] "\"")
        printf " %+8.2f", substr(object, RSTART + length(column[i]) + 3, RLENGTH - length(column[i]) - 3)
    }
    print ""
}

BEGIN {
    if (width == "") width = 60
    columns = split(scores, column, " ")
    printf "%-" (width + 8) "s", ""
    for (i = 1; i <= columns; i++) printf " %8s", column[i]
    print ""
}

{
    print plain(question($0))
    if (!match($0, /"completions":\[/))
        fail("no completions")
    rest = substr($0, RSTART + RLENGTH)
    answers = 0
    while (match(rest, /"text":"([^"\\]|\\.)*"/)) {
        last = substr(rest, 1, RSTART + RLENGTH - 1)
        rest = substr(rest, RSTART + RLENGTH)
        if (!answers++)
            line("best", last)
    }
    if (answers > 1)
        line("worst", last)
}
