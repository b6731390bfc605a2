/* l2-cat: which records are taken. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>

#include "cat.h"
#include "stream/codec.h"
#include "util/philox.h"

/* A record of the sample, as CBOR: a record in memory would take much more. */
struct cat_kept {
    uint64_t number;
    struct l2_buf item;
};

bool cat_choice_done(const struct cat_choice *c)
{
    return c->seen >= c->end;
}

/* Vitter's algorithm R: the first `sample` records fill the reservoir, record i replaces one of
 * them with probability sample / (i + 1). */
static int sample(struct cat_choice *c, const struct l2_record *rec, struct l2_err *err)
{
    static const uint8_t no_id[32];
    struct cat_kept *k;
    uint64_t i = c->taken++;
    if (i < c->sample) {
        if (c->n_kept % 1024 == 0) {
            k = realloc(c->kept, (c->n_kept + 1024) * sizeof *k);
            if (!k)
                return l2_err_memory(err, (c->n_kept + 1024) * sizeof *k);
            c->kept = k;
        }
        k = &c->kept[c->n_kept++];
        l2_buf_init(&k->item);
    } else {
        double u = l2_philox_uniform(l2_philox_key_for(c->seed, no_id), 0, i);
        uint64_t slot = (uint64_t)(u * (double)(i + 1));
        if (slot >= c->sample)
            return L2_OK;
        k = &c->kept[slot];
        l2_buf_release(&k->item); /* not only emptied: the next may be much smaller */
    }
    k->number = i;
    return l2_encode_record(&k->item, rec, err);
}

int cat_choose(struct cat_choice *c, const struct l2_record *rec, struct cat_sink *s,
               struct l2_err *err)
{
    uint64_t number = c->seen++;
    if (number < c->first || number >= c->end)
        return L2_OK;
    return c->sample > 0 ? sample(c, rec, err) : s->record(s, rec, err);
}

static int compare(const void *a, const void *b)
{
    const struct cat_kept *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

int cat_choice_finish(struct cat_choice *c, struct cat_sink *s, struct l2_err *err)
{
    struct l2_record rec;
    int r = L2_OK;
    if (c->n_kept == 0)
        return L2_OK;
    qsort(c->kept, c->n_kept, sizeof *c->kept, compare);
    l2_record_init(&rec);
    for (size_t i = 0; i < c->n_kept && r == L2_OK; i++) {
        r = l2_decode_record(c->kept[i].item.data, c->kept[i].item.len, &rec, err);
        if (r == L2_OK)
            r = s->record(s, &rec, err);
    }
    l2_record_release(&rec);
    return r;
}

void cat_choice_release(struct cat_choice *c)
{
    for (size_t i = 0; i < c->n_kept; i++)
        l2_buf_release(&c->kept[i].item);
    free(c->kept);
    c->kept = NULL;
    c->n_kept = 0;
}
