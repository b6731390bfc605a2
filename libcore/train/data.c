/* Training data: inputs are indexed, mixed by weight, and packed into batches. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/data_state.h"
#include "util/num.h"

#define DEFAULT_MEMORY ((uint64_t)256 << 20)

/* ---- made and freed ---- */

static int check_opts(const struct l2_data_opts *o, size_t n_inputs, struct l2_err *err)
{
    uint64_t rows = (uint64_t)o->context * o->sequences * 2;
    if (n_inputs == 0)
        return l2_err_set(err, L2_ARGUMENT, "no input");
    if (o->context == 0 || o->sequences == 0 || rows > INT32_MAX)
        return l2_err_set(err, L2_ARGUMENT, "%u sequences of %u positions", (unsigned)o->sequences,
                          (unsigned)o->context);
    if (!(o->held_out >= 0 && o->held_out < 1))
        return l2_err_set(err, L2_ARGUMENT, "held-out share %g: want one in [0, 1)", o->held_out);
    if ((o->add_bos && o->bos >= o->vocab_size) || (o->add_eos && o->eos >= o->vocab_size))
        return l2_err_set(err, L2_ARGUMENT, "BOS %u, EOS %u: the model has %u tokens",
                          (unsigned)o->bos, (unsigned)o->eos, (unsigned)o->vocab_size);
    return L2_OK;
}

static struct l2_data *allocate(const struct l2_data_opts *opts, size_t n_inputs,
                                struct l2_err *err)
{
    struct l2_data *d = calloc(1, sizeof *d);
    if (d)
        d->mix = calloc(n_inputs, sizeof *d->mix);
    if (!d || !d->mix) {
        free(d);
        (void)l2_err_memory(err, n_inputs * sizeof *d->mix);
        return NULL;
    }
    d->opts = *opts;
    if (d->opts.memory == 0)
        d->opts.memory = DEFAULT_MEMORY;
    d->n_inputs = n_inputs;
    return d;
}

static int open_corpora(struct l2_data *d, const struct l2_data_input *inputs, struct l2_err *err)
{
    d->corpora = calloc(d->n_inputs, sizeof *d->corpora);
    if (!d->corpora)
        return l2_err_memory(err, d->n_inputs * sizeof *d->corpora);
    for (size_t i = 0; i < d->n_inputs; i++) {
        int rc = l2_corpus_open(&d->corpora[i], &inputs[i], &d->opts, err);
        if (rc == L2_OK && i > 0)
            rc = l2_header_check_vocab(&d->corpora[0].header, &d->corpora[i].header, inputs[i].name,
                                       err);
        if (rc != L2_OK)
            return rc;
    }
    return L2_OK;
}

/* Opens the passes, and shares the mix out: by the weights, or (inputs NULL, or no weight given) by
 * the sizes. */
static int open_mix(struct l2_data *d, const struct l2_data_input *inputs, struct l2_err *err)
{
    double total = 0;
    for (size_t i = 0; i < d->n_inputs; i++) {
        struct l2_data_mix *m = &d->mix[i];
        int rc = l2_source_init(&m->source, &d->corpora[i], d->held, i,
                                d->opts.memory / d->n_inputs, err);
        if (rc != L2_OK)
            return rc;
        m->units = d->corpora[i].part[d->held].units;
        d->by_weight = d->by_weight || (inputs && inputs[i].weight != 0);
    }
    for (size_t i = 0; i < d->n_inputs; i++) {
        struct l2_data_mix *m = &d->mix[i];
        m->share = d->by_weight ? inputs[i].weight : (double)m->units;
        if (!(m->share >= 0 && isfinite(m->share)))
            return l2_err_at(err, L2_ARGUMENT, inputs[i].name, -1, "weight %g", m->share);
        if (m->units == 0 || m->share == 0)
            m->units = 0;
        else
            total += m->share;
        d->total_units += m->units;
    }
    for (size_t i = 0; i < d->n_inputs; i++)
        d->mix[i].share = d->mix[i].units ? d->mix[i].share / total : 0;
    if (d->total_units == 0)
        return l2_err_set(err, L2_ARGUMENT, "no record to %s",
                          d->held                           ? "evaluate on"
                          : d->opts.kind == L2_DATA_PAIRS   ? "train on: want two completions"
                          : d->opts.kind == L2_DATA_ANSWERS ? "train on: want completions"
                                                            : "train on");
    return L2_OK;
}

/* What a position depends on: options and content, not names and not the number of epochs. */
static void make_fingerprint(struct l2_data *d)
{
    const struct l2_data_opts *o = &d->opts;
    const uint64_t numbers[] = {o->kind,
                                o->context,
                                o->sequences,
                                o->vocab_size,
                                o->bos,
                                o->eos,
                                o->keep_order,
                                o->seed,
                                o->cut_documents,
                                o->add_bos,
                                o->add_eos,
                                o->earlier_turns,
                                (uint64_t)o->overlong,
                                o->memory,
                                d->held,
                                d->n_inputs};
    uint8_t bytes[8];
    struct l2_sha256 s;
    l2_sha256_init(&s);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        l2_put_u64le(bytes, numbers[i]);
        l2_sha256_update(&s, bytes, sizeof bytes);
    }
    l2_put_f64le(bytes, o->held_out);
    l2_sha256_update(&s, bytes, sizeof bytes);
    for (size_t i = 0; i < d->n_inputs; i++) {
        l2_put_f64le(bytes, d->mix[i].share);
        l2_sha256_update(&s, bytes, sizeof bytes);
        l2_corpus_hash(&d->corpora[i], &s);
    }
    l2_sha256_final(&s, d->fingerprint);
}

int l2_data_new(struct l2_data **out, const struct l2_data_opts *opts,
                const struct l2_data_input *inputs, size_t n_inputs, struct l2_err *err)
{
    *out = NULL;
    int rc = check_opts(opts, n_inputs, err);
    if (rc != L2_OK)
        return rc;
    struct l2_data *d = allocate(opts, n_inputs, err);
    if (!d)
        return L2_MEMORY;
    rc = open_corpora(d, inputs, err);
    if (rc == L2_OK)
        rc = open_mix(d, inputs, err);
    if (rc != L2_OK) {
        l2_data_free(d);
        return rc;
    }
    make_fingerprint(d);
    *out = d;
    return L2_OK;
}

int l2_data_new_held(struct l2_data **out, struct l2_data *d, struct l2_err *err)
{
    uint64_t records = 0;
    *out = NULL;
    for (size_t i = 0; i < d->n_inputs; i++)
        records += d->corpora[i].part[1].records;
    if (records == 0 || d->held)
        return L2_OK;
    struct l2_data *h = allocate(&d->opts, d->n_inputs, err);
    if (!h)
        return L2_MEMORY;
    h->held = true;
    h->opts.epochs = 1;
    h->corpora = d->corpora;
    int rc = open_mix(h, NULL, err);
    if (rc != L2_OK) {
        l2_data_free(h);
        return rc;
    }
    make_fingerprint(h);
    *out = h;
    return L2_OK;
}

void l2_data_free(struct l2_data *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_inputs; i++) {
        l2_source_release(&d->mix[i].source);
        if (!d->held && d->corpora && d->corpora[i].opts)
            l2_corpus_release(&d->corpora[i]);
    }
    if (!d->held)
        free(d->corpora);
    free(d->mix);
    l2_ids_release(&d->tokens);
    l2_ids_release(&d->document);
    free(d->spans);
    free(d->targets);
    free(d->pairs);
    free(d);
}

void l2_data_rewind(struct l2_data *d)
{
    for (size_t i = 0; i < d->n_inputs; i++) {
        struct l2_source *s = &d->mix[i].source;
        s->ordered = s->ordered && s->keep_order;
        s->loaded = false;
        s->at = (struct l2_source_place){.epoch = 0};
        d->mix[i].drawn = 0;
    }
    d->has_example = false;
    d->answer = 0;
    d->offset = 0;
    d->document.n = 0;
    d->fruitless = 0;
    d->counts = (struct l2_data_counts){.batches = 0};
}

/* ---- the mix ---- */

const struct l2_examples *l2_data_examples(const struct l2_data *d)
{
    return &d->mix[d->input].source.group;
}

/* True when input i has given what it has to; begins its next pass where one is over. */
static int is_finished(struct l2_data *d, size_t i, bool *finished, struct l2_err *err)
{
    struct l2_source *s = &d->mix[i].source;
    bool end;
    *finished = d->mix[i].units == 0;
    if (*finished)
        return L2_OK;
    int rc = l2_source_at_end(s, &end, err);
    if (rc != L2_OK || !end)
        return rc;
    if (d->opts.epochs > 0 && !d->by_weight && s->at.epoch + 1 >= d->opts.epochs)
        *finished = true;
    else
        l2_source_next_epoch(s);
    return L2_OK;
}

/* The input that is furthest behind its share; of the held-out ones simply the next. L2_END: all
 * have been read. */
static int choose_input(struct l2_data *d, struct l2_err *err)
{
    double least = INFINITY;
    uint64_t drawn = 0;
    for (size_t i = 0; i < d->n_inputs; i++)
        drawn += d->mix[i].drawn;
    if (d->by_weight && d->opts.epochs > 0 && drawn / d->total_units >= d->opts.epochs)
        return L2_END;
    for (size_t i = 0; i < d->n_inputs; i++) {
        bool finished;
        int rc = is_finished(d, i, &finished, err);
        if (rc != L2_OK)
            return rc;
        double behind = d->held ? (double)i : (double)d->mix[i].drawn / d->mix[i].share;
        if (finished || behind >= least)
            continue;
        least = behind;
        d->input = i;
    }
    return least < INFINITY ? L2_OK : L2_END;
}

/* Whole passes in which nothing could be used would never end. */
static int check_fruit(const struct l2_data *d, struct l2_err *err)
{
    uint64_t records = 0;
    for (size_t i = 0; i < d->n_inputs; i++)
        records += d->corpora[i].part[d->held].records;
    if (d->fruitless <= 2 * records || d->opts.epochs > 0)
        return L2_OK;
    return l2_err_set(
        err, L2_ARGUMENT,
        "all examples are left out: %llu overlong, %llu empty, %llu without two "
        "answers, %llu with equal ones",
        (unsigned long long)d->counts.dropped_overlong, (unsigned long long)d->counts.dropped_empty,
        (unsigned long long)d->counts.dropped_no_pair, (unsigned long long)d->counts.dropped_equal);
}

int l2_data_example(struct l2_data *d, struct l2_err *err)
{
    if (d->has_example)
        return L2_OK;
    int rc = check_fruit(d, err);
    if (rc == L2_OK)
        rc = choose_input(d, err);
    if (rc != L2_OK)
        return rc;
    struct l2_data_mix *m = &d->mix[d->input];
    if ((rc = l2_source_peek(&m->source, &d->x, err)) != L2_OK)
        return rc;
    m->drawn += l2_example_units(&m->source.group, d->x, d->opts.kind);
    d->has_example = true;
    return L2_OK;
}

void l2_data_example_done(struct l2_data *d, bool packed)
{
    l2_source_advance(&d->mix[d->input].source);
    d->has_example = false;
    d->answer = 0;
    d->offset = 0;
    d->document.n = 0;
    d->fruitless = packed ? 0 : d->fruitless + 1;
}

/* ---- batches ---- */

uint32_t l2_data_max_rows(const struct l2_data_opts *opts)
{
    return opts->context * opts->sequences * (opts->kind == L2_DATA_PAIRS ? 2 : 1);
}

static int pack(struct l2_data *d, struct l2_err *err)
{
    if (d->opts.kind == L2_DATA_TEXT)
        return l2_data_pack_text(d, err);
    if (d->opts.kind == L2_DATA_ANSWERS)
        return l2_data_pack_answers(d, err);
    return l2_data_pack_pair(d, err);
}

int l2_data_next(struct l2_data *d, struct l2_data_batch *batch, struct l2_err *err)
{
    uint32_t n = 0;
    int rc = L2_OK;
    *batch = (struct l2_data_batch){.n_targets = 0};
    d->tokens.n = 0;
    d->n_spans = d->n_targets = d->n_pairs = 0;
    while (n < d->opts.sequences && (rc = pack(d, err)) == L2_OK)
        n++;
    if (rc < 0)
        return rc;
    if (n == 0)
        return L2_END;
    d->counts.batches++;
    d->counts.sequences += n;
    d->counts.tokens += d->tokens.n;
    d->counts.targets += d->n_targets;
    *batch = (struct l2_data_batch){.net = {.tokens = d->tokens.v,
                                            .n_rows = d->tokens.n,
                                            .spans = d->spans,
                                            .n_spans = d->n_spans},
                                    .targets = d->targets,
                                    .n_targets = d->n_targets,
                                    .pairs = d->pairs,
                                    .n_pairs = d->n_pairs};
    return L2_OK;
}

/* ---- what there is to know ---- */

const struct l2_header *l2_data_header(const struct l2_data *d)
{
    return &d->corpora[0].header;
}

void l2_data_get_counts(const struct l2_data *d, struct l2_data_counts *counts)
{
    *counts = d->counts;
}

size_t l2_data_n_inputs(const struct l2_data *d)
{
    return d->n_inputs;
}

struct l2_data_input_info l2_data_input_info(const struct l2_data *d, size_t input)
{
    const struct l2_corpus *c = &d->corpora[input];
    const struct l2_data_mix *m = &d->mix[input];
    return (struct l2_data_input_info){.name = c->name,
                                       .records = c->part[0].records,
                                       .tokens = c->part[0].tokens,
                                       .held_records = c->part[1].records,
                                       .held_tokens = c->part[1].tokens,
                                       .frames = c->n_frames,
                                       .answers = c->n_answers,
                                       .answers_eos = c->n_eos,
                                       .epoch = m->source.at.epoch,
                                       .drawn = m->drawn,
                                       .share = m->share,
                                       .spooled = c->spooled};
}

double l2_data_epochs(const struct l2_data *d)
{
    uint64_t drawn = 0;
    for (size_t i = 0; i < d->n_inputs; i++)
        drawn += d->mix[i].drawn;
    return (double)drawn / (double)d->total_units;
}
