/* Taking from records what training needs. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/example.h"

#include <stdlib.h>
#include <string.h>

#include "stream/codec.h"
#include "stream/fields.h"
#include "util/num.h"

const char *const l2_rating_names[L2_N_RATINGS] = {"significantly better", "better",
                                                   "slightly better", "negligibly better"};
const float l2_margins_small[L2_N_RATINGS] = {1, 2.0f / 3, 1.0f / 3, 0};
const float l2_margins_large[L2_N_RATINGS] = {3, 2, 1, 0};

void l2_examples_release(struct l2_examples *e)
{
    l2_ids_release(&e->ids);
    free(e->v);
    free(e->answers);
    *e = (struct l2_examples){.n = 0};
}

void l2_examples_clear(struct l2_examples *e)
{
    e->ids.n = 0;
    e->n = 0;
    e->n_answers = 0;
}

/* Room for n more objects of size bytes behind the first used ones. */
static int reserve(void **v, size_t used, size_t *cap, size_t n, size_t size, struct l2_err *err)
{
    size_t want, bytes;
    if (*cap - used >= n)
        return L2_OK;
    want = *cap + *cap / 2 > used + n ? *cap + *cap / 2 : used + n;
    if (want < n || !l2_mul_size(want, size, &bytes))
        return l2_err_memory(err, SIZE_MAX);
    void *p = realloc(*v, bytes);
    if (!p)
        return l2_err_memory(err, bytes);
    *v = p;
    *cap = want;
    return L2_OK;
}

static int reserve_examples(struct l2_examples *e, size_t n, struct l2_err *err)
{
    void *v = e->v;
    int rc = reserve(&v, e->n, &e->cap, n, sizeof *e->v, err);
    e->v = v;
    return rc;
}

static int reserve_answers(struct l2_examples *e, size_t n, struct l2_err *err)
{
    void *v = e->answers;
    int rc = reserve(&v, e->n_answers, &e->cap_answers, n, sizeof *e->answers, err);
    e->answers = v;
    return rc;
}

int l2_examples_reserve(struct l2_examples *e, size_t n_ids, size_t n, size_t n_answers,
                        struct l2_err *err)
{
    int rc = l2_ids_reserve(&e->ids, n_ids, err);
    if (rc == L2_OK)
        rc = reserve_examples(e, n, err);
    if (rc == L2_OK)
        rc = reserve_answers(e, n_answers, err);
    return rc;
}

/* The error of a record: text, then which one. */
static int refuse(const struct l2_record *rec, enum l2_code code, struct l2_err *err,
                  const char *text)
{
    char id[64];
    l2_id_format(&rec->id, id, sizeof id);
    return l2_err_set(err, code, "record %s %s", id, text);
}

static int check_ids(const struct l2_record *rec, uint32_t vocab_size, struct l2_err *err)
{
    char id[64];
    uint32_t bad;
    bool text_only = !rec->prompt.v;
    for (size_t i = 0; i < rec->n_completions; i++)
        text_only = text_only || !rec->completions[i].tokens.v;
    if (text_only)
        return refuse(rec, L2_FORMAT, err, "has text and no token ids (l2-tokenize makes them)");
    if (l2_record_ids_below(rec, vocab_size, &bad))
        return L2_OK;
    l2_id_format(&rec->id, id, sizeof id);
    return l2_err_set(err, L2_CORRUPT, "record %s: token %u; the model has %u", id, (unsigned)bad,
                      (unsigned)vocab_size);
}

static int check_length(const struct l2_record *rec, const struct l2_data_opts *opts,
                        struct l2_err *err)
{
    char id[64];
    for (size_t i = 0; i < rec->n_completions; i++) {
        const struct l2_u32s *a = &rec->completions[i].tokens;
        size_t n = rec->prompt.n + a->n;
        if (opts->add_bos && (rec->prompt.n == 0 || rec->prompt.v[0] != opts->bos))
            n++;
        if (opts->add_eos && (a->n == 0 || a->v[a->n - 1] != opts->eos))
            n++;
        /* the last id of an answer is predicted and not read */
        if (n <= (uint64_t)opts->context + (opts->kind == L2_DATA_ANSWERS))
            continue;
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_set(err, L2_LIMIT,
                          "record %s: prompt and answer %zu have %zu ids: the "
                          "context has room for %u (see --overlong)",
                          id, i, n, (unsigned)opts->context);
    }
    return L2_OK;
}

/* Equal but for '_' instead of ' '. */
static bool is_rating(const char *s, size_t n, const char *name)
{
    if (n != strlen(name))
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] != name[i] && !(s[i] == '_' && name[i] == ' '))
            return false;
    return true;
}

bool l2_rating_parse(const char *s, size_t n, enum l2_rating *rating)
{
    for (int i = 0; i < L2_N_RATINGS; i++)
        if (is_rating(s, n, l2_rating_names[i])) {
            *rating = (enum l2_rating)i;
            return true;
        }
    *rating = L2_RATING_NEGLIGIBLE;
    return is_rating(s, n, "unsure") || is_rating(s, n, "negligibly better or unsure");
}

int l2_record_rating(const struct l2_record *rec, enum l2_rating *rating, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found = false;
    *rating = L2_RATING_NONE;
    int rc = rec->has_meta ? l2_fields_find(&rec->meta, "rating", &found, &item, err) : L2_OK;
    if (rc != L2_OK || !found || item.kind == L2_CBOR_NULL)
        return rc;
    if (item.kind != L2_CBOR_TEXT)
        return refuse(rec, L2_FORMAT, err, "has a rating that is no text");
    if (l2_rating_parse((const char *)item.bytes, item.n, rating))
        return L2_OK;
    *rating = L2_RATING_NONE;
    return refuse(rec, L2_FORMAT, err,
                  "has an unknown rating: want significantly better, better, slightly better, "
                  "negligibly better or unsure");
}

int l2_example_check(const struct l2_record *rec, const struct l2_data_opts *opts,
                     struct l2_err *err)
{
    enum l2_rating rating;
    int rc = check_ids(rec, opts->vocab_size, err);
    if (rc == L2_OK && opts->kind == L2_DATA_PAIRS)
        rc = l2_record_rating(rec, &rating, err);
    if (rc == L2_OK && opts->kind != L2_DATA_TEXT && opts->overlong == L2_DATA_OVERLONG_ERROR)
        rc = check_length(rec, opts, err);
    return rc;
}

static int copy_ids(struct l2_examples *e, const struct l2_u32s *from, size_t *at, uint32_t *n,
                    struct l2_err *err)
{
    *at = e->ids.n;
    *n = (uint32_t)from->n;
    if (from->n > UINT32_MAX)
        return l2_err_set(err, L2_LIMIT, "%zu ids in one array", from->n);
    return from->n ? l2_ids_append_n(&e->ids, from->v, from->n, err) : L2_OK;
}

/* labels.safe as 1, 0 or -1. */
static int safety(const struct l2_completion *c, int8_t *safe, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found = false;
    *safe = -1;
    int rc = c->has_labels ? l2_fields_find(&c->labels, "safe", &found, &item, err) : L2_OK;
    if (rc == L2_OK && found && item.kind == L2_CBOR_TRUE)
        *safe = 1;
    if (rc == L2_OK && found && item.kind == L2_CBOR_FALSE)
        *safe = 0;
    return rc;
}

static int add_answer(struct l2_examples *e, const struct l2_completion *c, struct l2_err *err)
{
    int rc = reserve_answers(e, 1, err);
    if (rc != L2_OK)
        return rc;
    struct l2_answer *a = &e->answers[e->n_answers++];
    *a = (struct l2_answer){.has_spans = c->spans.v != NULL};
    if ((rc = copy_ids(e, &c->tokens, &a->ids, &a->n, err)) == L2_OK &&
        (rc = copy_ids(e, &c->spans, &a->spans, &a->n_spans, err)) == L2_OK)
        rc = safety(c, &a->safe, err);
    a->n_spans /= 2;
    return rc;
}

int l2_examples_add(struct l2_examples *e, const struct l2_record *rec, struct l2_err *err)
{
    enum l2_rating rating;
    int rc = reserve_examples(e, 1, err);
    if (rc != L2_OK)
        return rc;
    if (l2_record_rating(rec, &rating, NULL) != L2_OK) /* checked where ratings matter */
        rating = L2_RATING_NONE;
    struct l2_example *x = &e->v[e->n++];
    *x = (struct l2_example){.answers = e->n_answers,
                             .n_answers = (uint32_t)rec->n_completions,
                             .has_margin = rec->has_margin,
                             .margin = rec->margin,
                             .rating = (uint8_t)rating};
    rc = copy_ids(e, &rec->prompt, &x->ids, &x->n, err);
    if (rc == L2_OK)
        rc = copy_ids(e, &rec->spans, &x->spans, &x->n_spans, err);
    x->n_spans /= 2;
    for (size_t i = 0; i < rec->n_completions && rc == L2_OK; i++)
        rc = add_answer(e, &rec->completions[i], err);
    return rc;
}

struct l2_example_size l2_example_size(const struct l2_record *rec)
{
    struct l2_example_size s = {.ids = rec->prompt.n + rec->spans.n, .answers = rec->n_completions};
    for (size_t i = 0; i < rec->n_completions; i++)
        s.ids += rec->completions[i].tokens.n + rec->completions[i].spans.n;
    s.bytes =
        sizeof(struct l2_example) + s.answers * sizeof(struct l2_answer) + s.ids * sizeof(uint32_t);
    return s;
}

uint64_t l2_record_units(const struct l2_record *rec, enum l2_data_kind kind)
{
    uint64_t n = 0;
    if (kind == L2_DATA_PAIRS)
        return rec->n_completions == 2;
    for (size_t i = 0; i < rec->n_completions; i++)
        n += rec->completions[i].tokens.n + (kind == L2_DATA_TEXT ? rec->prompt.n : 0);
    return kind == L2_DATA_TEXT && rec->n_completions == 0 ? rec->prompt.n : n;
}

uint64_t l2_example_units(const struct l2_examples *e, const struct l2_example *x,
                          enum l2_data_kind kind)
{
    uint64_t n = 0;
    if (kind == L2_DATA_PAIRS)
        return x->n_answers == 2;
    for (uint32_t i = 0; i < x->n_answers; i++)
        n += e->answers[x->answers + i].n + (kind == L2_DATA_TEXT ? x->n : 0);
    return kind == L2_DATA_TEXT && x->n_answers == 0 ? x->n : n;
}

bool l2_record_is_held(const struct l2_record *rec, double share)
{
    struct l2_sha256 s;
    uint8_t digest[L2_SHA256_SIZE];
    if (share <= 0)
        return false;
    l2_sha256_init(&s);
    l2_sha256_u32s(&s, rec->prompt.v, rec->prompt.n);
    if (rec->prompt.n <= 1 && rec->n_completions > 0)
        l2_sha256_u32s(&s, rec->completions[0].tokens.v, rec->completions[0].tokens.n);
    l2_sha256_final(&s, digest);
    return (double)(l2_get_u64le(digest) >> 11) * 0x1p-53 < share;
}
