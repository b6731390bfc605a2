#!/bin/sh
# l2-plot: that what is drawn is what is in the files, that texts stay texts, and that pictures are whole.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

# plot SUBCOMMAND ARGUMENT...: the script that it draws with
plot() { l2-plot "$@" -q --script; }
# block NAME: what is in that data block of the script on standard input
block() { awk -v name="\$$1" '$1 == name && $2 == "<<" { on = 1; next } $1 == "EOD" { on = 0 } on'; }
# xy NAME: the first two columns of it, "x y" with two spaces between points
xy() { block "$1" | awk '{ printf "%s%s %s", n++ ? "  " : "", $1, $2 }'; }
# titles: the names in the legend of the script on standard input, in the order of drawing
titles() { sed -n "s/.* title \('[^']*'\).*/\1/p" | tr '\n' ' '; }
# rounded COLUMN: that column of numbers, to six digits
rounded() { awk -v c="$1" '{ printf "%.6g ", $c }'; }

# ---- logs ----

cat >a.jsonl <<'E'
{"step":1,"loss":3.5,"grad_norm":2,"num_tokens":100}
{"step":2,"loss":2.5,"grad_norm":1.5,"num_tokens":200}
{"step":2,"eval_loss":2.75,"eval_targets":7}
{"step":2,"sample":"x"}
{"step":3,"loss":1.5,"grad_norm":1,"num_tokens":300}
E
cat >b.jsonl <<'E'
{"step":1,"loss":3.25}
{"step":2,"loss":9.0}
{"step":3,"loss":9.5}
{"step":2,"loss":2.25}
{"step":3,"loss":null}
E
plot log a.jsonl b.jsonl >s
is 'the losses of a log by its steps' '1.0 3.5  2.0 2.5  3.0 1.5' "$(xy d0_0 <s)"
is 'and of what is held out' '2.0 2.75' "$(xy d0_1 <s)"
is 'rows that a resumed run repeats take the place of the earlier ones' '1.0 3.25  2.0 2.25' \
    "$(xy d0_2 <s)"
is 'three curves, named by file and field' "'a: loss' 'a: eval_loss' 'b: loss' " "$(titles <s)"
is 'the y axis has a unit' "set ylabel 'loss (nats)'" "$(grep -o "^set ylabel '[^']*'" s)"
is 'and the x axis says what it is' "set xlabel 'step'" "$(grep -o "^set xlabel '[^']*'" s)"
plot log -x num_tokens -y loss,eval_loss -y grad_norm a.jsonl >s
is 'by tokens' '100.0 3.5  200.0 2.5  300.0 1.5' "$(xy d0_0 <s)"
is 'an evaluation stands where the row before it does' '200.0 2.75' "$(xy d0_1 <s)"
is 'a second -y is a second panel' '100.0 2.0  200.0 1.5  300.0 1.0' "$(xy d1_0 <s)"
is 'which makes two plots' 2 "$(grep -c '^plot ' s)"
plot log -y loss --smooth 2 a.jsonl >s
is 'a mean of the last two' '1.0 3.5  2.0 3.0  3.0 2.0' "$(xy d0_0 <s)"
is 'with the points behind it' '1.0 3.5  2.0 2.5  3.0 1.5' "$(xy d0_1 <s)"
is 'labels, in the order of the files' "'first' 'second' " \
    "$(plot log -y loss --label first --label second a.jsonl b.jsonl | titles)"
mkdir other && cp a.jsonl other/a.jsonl
is 'files of one name are told apart' "'a.jsonl' 'other/a.jsonl' " \
    "$(plot log -y loss a.jsonl other/a.jsonl | titles)"
is 'standard input' '1.0 3.5  2.0 2.5  3.0 1.5' "$(plot log -y loss - <a.jsonl | xy d0_0)"
awk 'BEGIN { for (i = 1; i <= 30000; i++)
    printf "{\"step\":%d,\"loss\":%d}\n", i, i == 777 ? 99 : i == 20000 ? -5 : i % 3 }' >long.jsonl
plot log long.jsonl | block d0_0 >thin
is 'a long log is thinned' yes "$(awk 'END { print (NR <= 4000 && NR > 2000) ? "yes" : NR }' thin)"
is 'its extremes stay' '777.0 99.0 20000.0 -5.0 ' \
    "$(awk '$2 > 2 || $2 < 0 { printf "%s %s ", $1, $2 }' thin)"
plot log --smooth 1000 long.jsonl >s
is 'a mean over many points, to rounding' yes "$(block d0_0 <s | tail -n 1 | awk '{
    for (i = $1 - 999; i <= $1; i++) e += i % 3
    d = $2 - e / 1000
    print (d < 1e-9 && d > -1e-9) ? "yes" : d }')"
{ cat a.jsonl && printf '{"step":4,"lo'; } >cut.jsonl
fails 0 'cut.jsonl:6: the last line is cut' 'a log that is being written' l2-plot log --script cut.jsonl
is 'is drawn up to there' '1.0 3.5  2.0 2.5  3.0 1.5' "$(xy d0_0 <stdout)"
printf '{"step":1,"loss":1}\n{"step":2,"lo\n{"step":3,"loss":1}\n' >bad.jsonl
fails 1 'bad.jsonl:2' 'a bad line in the middle is named' l2-plot log --script bad.jsonl
printf '{"step":1,"loss":"1"}\n' >bad.jsonl
fails 1 "bad.jsonl:1: want a number as 'loss'" 'a text is no loss' l2-plot log --script bad.jsonl
printf '[1]\n' >bad.jsonl
fails 1 'bad.jsonl:1: want a JSON object' 'an array is no row' l2-plot log --script bad.jsonl
fails 1 "no row has 'nosuch'" 'a field that is nowhere' l2-plot log --script -y nosuch a.jsonl
fails 1 "no row has 'nosuch'" 'nor on the x axis' l2-plot log --script -x nosuch a.jsonl
fails 2 'want FIELD' 'an empty field is wrong usage' l2-plot log --script -y loss,,x a.jsonl
fails 2 'one for each file' 'labels for some of the files are wrong usage' l2-plot log --script --label x \
    a.jsonl b.jsonl

# ---- curves of the best of N ----

cat >curve.jsonl <<'E'
{"n":1,"records":3,"max":0.5,"max_se":0.25,"median":0.5,"mean":0.5,"temperature":0.5,"model":"m"}
{"n":2,"records":3,"max":1.5,"max_se":0.5,"median":0.5,"mean":0.5,"temperature":0.5,"model":"m"}
{"n":1,"records":3,"max":0.25,"max_se":0.25,"median":0.25,"mean":0.25,"temperature":1.0,"model":"m"}
{"n":2,"records":3,"max":2.5,"max_se":0.5,"median":0.25,"mean":0.25,"temperature":1.0,"model":"m"}
E
plot curve curve.jsonl >s
is 'the maximum with its standard error' '1.0 0.5 0.25 0.75|2.0 1.5 1.0 2.0|' "$(block d0_0 <s | tr '\n' '|')"
is 'by temperature' '1.0 0.25  2.0 2.5' "$(xy d0_4 <s)"
is 'curves are named by what differs' "'T = 0.5: max' 'T = 0.5: median' 'T = 1: max' 'T = 1: median' " \
    "$(titles <s)"
is 'N is on a logarithmic axis' 'set logscale x 2' "$(grep '^set logscale' s)"
is 'or not' 0 "$(plot curve --no-log-x curve.jsonl | grep -c '^set logscale')"
is 'one statistic alone' "'T = 0.5' 'T = 1' " "$(plot curve -y mean curve.jsonl | titles)"
fails 2 'want max, median or mean' 'another field is wrong usage' l2-plot curve -y min curve.jsonl
fails 1 "a.jsonl:1: want 'n'" 'a log is no curve' l2-plot curve --script a.jsonl

# ---- scores ----

cat >scores.jsonl <<'E'
{"id":1,"prompt":"p","completions":[{"text":"a","scores":{"r":0}},{"text":"b","scores":{"r":4,"s":1}}]}
{"id":2,"prompt":"p","completions":[{"text":"a","scores":{"r":1}},{"text":"b","scores":{"r":1}}]}
{"id":3,"prompt":"p","completions":[{"text":"a","scores":{"r":2}}]}
E
is 'shares of bins: 0, 1 and 1, 2, 4' '0.0 0.0  0.0 20.0  1.0 40.0  2.0 20.0  3.0 20.0  4.0 0.0' \
    "$(plot scores --score r --bins 4 scores.jsonl | xy d0_0)"
is 'count and mean are in the legend' "'scores (n 5, mean 1.6)' " \
    "$(plot scores --score r scores.jsonl | titles)"
plot scores --pairs --score r --bins 4 scores.jsonl >s
is 'of pairs the chosen ones' '0.0 0.0  0.0 50.0  1.0 50.0  2.0 0.0  3.0 0.0  4.0 0.0' "$(xy d0_0 <s)"
is 'and the rejected ones' '0.0 0.0  0.0 0.0  1.0 50.0  2.0 0.0  3.0 50.0  4.0 0.0' "$(xy d0_1 <s)"
is 'a density integrates to one' 1.000 "$(plot scores --density --score r scores.jsonl | block d0_0 |
    awk 'NR > 1 { a += ($1 - x) * ($2 + y) / 2 } { x = $1; y = $2 } END { printf "%.3f\n", a }')"
fails 1 'there are r, s' 'scores that there are instead' l2-plot scores --script scores.jsonl
printf '{"r":3}\n{"scores":{"r":1}}\n' >rows.jsonl
is 'a field of a row, and of its scores' "'rows (n 2, mean 2)' " "$(plot scores --score r rows.jsonl | titles)"

# ---- accuracies ----

cat >rm.jsonl <<'E'
{"step":2,"loss":0.7,"num_tokens":50}
{"step":2,"eval_loss":0.7,"eval_pairs":4,"eval_accuracy":0.5,"eval_accuracy_by_rating":{"better":0.25,"negligibly better":0.75}}
{"step":4,"loss":0.6,"num_tokens":90}
{"step":4,"eval_loss":0.6,"eval_pairs":4,"eval_accuracy":0.75,"eval_accuracy_by_rating":{"better":1.0,"negligibly better":0.5}}
E
is 'accuracy by steps' '2.0 0.5  4.0 0.75' "$(plot accuracy rm.jsonl | xy d0_0)"
is 'and by tokens' '50.0 0.5  90.0 0.75' "$(plot accuracy -x num_tokens rm.jsonl | xy d0_0)"
plot accuracy --by-rating rm.jsonl >s
is 'ratings of one run are curves' "'all pairs' 'better' 'negligibly better' " "$(titles <s)"
is 'with their accuracies' '2.0 0.75  4.0 0.5' "$(xy d0_4 <s)"
cp rm.jsonl rm2.jsonl
is 'ratings of several runs are panels' "set title 'all pairs' set title 'better' set title 'negligibly better' " \
    "$(plot accuracy --by-rating rm.jsonl rm2.jsonl | grep -o "^set title '[^']*'" | tr '\n' ' ')"
cat >runs.jsonl <<'E'
{"program":"l2-train","parameters":13000000000,"examples":400,"epochs":2.0,"eval_accuracy":0.75}
{"program":"l2-train","parameters":7000000000,"examples":400,"epochs":2.0,"eval_accuracy":0.625}
{"program":"l2-train","parameters":7000000000,"examples":80,"epochs":0.8,"eval_accuracy":0.5}
E
plot accuracy runs.jsonl >s
is 'of summaries pairs are examples by epochs' '80.0 0.5  200.0 0.625' "$(xy d0_1 <s)"
is 'and curves are by the size of the model' "'7B parameters'" \
    "$(sed -n "s/.*d0_1 .* title \('[^']*'\).*/\1/p" s)"
cat rm.jsonl runs.jsonl >mixed.jsonl
fails 1 'summaries and logs' 'not both at once' l2-plot accuracy --script mixed.jsonl
fails 1 'no row has eval_accuracy' 'a log without' l2-plot accuracy --script a.jsonl

# ---- win rates ----

cat >wins.jsonl <<'E'
{"version":"V1","judge":"help","wins":30,"ties":20,"losses":50}
{"version":"V1","judge":"safe","wins":10,"losses":30}
{"version":"V2","judge":"help","wins":20,"ties":0,"losses":20}
{"version":"V2","judge":"safe","wins":25,"losses":15}
{"version":"V2","judge":"help","wins":40,"ties":0,"losses":20}
E
plot wins wins.jsonl >s
is 'ties count half, rows of a version add up' '0.0 40.0  1.0 60.0' "$(xy d0_0 <s)"
is 'the other judge' '0.0 25.0  1.0 62.5' "$(xy d0_1 <s)"
# The ends of Wilson's interval are the roots p of (rate - p)^2 = z^2 p (1 - p) / n.
is 'the intervals are those of Wilson' 'yes yes ' "$(block d0_0 <s | awk '
    function off(p) { return (rate - p) ^ 2 - 3.841458820694124 * p * (1 - p) / 100 }
    { rate = $2 / 100; lo = off($3 / 100); hi = off($4 / 100); ok = $3 < $2 && $2 < $4
      printf "%s ", (ok && lo < 1e-9 && lo > -1e-9 && hi < 1e-9 && hi > -1e-9) ? "yes" : lo "/" hi }')"
is 'without ties' '0.0 37.5  1.0 60.0' "$(plot wins --ties drop wins.jsonl | xy d0_0)"
is 'versions are on the x axis' "set xtics ('V1' 0, 'V2' 1)" "$(grep 'set xtics' s)"
plot wins --plane help,safe wins.jsonl >s
is 'the plane of two judges' '40.0 25.0  60.0 62.5' "$(xy d0_0 <s)"
is 'with the versions at their points' "'V1' at 40.0,25.0 'V2' at 60.0,62.5 " \
    "$(sed -n "s/^set label \('[^']*' at [0-9.,]*\).*/\1/p" s | tr '\n' ' ')"
plot wins --bars wins.jsonl >s
is 'bars of wins' '0.0 30.0|0.0 25.0|0.0 60.0|0.0 62.5|' "$(block d0_0 <s | awk '{ printf "%s %s|", $3, $4 }')"
is 'of ties' '30.0 50.0|25.0 25.0|60.0 60.0|62.5 62.5|' "$(block d0_1 <s | awk '{ printf "%s %s|", $3, $4 }')"
fails 1 "no row has the judge 'x'" 'a judge that is nowhere' l2-plot wins --script --plane help,x wins.jsonl
fails 2 'want JUDGE,JUDGE' 'one judge makes no plane' l2-plot wins --script --plane help wins.jsonl
fails 2 'exclude each other' 'plane and bars' l2-plot wins --script --plane help,safe --bars wins.jsonl
fails 1 'no row has wins' 'a log has none' l2-plot wins --script a.jsonl
printf '{"id":%d,"version":"V1","judge":"help","rating":%d}\n' 1 1 2 -1 3 0 4 2 | l2-eval wins -q --jsonl --json >eval.jsonl
is 'what l2-eval counts: two wins, a tie, a loss' '0.0 62.5' "$(plot wins eval.jsonl | xy d0_0)"
is 'with the intervals that it tells' "$(sed -n 's/.*"low":\([0-9.]*\),"high":\([0-9.]*\),"decided".*/\1 \2/p' eval.jsonl |
    awk '{ printf "%.9g %.9g", 100 * $1, 100 * $2 }')" "$(plot wins eval.jsonl | block d0_0 | awk '{ printf "%.9g %.9g", $3, $4 }')"
printf '{"version":"V1","wins":-1,"losses":2}\n' >bad.jsonl
fails 1 "bad.jsonl:1: want a count, 0 or more, as 'wins'" 'negative wins' l2-plot wins --script bad.jsonl

# ---- colors ----

# The least contrast by WCAG 2 to the paper; the grid is not text.
cat >contrast.awk <<'E'
function digit(hex, i) { return index("0123456789abcdef", substr(hex, i, 1)) - 1 }
function channel(hex, i,    v) {
    v = (digit(hex, i) * 16 + digit(hex, i + 1)) / 255
    return v <= 0.03928 ? v / 12.92 : exp(2.4 * log((v + 0.055) / 1.055))
}
function luminance(hex) { return 0.2126 * channel(hex, 1) + 0.7152 * channel(hex, 3) + 0.0722 * channel(hex, 5) }
/background/ { match($0, /#[0-9a-f]+/); paper = luminance(substr($0, RSTART + 1, 6)); next }
/grid/ { next }
{
    while (match($0, /#[0-9a-f]+/)) {
        l = luminance(substr($0, RSTART + RLENGTH - 6, 6))
        c = (l > paper) ? (l + 0.05) / (paper + 0.05) : (paper + 0.05) / (l + 0.05)
        if (!least || c < least) least = c
        $0 = substr($0, RSTART + RLENGTH)
    }
}
END { if (least >= 4.5) print "readable"; else print "contrast " least }
E
for i in 1 2 3 4 5 6 7 8 9; do cp a.jsonl $i.jsonl; done
for theme in light dark; do
    plot log -y loss --theme $theme [1-9].jsonl >s
    is "$theme: text and curves are readable on the paper" readable "$(awk -f contrast.awk s)"
    is "$theme: there are eight colors for nine curves" 8 \
        "$(grep -o "linecolor rgb '#00[0-9a-f]*'" s | sort -u | wc -l | tr -d ' ')"
    is "$theme: and no two curves look alike" 9 \
        "$(grep -o "linecolor rgb '#00[0-9a-f]*' dashtype [0-9]*" s | sort -u | wc -l | tr -d ' ')"
done

# ---- texts that would do something else ----

hostile='`touch ran1` $(touch ran2) @x %s '"it's "'"q" \n {/=30 x}_a^b ]]><script>&amp;'
# titled TEXT: how that is quoted as a title
titled() { plot log --title "$1" a.jsonl | sed -n 's/^set multiplot layout 1,1 title \(.*\) textcolor.*/\1/p'; }
is 'a text is one quoted string' \
    "'"'`touch ran1` $(touch ran2) @x %s '"it'.\"'\".'s "'"q" \n {/=30 x}_a^b ]] ><script>&amp;'"'" "$(titled "$hostile")"
is 'a line break in it is a space' "'a b c'" "$(titled "$(printf 'a\nb\tc')")"
is 'what is no UTF-8 is a question mark' "'a?b'" "$(titled "$(printf 'a\377b')")"
is 'and a long one is cut' 90 "$(titled "$(printf '%0200d' 0)" | tr -cd 0 | wc -c | tr -d ' ')"

if ! have gnuplot; then
    skip 'pictures' 'gnuplot is not installed'
    finish
fi

# ---- pictures ----

# svg FILE WHAT: what another parser finds in it
cat >svg.py <<'E'
import sys, xml.etree.ElementTree as et
root = et.parse(sys.argv[1]).getroot()
ns = "{http://www.w3.org/2000/svg}"
assert root.tag == ns + "svg", root.tag
if sys.argv[2] == "texts":
    print("\n".join("".join(t.itertext()) for t in root.iter(ns + "text")))
elif sys.argv[2] == "curves":
    print(sum(1 for g in root.iter(ns + "g") if g.get("id", "").startswith("gnuplot_plot_")))
elif sys.argv[2] == "size":
    print(root.get("width"), root.get("height"))
elif sys.argv[2] == "unexpected":
    known = "svg title desc g defs rect circle path use filter feFlood feComposite text polygon polyline style"
    print(sorted({e.tag for e in root.iter()} - {ns + k for k in known.split()}))
E
svg() { python3 svg.py "$@"; }
# has FILE TEXT: one of the texts of an SVG is that
has() { svg "$1" texts >texts && grep -qxF -e "$2" texts; }

if have python3; then
    ok 'logs as SVG' l2-plot log -q a.jsonl b.jsonl --title 'Two runs' -o log.svg
    is 'have their curves' 3 "$(svg log.svg curves)"
    for text in 'Two runs' 'a: loss' 'b: loss' 'a: eval_loss' 'step' 'loss (nats)'; do
        ok "and the text $text" has log.svg "$text"
    done
    l2-plot log -q --width 640 --height 320 a.jsonl >size.svg
    is 'in the size that was asked for' '640 320' "$(svg size.svg size)"
    ok 'dark where its reader likes that' grep -q 'prefers-color-scheme: dark' log.svg
    is 'for all colors that are drawn' '' "$(grep -oE "(fill|stroke|color) ?= ?['\"](rgb\([^)]*\)|#[0-9a-f]{6})['\"]" log.svg |
        sed "s/ *= *['\"]/=\"/; s/.\$/\"/" | sort -u | while IFS= read -r a; do
        sed -n '/<style>/,$p' log.svg | grep -qF "[$a]" || echo "$a"
    done)"
    ok 'a dark one' l2-plot log -q --theme dark a.jsonl -o dark.svg
    is 'has no need of that' 0 "$(grep -c prefers-color-scheme dark.svg)"
    ok 'and dark paper' grep -q 'fill="#0d1117"' dark.svg

    printf '{"version":"%s","judge":"%s","wins":1,"losses":2}\n' '`touch ran3` %d ]]>' '$(touch ran4)<b>' \
        '`touch ran5`' 'q' >hostile.jsonl
    ok 'hostile texts everywhere' l2-plot wins -q hostile.jsonl --title "$hostile" -o hostile.svg
    ok 'are drawn in the title' has hostile.svg "$(printf '%s' "$hostile" | sed 's/]]>/]] >/')"
    ok 'in the legend' has hostile.svg '$(touch ran4)<b>'
    ok 'at the ticks' has hostile.svg '`touch ran3` %d ]] >'
    is 'and are no elements' '[]' "$(svg hostile.svg unexpected)"
    while IFS= read -r text; do
        l2-plot log -q --title "$text" a.jsonl >quotes.svg
        ok "as it is: $text" has quotes.svg "$text"
        printf '{"version":"%s","wins":1,"losses":1}\n' "$(printf '%s' "$text" | sed 's/[\\"]/\\&/g')" >quotes.jsonl
        l2-plot wins -q quotes.jsonl >quotes.svg
        ok "and at a tick: $text" has quotes.svg "$text"
    done <<'E'
'
''
'''x
a'''b'
x''; system('touch ran8') #
'; system('touch ran8') #
\
\'
"
"`touch ran8`"
%d
#
@GPVAL_VERSION
E
    ok 'in the plane, too' l2-plot wins -q --plane 'q,q' hostile.jsonl -o plane.svg
    ok 'at the points' has plane.svg '`touch ran5`'
    name=$(printf 'x`touch ran6`\n$(touch ran7)')
    cp a.jsonl "$name"
    ok 'names of files' l2-plot log -q a.jsonl "$name" -y loss -o names.svg
    ok 'are texts as well' has names.svg 'x`touch ran6` $(touch ran7)'
    is 'nothing has run' '' "$(find . -name 'ran*')"
else
    skip 'the contents of SVG' 'python3 is not installed'
fi

ok 'curves as PNG' l2-plot curve -q curve.jsonl -o curve.png --width 500 --height 400
is 'of that size' '89504e470d0a1a0a0000000d49484452000001f400000190' \
    "$(head -c 24 curve.png | od -An -v -tx1 | tr -d ' \n')"
is 'whole' 'IEND' "$(tail -c 8 curve.png | head -c 4)"
for args in 'scores --score r scores.jsonl' 'scores --density --score r scores.jsonl' \
    'accuracy --by-rating rm.jsonl rm2.jsonl' 'accuracy --by-rating rm.jsonl' 'accuracy runs.jsonl' \
    'wins wins.jsonl' 'wins --bars wins.jsonl' 'wins --plane help,safe wins.jsonl' 'log --log-x --log-y a.jsonl'; do
    # shellcheck disable=SC2086 # words
    ok "drawn without a word: $args" l2-plot $args -q --to png -o drawn --force
    is 'a picture' 89504e470d0a1a0a "$(head -c 8 drawn | od -An -v -tx1 | tr -d ' \n')"
done
printf '{"step":5,"loss":0}\n' >one.jsonl
is 'a single point is marked' 1 "$(plot log one.jsonl | grep -c ' with linespoints ')"
ok 'and drawn' l2-plot log -q one.jsonl -o one.svg
is 'the script draws the same picture' "$(l2-plot log -q --theme light a.jsonl | cksum)" \
    "$(plot log --theme light a.jsonl | gnuplot -d - 2>stderr | cksum)"

# ---- failures ----

printf 'old' >kept.svg
fails 1 'exists already' 'a file that exists is refused' l2-plot log a.jsonl -o kept.svg
mkdir bin empty
cat >bin/gnuplot <<'E'
#!/bin/sh
printf '\nplot $d\n     ^\n"-" line 1: invalid command\n\n' >&2
exit 1
E
chmod +x bin/gnuplot
fails 1 'gnuplot failed: "-" line 1: invalid command$' 'what gnuplot says is one message' \
    env PATH="$L2_TMP/bin:$PATH" l2-plot log -q --force a.jsonl -o kept.svg
is 'in one line' 1 "$(wc -l <stderr | tr -d ' ')"
is 'the file is as it was' old "$(cat kept.svg)"
printf '#!/bin/sh\nprintf "<?xml"\n' >bin/gnuplot
fails 1 'gnuplot failed' 'half a picture is none' env PATH="$L2_TMP/bin:$PATH" l2-plot log -q a.jsonl -o half.svg
ok 'and makes no file' test ! -e half.svg -a ! -e half.svg.tmp
l2plot=$(command -v l2-plot)
fails 1 'gnuplot.*is not installed' 'where gnuplot is missing that is said' env PATH="$L2_TMP/empty" "$l2plot" \
    log a.jsonl
printf 'set print "ran8"\nprint 1\n' >.gnuplot
ok 'with a start-up file' env HOME="$L2_TMP" l2-plot log -q a.jsonl -o startup.svg
is 'which is not read' '' "$(find . -name 'ran*')"

# ---- what the programs themselves write ----

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99
l2-tokenize -q -z tokenizer.model pairs.jsonl -o pairs.l2s
l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s
l2-train reward -m model -o judge --data pairs.l2s --batch 1 --epochs 3 --held-out 0.4 --eval-every 1 \
    --log judge.jsonl 2>judge.err
is 'the losses of l2-train' "$(sed -n 's/.*"loss":\([-0-9.e]*\).*/\1/p' judge.jsonl | rounded 1)" \
    "$(plot log -y loss judge.jsonl | block d0_0 | rounded 2)"
is 'its accuracies, one a step' "$(sed -n 's/^{"step":\([0-9]*\),.*"eval_accuracy":\([-0-9.e]*\).*/\1 \2/p' judge.jsonl |
    awk '{ last[$1] = $2; n = $1 } END { for (i = 1; i <= n; i++) if (i in last) printf "%.6g ", last[i] }')" \
    "$(plot accuracy judge.jsonl | block d0_0 | rounded 2)"
grep '^{' judge.err >summary.jsonl
is 'and its summary' "$(sed -n 's/.*"eval_accuracy":\([-0-9.e]*\).*/\1/p' summary.jsonl | rounded 1)" \
    "$(plot accuracy summary.jsonl | block d0_0 | rounded 2)"
l2-ppo -q -m model -o policy --reward rm --batch 4 -k 2 -n 4 --iterations 2 --log ppo.jsonl prompts.l2s
is 'the scores of l2-ppo' "$(sed -n 's/.*"objective\/scores":\([-0-9.e]*\).*/\1/p' ppo.jsonl | rounded 1)" \
    "$(plot log ppo.jsonl | block d0_0 | rounded 2)"
l2-generate -q -m model -k 4 -n 4 prompts.l2s | l2-score -q -m rm >scored.l2s
l2-rsample -q --curve --by reward scored.l2s >curve.jsonl
is 'the maxima of l2-rsample' "$(sed -n 's/.*"max":\([-0-9.e]*\).*/\1/p' curve.jsonl | rounded 1)" \
    "$(plot curve -y max curve.jsonl | block d0_1 | rounded 2)"
is 'the mean of the scores of l2-score' "$(l2-cat -q --scores tsv scored.l2s | awk -F '\t' '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == "reward") c = i; next }
    { s += $c; n++ } END { printf "n %d, mean %.3g", n, s / n }')" \
    "$(plot scores scored.l2s | sed -n 's/.*(\(n [^)]*\)).*/\1/p')"
plot scores scored.l2s >file
cat scored.l2s | plot scores --label scored >pipe
same 'a stream from a pipe' file pipe
l2-cat -q --json scored.l2s >scored.jsonl
plot scores scored.jsonl >json
same 'and as JSON' file json
cat scored.l2s scored.l2s >twice.l2s
is 'two segments' "$(titles <file | sed 's/scored (n 12/twice (n 24/')" "$(plot scores twice.l2s | titles)"
head -c $(($(wc -c <scored.l2s) - 5)) scored.l2s >cut.l2s
fails 1 'cut.l2s: .*ends' 'a cut stream has no distribution' l2-plot scores --script cut.l2s
fails 0 'cut.l2s: .*ends' 'but with --partial' l2-plot scores --script --partial cut.l2s
is 'that of what is there' "$(titles <file | sed 's/scored/cut/')" "$(titles <"$L2_TMP/stdout")"
finish
