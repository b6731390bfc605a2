/* A preference pair out of a row of JSON or a record: its hashes, rating and labels. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "rlhf/prefs.h"
#include "stream/fields.h"
#include "train/example.h"

static const char *const safe_names[2] = {"chosen_safe", "rejected_safe"};

static int check_answers(const struct l2_pref *pref, struct l2_err *err)
{
    if (memcmp(pref->answers[0], pref->answers[1], L2_SHA256_SIZE) == 0)
        return l2_err_set(err, L2_FORMAT, "chosen and rejected are equal");
    return L2_OK;
}

/* ---- rows ---- */

static int row_safe(const struct l2_row *row, int side, int *safe, struct l2_err *err)
{
    const json_t *labels = json_object_get(row->completions[side].notes, "labels");
    const json_t *v = json_object_get(labels, "safe");
    if (!v)
        v = json_object_get(row->meta, safe_names[side]);
    *safe = -1;
    if (!v || json_is_null(v))
        return L2_OK;
    if (!json_is_boolean(v))
        return l2_err_set(err, L2_FORMAT, "want true or false as %s", safe_names[side]);
    *safe = json_is_true(v);
    return L2_OK;
}

static int row_rating(const struct l2_row *row, enum l2_rating *rating, struct l2_err *err)
{
    const json_t *v = json_object_get(row->meta, "rating");
    *rating = L2_RATING_NONE;
    if (!v || json_is_null(v))
        return L2_OK;
    if (!json_is_string(v))
        return l2_err_set(err, L2_FORMAT, "want text as rating");
    if (!l2_rating_parse(json_string_value(v), json_string_length(v), rating))
        return l2_err_set(err, L2_FORMAT,
                          "unknown rating '%.64s': want significantly better, better, slightly "
                          "better, negligibly better or unsure",
                          json_string_value(v));
    return L2_OK;
}

/* Of a side's turns with their roles, all or those before the first answer, or of its text. */
static void hash_side(const struct l2_side *side, bool opening, uint8_t out[L2_SHA256_SIZE])
{
    struct l2_sha256 h;
    size_t i;
    json_t *turn;
    l2_sha256_init(&h);
    if (!side->turns)
        l2_sha256_text(&h, side->s ? side->s : "", side->n);
    json_array_foreach(side->turns, i, turn)
    {
        const json_t *role = json_object_get(turn, "role"),
                     *content = json_object_get(turn, "content");
        if (opening && json_string_value(role) && strcmp(json_string_value(role), "assistant") == 0)
            break;
        l2_sha256_text(&h, json_string_value(role), json_string_length(role));
        l2_sha256_text(&h, json_string_value(content), json_string_length(content));
    }
    l2_sha256_final(&h, out);
}

int l2_pref_of_row(struct l2_pref *pref, const struct l2_row *row, struct l2_err *err)
{
    if (row->n_completions != 2)
        return l2_err_set(err, L2_FORMAT, "want two answers, got %zu", row->n_completions);
    hash_side(&row->prompt, false, pref->prompt);
    hash_side(&row->prompt, true, pref->opening);
    for (int i = 0; i < 2; i++)
        hash_side(&row->completions[i], false, pref->answers[i]);
    int r = check_answers(pref, err);
    if (r == L2_OK)
        r = row_rating(row, &pref->rating, err);
    for (int i = 0; i < 2 && r == L2_OK; i++)
        r = row_safe(row, i, &pref->safe[i], err);
    return r;
}

/* ---- records ---- */

static int find_safe(const struct l2_fields *fields, const char *key, int *safe, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found;
    int r = l2_fields_find(fields, key, &found, &item, err);
    if (r != L2_OK || !found || item.kind == L2_CBOR_NULL)
        return r;
    if (item.kind != L2_CBOR_TRUE && item.kind != L2_CBOR_FALSE)
        return l2_err_set(err, L2_FORMAT, "want true or false as %s", key);
    *safe = item.kind == L2_CBOR_TRUE;
    return L2_OK;
}

static int record_safe(const struct l2_record *rec, int side, int *safe, struct l2_err *err)
{
    const struct l2_completion *c = &rec->completions[side];
    int r = L2_OK;
    *safe = -1;
    if (c->has_labels)
        r = find_safe(&c->labels, "safe", safe, err);
    if (r == L2_OK && *safe < 0 && rec->has_meta)
        r = find_safe(&rec->meta, safe_names[side], safe, err);
    return r;
}

static void hash_ids(const struct l2_u32s *ids, uint8_t out[L2_SHA256_SIZE])
{
    struct l2_sha256 h;
    l2_sha256_init(&h);
    l2_sha256_u32s(&h, ids->v, ids->n);
    l2_sha256_final(&h, out);
}

int l2_pref_of_record(struct l2_pref *pref, const struct l2_record *rec, struct l2_err *err)
{
    if (rec->n_completions != 2)
        return l2_err_set(err, L2_FORMAT, "want two answers, got %zu", rec->n_completions);
    if (!rec->prompt.v || !rec->completions[0].tokens.v || !rec->completions[1].tokens.v)
        return l2_err_set(err, L2_FORMAT, "has no token ids");
    struct l2_u32s opening = rec->prompt;
    if (rec->spans.n > 0 && rec->spans.v[0] < opening.n)
        opening.n = rec->spans.v[0];
    hash_ids(&rec->prompt, pref->prompt);
    hash_ids(&opening, pref->opening);
    for (int i = 0; i < 2; i++)
        hash_ids(&rec->completions[i].tokens, pref->answers[i]);
    int r = check_answers(pref, err);
    if (r == L2_OK)
        r = l2_record_rating(rec, &pref->rating, err);
    for (int i = 0; i < 2 && r == L2_OK; i++)
        r = record_safe(rec, i, &pref->safe[i], err);
    return r;
}
