/* l2-eval: what is asked of a model, run through the engine longest first. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <stdlib.h>
#include <string.h>

#include "common/report.h"
#include "eval/ask.h"
#include "sample/score.h"
#include "util/grow.h"

void eval_asks_release(struct eval_asks *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct eval_ask *ask = &a->v[i];
        for (size_t k = 0; k < ask->n; k++)
            l2_ids_release(&ask->answer[k]);
        l2_ids_release(&ask->prompt);
        free(ask->answer);
        free(ask->which);
    }
    free(a->v);
    *a = (struct eval_asks){0};
}

int eval_asks_add(struct eval_asks *a, size_t item, struct l2_ids *prompt, struct eval_ask **out,
                  struct l2_err *err)
{
    *out = NULL;
    int r = l2_grow(&a->v, a->n, &a->cap, 1, sizeof *a->v, err);
    if (r != L2_OK)
        return r;
    *out = &a->v[a->n++];
    **out = (struct eval_ask){.item = item, .prompt = *prompt, .cost = prompt->n};
    *prompt = (struct l2_ids){0};
    return L2_OK;
}

int eval_ask_answer(struct eval_ask *ask, size_t which, struct l2_ids *answer, struct l2_err *err)
{
    int r = l2_resize(&ask->answer, ask->n + 1, sizeof *ask->answer, err);
    if (r == L2_OK)
        r = l2_resize(&ask->which, ask->n + 1, sizeof *ask->which, err);
    if (r != L2_OK)
        return r;
    ask->which[ask->n] = which;
    ask->answer[ask->n++] = *answer;
    ask->cost += answer->n;
    *answer = (struct l2_ids){0};
    return L2_OK;
}

/* A record on its way. */
struct trip {
    struct l2_record rec; /* first: the worker knows it as a struct l2_record */
    const struct eval_ask *ask;
};

static void end_trip(struct l2_record *rec)
{
    l2_record_release(rec);
    free(rec);
}

static int copy_ids(struct l2_record *rec, const struct l2_ids *from, struct l2_u32s *to,
                    struct l2_err *err)
{
    to->n = from->n;
    to->v = l2_arena_alloc(&rec->arena, from->n, sizeof *to->v, err);
    if (!to->v)
        return L2_MEMORY;
    if (from->n > 0)
        memcpy(to->v, from->v, from->n * sizeof *to->v);
    return L2_OK;
}

static int begin_trip(const struct eval_ask *ask, struct l2_record **out, struct l2_err *err)
{
    struct trip *t = malloc(sizeof *t);
    if (!t)
        return l2_err_memory(err, sizeof *t);
    l2_record_init(&t->rec);
    t->ask = ask;
    t->rec.id.number = (int64_t)ask->item;
    int r = copy_ids(&t->rec, &ask->prompt, &t->rec.prompt, err);
    for (size_t k = 0; k < ask->n && r == L2_OK; k++) {
        struct l2_completion *c = l2_record_add_completion(&t->rec, err);
        r = c ? copy_ids(&t->rec, &ask->answer[k], &c->tokens, err) : L2_MEMORY;
    }
    if (r != L2_OK)
        end_trip(&t->rec);
    else
        *out = &t->rec;
    return r;
}

/* Larger first; of equal cost, in their order. */
static int by_cost(const void *a, const void *b)
{
    const struct eval_ask *x = *(const struct eval_ask *const *)a;
    const struct eval_ask *y = *(const struct eval_ask *const *)b;
    if (x->cost != y->cost)
        return x->cost > y->cost ? -1 : 1;
    return x < y ? -1 : x > y;
}

struct tour {
    struct l2_cli *cli;
    struct l2_worker *w;
    const struct eval_ask **order;
    size_t n, n_in, n_out;
    uint64_t cost, cost_out;
    eval_taken *taken;
    void *arg;
};

static int take_out(struct tour *t, struct l2_err *err)
{
    struct l2_record *rec;
    int r = L2_OK;
    while (r == L2_OK && (rec = t->w->ops->take(t->w))) {
        const struct eval_ask *ask = ((struct trip *)rec)->ask;
        t->n_out++;
        t->cost_out += ask->cost;
        r = t->taken(t->arg, ask, rec, err);
        end_trip(rec);
    }
    return r;
}

static int turn(struct tour *t, struct l2_err *err)
{
    const struct l2_worker_ops *ops = t->w->ops;
    int r = L2_OK;
    while (r == L2_OK && t->n_in < t->n && ops->wants(t->w)) {
        struct l2_record *rec = NULL;
        r = begin_trip(t->order[t->n_in], &rec, err);
        if (r == L2_OK && (r = ops->add(t->w, rec, err)) != L2_OK)
            end_trip(rec);
        if (r == L2_OK)
            t->n_in++;
    }
    if (r == L2_OK && ops->busy(t->w))
        r = ops->step(t->w, err);
    if (r == L2_OK)
        r = take_out(t, err);
    uint64_t tokens, generated;
    ops->counts(t->w, &tokens, &generated);
    l2_cli_progress_share(t->cli, t->cost > 0 ? (double)t->cost_out / (double)t->cost : 1, tokens,
                          "tokens");
    return r;
}

static void tell_faults(struct tour *t)
{
    char why[1024];
    struct l2_err err;
    const struct l2_worker_faults *f = t->w->ops->faults(t->w);
    json_t *o = t->cli->report;
    if (f->dropped > 0)
        json_object_set_new(o, "dropped", json_integer((json_int_t)f->dropped));
    if (f->truncated > 0)
        json_object_set_new(o, "truncated", json_integer((json_int_t)f->truncated));
    if (f->records == 0)
        return;
    l2_err_format(&f->first, why, sizeof why);
    (void)l2_err_set(&err, L2_CORRUPT, "sample %s: %s (%llu in all went without a result)",
                     f->first_id, why, (unsigned long long)f->records);
    (void)l2_cli_error(t->cli, &err);
    json_object_set_new(o, "failed_samples", json_integer((json_int_t)f->records));
}

int eval_asks_run(struct eval_asks *a, struct l2_cli *cli, struct l2_worker *w, eval_taken *taken,
                  void *arg, struct l2_err *err)
{
    struct tour t = {.cli = cli, .w = w, .n = a->n, .taken = taken, .arg = arg};
    int r = l2_resize(&t.order, a->n, sizeof *t.order, err);
    for (size_t i = 0; i < a->n && r == L2_OK; i++) {
        t.order[i] = &a->v[i];
        t.cost += a->v[i].cost;
    }
    if (r == L2_OK && a->n > 0)
        qsort(t.order, a->n, sizeof *t.order, by_cost);
    while (r == L2_OK && t.n_out < t.n)
        r = turn(&t, err);
    l2_cli_progress_done(cli);
    if (r == L2_OK) {
        uint64_t tokens, generated;
        w->ops->counts(w, &tokens, &generated);
        l2_report_count(cli->report, "tokens_computed", tokens);
        tell_faults(&t);
    }
    free(t.order);
    return r;
}

/* ---- choices ---- */

struct scoring {
    struct eval_question *q;
    eval_answered *answered;
    void *arg;
};

static int tell_choices(const struct scoring *s, size_t item, struct l2_err *err)
{
    const struct eval_question *q = &s->q[item];
    json_t *resps = json_array();
    int rc = resps ? 0 : -1;
    for (size_t k = 0; k < q->n && rc == 0; k++)
        rc = json_array_append_new(
            resps, json_pack("[f,b]", q->choice[k].logprob, (int)q->choice[k].greedy));
    int r = rc == 0 ? s->answered(s->arg, item, resps, err) : l2_err_memory(err, 64);
    json_decref(resps);
    return r;
}

static int take_choices(void *arg, const struct eval_ask *ask, const struct l2_record *rec,
                        struct l2_err *err)
{
    const struct scoring *s = arg;
    struct eval_question *q = &s->q[ask->item];
    for (size_t k = 0; k < ask->n; k++) {
        const double *logprob = l2_completion_score(&rec->completions[k], "logprob");
        const double *greedy = l2_completion_score(&rec->completions[k], "greedy");
        if (!logprob || !greedy)
            continue;
        q->choice[ask->which[k]].logprob = *logprob;
        q->choice[ask->which[k]].greedy = *greedy != 0;
        q->n_scored++;
    }
    return q->n_scored == q->n ? tell_choices(s, ask->item, err) : L2_OK;
}

static bool same_ids(const struct l2_ids *a, const struct l2_ids *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0);
}

/* Adds a question's choices, those of one prompt together. */
static int ask_question(struct eval_asks *a, struct l2_encoder *e, bool bos, size_t item,
                        const struct eval_question *q, struct l2_err *err)
{
    size_t first = a->n;
    int r = L2_OK;
    for (size_t k = 0; k < q->n && r == L2_OK; k++) {
        struct l2_ids prompt = {0}, answer = {0};
        struct eval_ask *ask = NULL;
        r = l2_ask_encode(e, &q->choice[k].context, &q->choice[k].continuation, bos, &prompt,
                          &answer, err);
        for (size_t i = first; i < a->n && !ask && r == L2_OK; i++)
            if (same_ids(&a->v[i].prompt, &prompt))
                ask = &a->v[i];
        if (r == L2_OK && !ask)
            r = eval_asks_add(a, item, &prompt, &ask, err);
        if (r == L2_OK)
            r = eval_ask_answer(ask, k, &answer, err);
        l2_ids_release(&prompt);
        l2_ids_release(&answer);
    }
    return r;
}

/* Says which sample an error is about. */
static int of_sample(size_t item, int r, struct l2_err *err)
{
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    return l2_err_set(err, (enum l2_code)r, "sample %zu: %.400s", item, text);
}

int eval_score_choices(struct l2_cli *cli, struct l2_loaded *loaded, bool bos,
                       struct eval_question *q, size_t n, eval_answered *answered, void *arg,
                       struct l2_err *err)
{
    struct scoring s = {q, answered, arg};
    struct eval_asks asks = {0};
    struct l2_encoder *e = NULL;
    struct l2_worker *w = NULL;
    struct l2_score_opts so = {.kind = L2_SCORE_LOGPROB,
                               .name = "logprob",
                               .greedy = "greedy",
                               .overlong = (enum l2_overlong)cli->model.overlong};
    int r = l2_encoder_new(&e, loaded->vocab, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        if (q[i].skip)
            continue;
        r = ask_question(&asks, e, bos, i, &q[i], err);
        if (r == L2_CORRUPT)
            r = of_sample(i, r, err);
    }
    if (r == L2_OK)
        r = l2_scorer_new(&w, loaded->engine, &so, err);
    if (r == L2_OK)
        r = eval_asks_run(&asks, cli, w, take_choices, &s, err);
    if (w)
        w->ops->free(w);
    l2_encoder_free(e);
    eval_asks_release(&asks);
    return r;
}

/* ---- answers ---- */

struct writing {
    const struct l2_vocab *vocab;
    uint32_t n_completions;
    eval_answered *answered;
    void *arg;
};

/* The text of a completion: what its stop rule left, else what its tokens decode to. */
static int text_of(const struct l2_vocab *v, const struct l2_completion *c, json_t *list,
                   struct l2_err *err)
{
    struct l2_buf text = {0};
    int r = c->text.s ? l2_buf_append(&text, c->text.s, c->text.n, err)
                      : l2_decode(v, c->tokens.v, c->tokens.n, true, &text, err);
    if (r == L2_OK && json_array_append_new(
                          list, json_stringn(text.len > 0 ? (char *)text.data : "", text.len)) != 0)
        r = l2_err_memory(err, text.len);
    l2_buf_release(&text);
    return r;
}

static int take_answers(void *arg, const struct eval_ask *ask, const struct l2_record *rec,
                        struct l2_err *err)
{
    const struct writing *w = arg;
    json_t *resps = json_array();
    int r = resps ? L2_OK : l2_err_memory(err, 64);
    for (size_t k = 0; k < rec->n_completions && r == L2_OK; k++)
        r = text_of(w->vocab, &rec->completions[k], resps, err);
    if (r == L2_OK && rec->n_completions == w->n_completions)
        r = w->answered(w->arg, ask->item, resps, err);
    json_decref(resps);
    return r;
}

/* A pattern that matches each of the texts as it is. */
static int stop_at(struct l2_stop **out, const char *const *until, size_t n, struct l2_err *err)
{
    struct l2_buf pattern = {0};
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        if (i > 0)
            r = l2_buf_append_byte(&pattern, '|', err);
        for (const char *s = until[i]; *s && r == L2_OK; s++) {
            if ((*s >= ' ' && *s < '0') || strchr("[]\\^{|}?", *s))
                r = l2_buf_append_byte(&pattern, '\\', err);
            if (r == L2_OK)
                r = l2_buf_append(&pattern, s, 1, err);
        }
    }
    if (r == L2_OK)
        r = l2_buf_append_byte(&pattern, '\0', err);
    if (r == L2_OK)
        r = l2_stop_new(out, (const char *)pattern.data, err);
    l2_buf_release(&pattern);
    return r;
}

static int add_prompts(struct eval_asks *asks, struct l2_loaded *loaded, bool bos,
                       const struct l2_generate_opts *opts, const struct eval_prompt *p, size_t n,
                       struct l2_err *err)
{
    struct l2_encoder *e = NULL;
    int r = l2_encoder_new(&e, loaded->vocab, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        struct l2_ids ids = {0};
        struct eval_ask *ask;
        if (p[i].skip)
            continue;
        r = l2_ask_prompt(e, &p[i].context, bos, &ids, err);
        if (r == L2_OK)
            r = eval_asks_add(asks, i, &ids, &ask, err);
        if (r == L2_OK)
            ask->cost += (uint64_t)opts->max_new_tokens * opts->n_completions;
        l2_ids_release(&ids);
    }
    l2_encoder_free(e);
    return r;
}

int eval_generate(struct l2_cli *cli, struct l2_loaded *loaded, bool bos,
                  const struct l2_generate_opts *opts, const char *const *until, size_t n_until,
                  const struct eval_prompt *p, size_t n, eval_answered *answered, void *arg,
                  struct l2_err *err)
{
    struct writing wr = {loaded->vocab, opts->n_completions, answered, arg};
    struct eval_asks asks = {0};
    struct l2_worker *w = NULL;
    struct l2_stop *stop = NULL;
    struct l2_generate_opts go = *opts;
    uint32_t eos = l2_vocab_eos(loaded->vocab);
    go.eos = loaded->model->hp.eos;
    go.n_eos = loaded->model->hp.n_eos;
    if (go.n_eos == 0 && eos != L2_NO_ID) {
        go.eos = &eos;
        go.n_eos = 1;
    }
    go.vocab = loaded->vocab;
    go.pool = loaded->pool;
    go.overlong = (enum l2_overlong)cli->model.overlong;
    int r = add_prompts(&asks, loaded, bos, opts, p, n, err);
    if (r == L2_OK && n_until > 0)
        r = stop_at(&stop, until, n_until, err);
    go.stop = stop;
    if (r == L2_OK)
        r = l2_generator_new(&w, loaded->engine, &go, err);
    if (r == L2_OK) {
        l2_generator_set_vocab_size(w, l2_vocab_size(loaded->vocab));
        r = eval_asks_run(&asks, cli, w, take_answers, &wr, err);
    }
    if (w)
        w->ops->free(w);
    l2_stop_free(stop);
    eval_asks_release(&asks);
    return r;
}
