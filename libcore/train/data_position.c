/* Where the reading of training data stands, as bytes and back. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "train/data_state.h"
#include "util/num.h"

/* Layout, all little-endian: magic, fingerprint (32), the counts, has_example, input, answer,
 * offset, fruitless; then for each input epoch, group, index, drawn. Numbers have 8 bytes. */
static const char magic[8] = {'l', '2', 'd', 'a', 't', 'a', 0, 1};
#define N_COUNTS  (sizeof(struct l2_data_counts) / sizeof(uint64_t))
#define N_NUMBERS (N_COUNTS + 5)
#define N_INPUT   4

static size_t position_size(const struct l2_data *d)
{
    return sizeof magic + L2_SHA256_SIZE + 8 * (N_NUMBERS + N_INPUT * d->n_inputs);
}

static uint64_t *count_at(struct l2_data_counts *c, size_t i)
{
    uint64_t *const fields[N_COUNTS] = {
        &c->batches,         &c->sequences,    &c->tokens,           &c->targets,
        &c->examples,        &c->truncated,    &c->dropped_overlong, &c->dropped_empty,
        &c->dropped_no_pair, &c->dropped_equal};
    return fields[i];
}

static uint8_t *put(uint8_t *p, uint64_t v)
{
    l2_put_u64le(p, v);
    return p + 8;
}

static uint64_t get(const uint8_t **p)
{
    uint64_t v = l2_get_u64le(*p);
    *p += 8;
    return v;
}

int l2_data_save(const struct l2_data *d, struct l2_buf *out, struct l2_err *err)
{
    struct l2_data_counts counts = d->counts;
    int rc = l2_buf_reserve(out, position_size(d), err);
    if (rc != L2_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    memcpy(p, magic, sizeof magic);
    memcpy(p + sizeof magic, d->fingerprint, L2_SHA256_SIZE);
    p += sizeof magic + L2_SHA256_SIZE;
    for (size_t i = 0; i < N_COUNTS; i++)
        p = put(p, *count_at(&counts, i));
    p = put(p, d->has_example);
    p = put(p, d->has_example ? d->input : 0);
    p = put(p, d->answer);
    p = put(p, d->offset);
    p = put(p, d->fruitless);
    for (size_t i = 0; i < d->n_inputs; i++) {
        const struct l2_source_place *at = &d->mix[i].source.at;
        p = put(p, at->epoch);
        p = put(p, at->group);
        p = put(p, at->index);
        p = put(p, d->mix[i].drawn);
    }
    out->len += position_size(d);
    return L2_OK;
}

static int corrupt(struct l2_err *err)
{
    return l2_err_set(err, L2_CORRUPT, "position in the data makes no sense");
}

/* The example in hand, and how far it has been used. */
static int restore_example(struct l2_data *d, bool has, uint64_t input, uint64_t answer,
                           uint64_t offset, struct l2_err *err)
{
    if (!has)
        return answer || offset ? corrupt(err) : L2_OK;
    if (input >= d->n_inputs)
        return corrupt(err);
    struct l2_source *s = &d->mix[input].source;
    if (!s->loaded || s->at.index >= s->group.n)
        return corrupt(err);
    d->input = (size_t)input;
    d->x = &s->group.v[s->order[s->at.index]];
    /* a text without answers is one document */
    uint64_t n_answers = d->x->n_answers ? d->x->n_answers : d->opts.kind == L2_DATA_TEXT;
    if (answer >= n_answers || (offset > 0 && d->opts.kind != L2_DATA_TEXT) || offset > UINT32_MAX)
        return corrupt(err);
    d->has_example = true;
    d->answer = (uint32_t)answer;
    d->offset = offset;
    return L2_OK;
}

static int restore_numbers(struct l2_data *d, const uint8_t *p, struct l2_err *err)
{
    uint64_t numbers[5];
    int rc = L2_OK;
    for (size_t i = 0; i < N_COUNTS; i++)
        *count_at(&d->counts, i) = get(&p);
    for (size_t i = 0; i < 5; i++)
        numbers[i] = get(&p);
    d->fruitless = numbers[4];
    for (size_t i = 0; i < d->n_inputs && rc == L2_OK; i++) {
        struct l2_source_place at = {.epoch = get(&p)};
        at.group = get(&p);
        at.index = get(&p);
        d->mix[i].drawn = get(&p);
        rc = l2_source_seek(&d->mix[i].source, at, err);
    }
    return rc == L2_OK
               ? restore_example(d, numbers[0] == 1, numbers[1], numbers[2], numbers[3], err)
               : rc;
}

int l2_data_restore(struct l2_data *d, const uint8_t *bytes, size_t n, struct l2_err *err)
{
    if (n < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0)
        return l2_err_set(err, L2_CORRUPT, "no position in training data");
    if (n >= sizeof magic + L2_SHA256_SIZE &&
        memcmp(bytes + sizeof magic, d->fingerprint, L2_SHA256_SIZE) != 0)
        return l2_err_set(err, L2_ARGUMENT,
                          "the data, or how it is read, differs from what the position is for");
    if (n != position_size(d))
        return l2_err_set(err, L2_CORRUPT, "position in the data has %zu bytes: want %zu", n,
                          position_size(d));
    l2_data_rewind(d);
    int rc = restore_numbers(d, bytes + sizeof magic + L2_SHA256_SIZE, err);
    if (rc != L2_OK)
        l2_data_rewind(d);
    return rc;
}
