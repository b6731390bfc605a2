/* l2-eval turns: whether answers still obey an instruction as a dialogue goes on. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

static struct {
    bool jsonl, skip_bad, json;
    const char *obeys, *turn, *dialogue;
} opts = {.obeys = "obeys", .turn = "turn", .dialogue = "id"};

const struct l2_opt eval_turns_options[] = {
    {.name = "obeys",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "true where the answer of a turn still obeys",
     .target = &opts.obeys},
    {.name = "turn",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the turn, a number",
     .target = &opts.turn},
    {.name = "dialogue",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the dialogue that the turn is of",
     .target = &opts.dialogue},
    JUDGE_IN_OPTIONS(&opts.jsonl, &opts.skip_bad, &opts.json),
    L2_OPT_TABLE_END,
};

struct answer {
    size_t dialogue; /* group */
    int64_t turn;
    bool obeys;
};

struct measuring {
    struct judge_groups dialogues;
    struct answer *v;
    size_t n, cap;
    json_t *rows;
};

static int take_answer(struct measuring *m, const json_t *row, const json_t *answer,
                       struct l2_err *err)
{
    const json_t *turn = judge_field(row, answer, opts.turn);
    struct answer a = {.turn = json_integer_value(turn)};
    char label[256];
    if (!json_is_integer(turn))
        return l2_err_set(err, L2_FORMAT, "%.64s: want an integer", opts.turn);
    int r = judge_bool(judge_field(row, answer, opts.obeys), opts.obeys, &a.obeys, err);
    const json_t *dialogue = judge_field(row, answer, opts.dialogue);
    if (r == L2_OK && !dialogue)
        r = l2_err_set(err, L2_FORMAT, "want %.64s, which says the dialogue", opts.dialogue);
    if (r == L2_OK)
        r = judge_label(dialogue, opts.dialogue, label, err);
    if (r == L2_OK)
        r = l2_grow(&m->v, m->n, &m->cap, 1, sizeof *m->v, err);
    if (r == L2_OK)
        r = judge_group(&m->dialogues, label, &a.dialogue, err);
    if (r == L2_OK)
        m->v[m->n++] = a;
    return r;
}

static int take(void *arg, const json_t *row, struct l2_err *err)
{
    const json_t *list = json_object_get(row, "completions"), *c;
    size_t i;
    if (!json_is_array(list))
        return take_answer(arg, row, NULL, err);
    json_array_foreach(list, i, c)
    {
        int r = take_answer(arg, row, c, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

static int by_turn(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    return (x->dialogue > y->dialogue) - (x->dialogue < y->dialogue);
}

/* Turns in order; a dialogue has broken the instruction from the first turn on that does not obey
 * (several answers of one turn: any of them). */
static int report(void *arg, struct l2_err *err)
{
    struct measuring *m = arg;
    size_t n_dialogues = judge_groups_n(&m->dialogues), end;
    bool *broken = calloc(n_dialogues > 0 ? n_dialogues : 1, sizeof *broken);
    int r = broken ? L2_OK : l2_err_memory(err, n_dialogues);
    if (m->n > 0)
        qsort(m->v, m->n, sizeof *m->v, by_turn);
    for (size_t i = 0; i < m->n && r == L2_OK; i = end) {
        uint64_t obeys = 0, dialogues = 0, unbroken = 0;
        for (end = i; end < m->n && m->v[end].turn == m->v[i].turn; end++) {
            const struct answer *a = &m->v[end];
            obeys += a->obeys;
            broken[a->dialogue] = broken[a->dialogue] || !a->obeys;
        }
        for (size_t k = i; k < end; k++)
            if (k + 1 == end || m->v[k].dialogue != m->v[k + 1].dialogue) {
                dialogues++;
                unbroken += !broken[m->v[k].dialogue];
            }
        struct l2_interval ci = l2_wilson((double)obeys, (double)(end - i), L2_Z95);
        r = judge_add(
            m->rows,
            json_pack("{s:I,s:I,s:I,s:o,s:o,s:o,s:I,s:o}", "turn", (json_int_t)m->v[i].turn,
                      "answers", (json_int_t)(end - i), "obey", (json_int_t)obeys, "rate",
                      judge_real((double)obeys / (double)(end - i)), "low", judge_real(ci.low),
                      "high", judge_real(ci.high), "dialogues", (json_int_t)dialogues, "unbroken",
                      judge_real((double)unbroken / (double)dialogues)),
            err);
    }
    free(broken);
    return r;
}

int eval_run_turns(struct l2_cli *cli)
{
    struct judge_in in = {.cli = cli, .jsonl = opts.jsonl, .skip_bad = opts.skip_bad};
    struct measuring m = {.rows = json_array()};
    struct l2_err err;
    int r = judge_groups_init(&m.dialogues, &err);
    if (r == L2_OK)
        r = judge_read_operands(&in, take, &m, &err);
    if (r == L2_OK)
        r = judge_finish(&in, report, &m, m.rows, opts.json, &err);
    judge_groups_release(&m.dialogues);
    free(m.v);
    json_decref(m.rows);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
