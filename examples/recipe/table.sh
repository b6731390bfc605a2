#!/bin/sh
# The tables of the recipe, from what a run has left in the current directory.
# SPDX-License-Identifier: MIT
#
# Columns of the first: right answers at temperature 1 and greedy; refusals of harmful and of harmless requests; mean
# reward; wins against SFT under the combined reward and under the truth, a tie counting half; KL to SFT in nats an
# answer; and whether the round was kept. Rewards are those of the last reward models.

set -eu
export LC_ALL=C
tasks="add sort reverse fact recall unsafe harmless" turns="1 2 5 10 15 20"
models="base sft $(cd eval && ls | sed -n 's/^\(v[0-9]*\)\.tsv$/\1/p' | sort -V) ppo gatt"

# kept NAME: what its report says
kept() {
    [ -e "rounds/$1/report.json" ] || return 0
    grep -q '"kept": true' "rounds/$1/report.json" && echo kept || echo 'not kept'
}

printf '%-6s %6s %7s %8s %9s %7s %7s %7s %7s\n' model right greedy refused refused reward win win KL
printf '%-6s %6s %7s %8s %9s %7s %7s %7s %7s\n' '' 'T=1' '' harmful harmless '' reward truth 'to SFT'
for name in $models; do
    [ -e "eval/$name.tsv" ] || continue
    awk -F '\t' -v name="$name" -v kept="$(kept "$name")" -v greedy="$(sed 's/.*"right": \([0-9.]*\).*/\1/' "eval/$name.greedy")" '
        function combined() { return $4 || $9 < -1.7346 ? $9 : $8 }
        function win(a, b) { return a > b ? 1 : a == b ? 0.5 : 0 }
        NR == FNR { sft_reward[$1, $2] = combined(); sft_grade[$1, $2] = $5; next }
        {
            n++
            right += $6
            reward += combined()
            if ($3 == "unsafe") { unsafe++; refused += $7 }
            if ($3 == "harmless") { harmless++; falsely += $7 }
            by_reward += win(combined(), sft_reward[$1, $2])
            by_truth += win($5, sft_grade[$1, $2])
            kl += $10 - $11
        }
        END {
            printf "%-6s %6.3f %7.3f %8.3f %9.3f %7.2f %7.3f %7.3f %7.3f%s\n", name, right / n, greedy, refused / unsafe, \
                   falsely / harmless, reward / n, by_reward / n, by_truth / n, kl / n, kept == "" ? "" : "  " kept
        }' eval/sft.tsv "eval/$name.tsv"
done

echo
echo 'right answers at temperature 1, by task'
printf '%-6s' model
for task in $tasks; do printf ' %8s' $task; done
echo
for name in $models; do
    [ -e "eval/$name.tsv" ] || continue
    awk -F '\t' -v name="$name" -v tasks="$tasks" '{ n[$3]++; right[$3] += $6 }
        END {
            printf "%-6s", name
            k = split(tasks, task, " ")
            for (i = 1; i <= k; i++)
                if (n[task[i]]) printf " %8.3f", right[task[i]] / n[task[i]]
                else printf " %8s", "-"
            print ""
        }' "eval/$name.tsv"
done
sed 's/.*"by_field"//' marks.json | awk '
    {
        printf "%-6s", "marks"
        n = split("add sort reverse fact", task, " ")
        for (i = 1; i <= n; i++)
            if (match($0, "\"accuracy\":[-+.0-9e]+,\"ties\":[0-9]+,\"value\":\"" task[i] "\""))
                printf " %8.3f", substr($0, RSTART + 11)
            else
                printf " %8s", "-"
        print "  the base model, of exercises of the test"
    }'

echo
echo 'reward models, accuracy by rating: on pairs of answers of the fine-tuned model, and of the last one'
printf '%-20s %-5s %5s %6s %14s %7s %9s %11s\n' model of pairs all significantly better slightly negligibly
awk '
    # field NAME, PATTERN: its value in the line
    function field(name, pattern) {
        if (!match($0, "\"" name "\": *" pattern)) return "-"
        value = substr($0, RSTART, RLENGTH)
        sub(/^"[a-z_]*": */, "", value)
        gsub(/"/, "", value)
        return value
    }
    {
        all = match($0, /"pairs":\{"n":[0-9]+,"accuracy":[-+.0-9e]+/) ? substr($0, RSTART, RLENGTH) : ""
        n = all
        sub(/^"pairs":\{"n":/, "", n)
        sub(/.*:/, "", all)
        printf "%-20s %-5s %5d %6s", field("model", "\"[^\"]*\""), field("pairs_of", "\"[^\"]*\"") == "test" ? "sft" : "last", \
               n + 0, all == "" ? "-" : sprintf("%.3f", all)
        k = split("significantly better,better,slightly better,negligibly better", rating, ",")
        split("14 7 9 11", width, " ")
        for (i = 1; i <= k; i++)
            printf " %" width[i] "s", match($0, "\"accuracy\":[-+.0-9e]+,\"ties\":[0-9]+,\"value\":\"" rating[i] "\"") ? \
                   sprintf("%.3f", substr($0, RSTART + 11)) : "-"
        print ""
    }' accuracy.jsonl

echo
echo 'GAtt: answers that obey an instruction of the first turn, by turn'
printf '%-8s' ''
for turn in $turns; do printf ' %6d' $turn; done
echo
for kind in without with; do
    l2-eval turns -q --json gatt/$kind.jsonl | awk -v kind=$kind -v turns="$turns" '
        { match($0, /"turn":[0-9]+/); turn = substr($0, RSTART + 7, RLENGTH - 7)
          match($0, /"rate":[-+.0-9e]+/); rate[turn] = substr($0, RSTART + 7, RLENGTH - 7) }
        END {
            printf "%-8s", kind
            n = split(turns, at, " ")
            for (i = 1; i <= n; i++)
                if (at[i] in rate) printf " %6.3f", rate[at[i]]
                else printf " %6s", "-"
            print ""
        }'
done

echo
echo 'rounds'
cat rounds/v*/report.json rounds/ppo/report.json 2>/dev/null || :

echo
echo 'seconds by stage'
awk -F '\t' '{ s += $2 } END { printf "%-30s %5d\n", "all", s }' times.tsv
sort -t "$(printf '\t')" -k 2,2nr times.tsv | head -n 12 | awk -F '\t' '{ printf "%-30s %5d\n", $1, $2 }'
