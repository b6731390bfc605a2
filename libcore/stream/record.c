/* Records in memory: life, completions, scores, ids. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/record.h"

#include <cbor.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util/num.h"
#include "util/sha256.h"
#include "util/utf8.h"

const char *const l2_series_names[L2_N_SERIES] = {
    [L2_LOGPROBS] = "logprobs",         [L2_SAMPLED_LOGPROBS] = "sampled_logprobs",
    [L2_REF_LOGPROBS] = "ref_logprobs", [L2_VALUES] = "values",
    [L2_REWARDS] = "rewards",           [L2_ADVANTAGES] = "advantages",
    [L2_RETURNS] = "returns",
};

const char *const l2_finish_names[] = {
    [L2_FINISH_NONE] = "",
    [L2_FINISH_EOS] = "eos",
    [L2_FINISH_LENGTH] = "length",
    [L2_FINISH_STOP] = "stop",
};

void l2_record_init(struct l2_record *r)
{
    *r = (struct l2_record){0};
}

void l2_record_release(struct l2_record *r)
{
    l2_arena_release(&r->arena);
    l2_record_init(r);
}

void l2_record_reset(struct l2_record *r)
{
    struct l2_arena arena = r->arena;
    l2_arena_reset(&arena);
    l2_record_init(r);
    r->arena = arena;
}

struct l2_completion *l2_record_add_completion(struct l2_record *r, struct l2_err *err)
{
    size_t n = r->n_completions;
    if (r->completions != r->grown || n >= r->n_grown) {
        size_t cap = n < 2 ? 2 : 2 * n;
        struct l2_completion *v = l2_arena_grow(&r->arena, r->completions, n, cap, sizeof *v, err);
        if (!v)
            return NULL;
        r->completions = r->grown = v;
        r->n_grown = cap;
    }
    r->completions[n] = (struct l2_completion){0};
    r->n_completions = n + 1;
    return &r->completions[n];
}

int l2_record_set_score(struct l2_record *r, struct l2_completion *c, const char *name,
                        double value, struct l2_err *err)
{
    size_t len = strlen(name), n = c->n_scores;
    if (!isfinite(value))
        return l2_err_set(err, L2_ARGUMENT, "score '%s' is not finite", name);
    for (size_t i = 0; i < n; i++) {
        if (c->scores[i].name.n == len && memcmp(c->scores[i].name.s, name, len) == 0) {
            c->scores[i].value = value;
            return L2_OK;
        }
    }
    struct l2_score *v = l2_arena_grow(&r->arena, c->scores, n, n + 1, sizeof *v, err);
    if (!v)
        return L2_MEMORY;
    v[n].value = value;
    int rc = l2_record_str(r, name, len, &v[n].name, err);
    if (rc != L2_OK)
        return rc;
    c->scores = v;
    c->n_scores = n + 1;
    return L2_OK;
}

const double *l2_completion_score(const struct l2_completion *c, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < c->n_scores; i++)
        if (c->scores[i].name.n == len && memcmp(c->scores[i].name.s, name, len) == 0)
            return &c->scores[i].value;
    return NULL;
}

int l2_record_str(struct l2_record *r, const char *s, size_t n, struct l2_str *out,
                  struct l2_err *err)
{
    *out = (struct l2_str){0};
    char *copy = l2_arena_strdup(&r->arena, s, n, err);
    if (!copy)
        return L2_MEMORY;
    *out = (struct l2_str){copy, n};
    return L2_OK;
}

uint64_t l2_record_tokens(const struct l2_record *r)
{
    uint64_t n = r->prompt.n;
    for (size_t i = 0; i < r->n_completions; i++)
        n += r->completions[i].tokens.n;
    return n;
}

void l2_id_hash(const struct l2_id *id, uint8_t out[32])
{
    uint8_t head[9];
    struct l2_sha256 sha;
    size_t n;
    l2_sha256_init(&sha);
    if (id->is_text)
        n = cbor_encode_string_start(id->text.n, head, sizeof head);
    else if (id->number >= 0)
        n = cbor_encode_uint((uint64_t)id->number, head, sizeof head);
    else
        n = cbor_encode_negint((uint64_t) - (id->number + 1), head, sizeof head);
    l2_sha256_update(&sha, head, n);
    if (id->is_text && id->text.n > 0)
        l2_sha256_update(&sha, id->text.s, id->text.n);
    l2_sha256_final(&sha, out);
}

void l2_record_hash(const struct l2_record *r, uint8_t out[32])
{
    struct l2_sha256 sha;
    uint8_t word[4];
    l2_id_hash(&r->id, out);
    l2_sha256_init(&sha);
    l2_sha256_update(&sha, out, L2_SHA256_SIZE);
    for (size_t i = 0; i < r->prompt.n; i++) {
        l2_put_u32le(word, r->prompt.v[i]);
        l2_sha256_update(&sha, word, sizeof word);
    }
    l2_sha256_final(&sha, out);
}

void l2_id_format(const struct l2_id *id, char *out, size_t out_size)
{
    if (!id->is_text) {
        snprintf(out, out_size, "%" PRId64, id->number);
        return;
    }
    if (out_size == 0)
        return;
    size_t n = id->text.n < out_size ? id->text.n : out_size - 1;
    bool cut = n < id->text.n;
    if (cut && n >= 3)
        for (n -= 3; n > 0 && ((uint8_t)id->text.s[n] & 0xc0) == 0x80;)
            n--; /* not inside a character */
    for (size_t i = 0; i < n; i++) {
        char ch = id->text.s[i];
        out[i] = (uint8_t)ch < 0x20 || ch == 0x7f ? '?' : ch; /* for terminals */
    }
    out[n] = '\0';
    if (cut && out_size > 3)
        memcpy(out + n, "...", 4);
}

int l2_record_fault(const struct l2_record *r, int rc, struct l2_err *err)
{
    char id[64], text[sizeof err->text];
    if (rc >= L2_OK || rc == L2_SYSTEM || rc == L2_MEMORY || strncmp(err->text, "record ", 7) == 0)
        return rc;
    l2_id_format(&r->id, id, sizeof id);
    snprintf(text, sizeof text, "record %s: %.400s", id, err->text);
    memcpy(err->text, text, sizeof text);
    return rc;
}
