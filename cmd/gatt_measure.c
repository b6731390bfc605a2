/* l2-gatt measure: whether answers still obey an instruction that stands in the first turn. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "gatt.h"

#include <stdlib.h>
#include <string.h>

#include "common/report.h"
#include "sample/score.h"
#include "stream/json.h"

static struct gatt_args args = {.template_name = "auto", .sampling = SAMPLING_DEFAULTS};
static struct {
    const char *reward;
    double threshold;
} opts;

const struct l2_opt gatt_measure_options[] = {
    GATT_OPTIONS(&args),
    {.name = "reward",
     .kind = L2_OPT_STRING,
     .arg = "MODEL",
     .is_path = true,
     .no_effect = true,
     .help = "judge by this reward model, not by the patterns of the constraints",
     .target = &opts.reward},
    {.name = "threshold",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "an answer obeys whose score is X or more",
     .target = &opts.threshold,
     .min = -1e6,
     .max = 1e6},
    L2_OPT_TABLE_END,
};

struct measuring {
    struct gatt gatt;
    struct l2_loaded reward;  /* with --reward */
    struct l2_worker *scorer; /* the same */
    int fd;
    const char *name; /* of the output */
    struct l2_buf rows;
    uint64_t obeyed;
};

static int check_header(void *arg, const struct l2_header *h, struct l2_err *err)
{
    struct measuring *m = arg;
    int r = l2_check_vocab(m->gatt.cli, &m->gatt.loaded, h, err);
    if (r == L2_OK && m->scorer)
        r = l2_check_vocab(m->gatt.cli, &m->reward, h, err);
    return r;
}

/* ---- the reward model's word ---- */

/* Takes back what the scorer has done; *n counts. */
static int take_scores(struct measuring *m, double *scores, size_t *n, struct l2_err *err)
{
    struct l2_record *rec;
    int r = L2_OK;
    while ((rec = m->scorer->ops->take(m->scorer))) {
        const double *score = l2_completion_score(&rec->completions[0], "obeys");
        if (score)
            scores[(*n)++] = *score;
        else if (r == L2_OK)
            r = l2_err_set(err, L2_CORRUPT, "an answer without a finite score");
        l2_record_release(rec);
        free(rec);
    }
    return r;
}

/* Adds the dialogue up to answer number t. */
static int ask_score(struct measuring *m, size_t t, struct l2_err *err)
{
    struct l2_record *rec = malloc(sizeof *rec);
    if (!rec)
        return l2_err_memory(err, sizeof *rec);
    l2_record_init(rec);
    int r = l2_gatt_turn(m->gatt.worker, t, rec, err);
    if (r == L2_OK)
        r = m->scorer->ops->add(m->scorer, rec, err);
    if (r != L2_OK) {
        l2_record_release(rec);
        free(rec);
    }
    return r;
}

/* The scores of all answers of the dialogue that was taken; owned, free with free. */
static int score(struct measuring *m, size_t n, double **out, struct l2_err *err)
{
    const struct l2_worker_ops *ops = m->scorer->ops;
    size_t asked = 0, done = 0;
    int r = L2_OK;
    *out = malloc((n > 0 ? n : 1) * sizeof **out);
    if (!*out)
        return l2_err_memory(err, n * sizeof **out);
    while (done < n && r == L2_OK) {
        while (asked < n && r == L2_OK && ops->wants(m->scorer)) {
            r = ask_score(m, asked, err);
            asked += r == L2_OK;
        }
        if (r == L2_OK && ops->busy(m->scorer))
            r = ops->step(m->scorer, err);
        if (r == L2_OK)
            r = take_scores(m, *out, &done, err);
    }
    return r;
}

/* ---- rows ---- */

/* ,"obeys":... by patterns: all of the constraints, and where there are several, each of them. */
static int put_judged(struct measuring *m, const struct l2_gatt_dialogue *d, size_t t, bool *obeys,
                      struct l2_err *err)
{
    const struct l2_constraints *c = &m->gatt.constraints;
    bool each[L2_CONSTRAINTS_MAX];
    int r = L2_OK;
    *obeys = true;
    for (size_t i = 0; i < d->choice.n && r == L2_OK; i++) {
        r = l2_constraints_obeyed(c, &d->choice, i, d->texts[t].s, d->texts[t].n, &each[i], err);
        *obeys = *obeys && each[i];
    }
    if (r == L2_OK)
        r = l2_buf_printf(&m->rows, err, ",\"obeys\":%s", *obeys ? "true" : "false");
    for (size_t i = 0; i < d->choice.n && d->choice.n > 1 && r == L2_OK; i++) {
        const char *name = c->v[d->choice.picks[i].constraint].name;
        r = l2_buf_append_str(&m->rows, i == 0 ? ",\"each\":{" : ",", err);
        if (r == L2_OK)
            r = l2_json_put_str(&m->rows, name, strlen(name), err);
        if (r == L2_OK)
            r = l2_buf_printf(&m->rows, err, ":%s%s", each[i] ? "true" : "false",
                              i + 1 == d->choice.n ? "}" : "");
    }
    return r;
}

static int put_scored(struct measuring *m, double score, bool *obeys, struct l2_err *err)
{
    *obeys = score >= opts.threshold;
    int r = l2_buf_printf(&m->rows, err, ",\"obeys\":%s,\"score\":", *obeys ? "true" : "false");
    return r == L2_OK ? l2_json_put_f64(&m->rows, score, err) : r;
}

static int put_text(struct l2_buf *out, const char *key, const struct l2_str *s, struct l2_err *err)
{
    int r = l2_buf_printf(out, err, ",\"%s\":", key);
    return r == L2_OK ? l2_json_put_str(out, s->s, s->n, err) : r;
}

static int put_row(struct measuring *m, const struct l2_record *rec,
                   const struct l2_gatt_dialogue *d, size_t t, const double *scores,
                   struct l2_err *err)
{
    struct l2_buf *out = &m->rows;
    bool obeys;
    int r = l2_buf_append_str(out, "{\"id\":", err);
    if (r == L2_OK)
        r = l2_json_put_id(out, &rec->id, err);
    if (r == L2_OK)
        r = l2_buf_printf(out, err, ",\"turn\":%zu", t + 1);
    if (r == L2_OK)
        r = scores ? put_scored(m, scores[t], &obeys, err) : put_judged(m, d, t, &obeys, err);
    if (r == L2_OK)
        m->obeyed += obeys;
    if (r == L2_OK)
        r = put_text(out, "constraint", &d->label, err);
    if (r == L2_OK)
        r = put_text(out, "instruction", &d->instruction, err);
    if (r == L2_OK)
        r = put_text(out, "question", &d->questions[t], err);
    if (r == L2_OK)
        r = put_text(out, "answer", &d->texts[t], err);
    if (r == L2_OK)
        r = l2_buf_printf(out, err, ",\"finish\":\"%s\"}\n", l2_finish_names[d->answers[t].finish]);
    return r;
}

/* Writes the rows of a dialogue when it is through. */
static int done(void *arg, struct l2_record *rec, bool *write, struct l2_err *err)
{
    struct measuring *m = arg;
    const struct l2_gatt_dialogue *d = l2_gatt_taken(m->gatt.worker);
    double *scores = NULL;
    int r = m->scorer ? score(m, d->n, &scores, err) : L2_OK;
    *write = false;
    m->rows.len = 0;
    for (size_t t = 0; t < d->n && r == L2_OK; t++)
        r = put_row(m, rec, d, t, scores, err);
    free(scores);
    return r == L2_OK ? l2_cli_write(m->fd, m->name, m->rows.data, m->rows.len, err) : r;
}

/* ---- the run ---- */

static int open_reward(struct measuring *m, struct l2_err *err)
{
    struct l2_cli *cli = m->gatt.cli;
    struct l2_model_settings s = cli->model;
    struct l2_score_opts o = {.kind = L2_SCORE_REWARD, .name = "obeys"};
    s.model = opts.reward;
    s.vocab = NULL;
    int r = l2_load(&m->reward, cli, &s, (uint32_t)s.batch, 0, err);
    if (r == L2_OK && m->reward.model->hp.n_labels != 1)
        r = l2_err_at(err, L2_UNSUPPORTED, opts.reward, -1,
                      "not a reward model: want a head of one label, got %u labels",
                      (unsigned)m->reward.model->hp.n_labels);
    return r == L2_OK ? l2_scorer_new(&m->scorer, m->reward.engine, &o, err) : r;
}

static int open_all(struct measuring *m, struct l2_cli *cli, struct l2_pipe **pipe,
                    struct l2_err *err)
{
    int r = gatt_open(&m->gatt, cli, &args, err);
    if (r == L2_OK && !opts.reward)
        r = l2_constraints_check_judged(&m->gatt.constraints, err);
    if (r == L2_OK && opts.reward)
        r = open_reward(m, err);
    if (r == L2_OK)
        r = gatt_start(&m->gatt, false, err);
    if (r == L2_OK)
        r = l2_cli_open_output(cli, false, &m->fd, &m->name, err);
    return r == L2_OK ? l2_pipe_open_input(pipe, cli, err) : r;
}

int gatt_run_measure(struct l2_cli *cli)
{
    struct measuring m = {.fd = -1};
    struct l2_pipe *pipe = NULL;
    struct l2_err err;
    if (cli->resume)
        return l2_cli_usage(cli, "--resume goes on with records: measure writes none");
    int r = open_all(&m, cli, &pipe, &err);
    if (r == L2_OK) {
        struct l2_run run = {.cli = cli,
                             .pipe = pipe,
                             .worker = m.gatt.worker,
                             .header = check_header,
                             .done = done,
                             .arg = &m};
        l2_run_worker(&run);
        gatt_report(&m.gatt);
        l2_report_count(cli->report, "obey", m.obeyed);
    }
    if (m.fd >= 0) {
        struct l2_err closing;
        if (l2_cli_close_output(cli, m.fd, m.name, &closing) != L2_OK && r == L2_OK) {
            r = closing.code;
            err = closing;
        }
    }
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    if (m.scorer)
        m.scorer->ops->free(m.scorer);
    l2_unload(&m.reward);
    l2_buf_release(&m.rows);
    gatt_close(&m.gatt);
    return status;
}
