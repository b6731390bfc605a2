/* Pre-prompts in records: putting them in, taking them out, and telling what was made under them.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/preprompt.h"

#include <string.h>

#include "stream/codec.h"
#include "stream/fields.h"

#define FIELD "preprompt" /* of records and of gen */

/* ---- completions ---- */

int l2_preprompt_is_under(const struct l2_completion *c, bool *under, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found;
    int r = l2_fields_find(&c->gen.other, FIELD, &found, &item, err);
    *under = r == L2_OK && found && item.kind == L2_CBOR_TEXT;
    return r;
}

/* Sets gen.preprompt of the completions that have none. name NULL: to false. */
static int mark(struct l2_record *rec, const struct l2_str *name, struct l2_err *err)
{
    struct l2_buf value = {0};
    struct l2_cbor_out o = {.out = &value, .err = err};
    struct l2_cbor_item item;
    int r;
    if (name)
        l2_cbor_put_text(&o, name->s, name->n);
    else
        l2_cbor_put_bool(&o, false);
    r = o.rc;
    for (size_t i = 0; i < rec->n_completions && r == L2_OK; i++) {
        struct l2_gen *gen = &rec->completions[i].gen;
        bool found;
        r = l2_fields_find(&gen->other, FIELD, &found, &item, err);
        if (r != L2_OK || found)
            continue;
        gen->present = true;
        r = l2_fields_set(&gen->other, &rec->arena, FIELD, value.data, value.len, err);
    }
    l2_buf_release(&value);
    return r;
}

/* ---- adding ---- */

/* Keeps what rec is without the pre-prompt in a field of it. */
static int keep_plain(struct l2_record *rec, const char *name, struct l2_err *err)
{
    const struct l2_record plain = {.id = rec->id,
                                    .prompt = rec->prompt,
                                    .messages = rec->messages,
                                    .n_messages = rec->n_messages,
                                    .spans = rec->spans};
    struct l2_buf value = {0};
    struct l2_cbor_out o = {.out = &value, .err = err};
    struct l2_cbor depth = {.level = 1}; /* it is put into the record's map */
    struct l2_cbor_item item;
    l2_cbor_put_map(&o, 2);
    l2_cbor_put_str(&o, "name");
    l2_cbor_put_str(&o, name);
    l2_cbor_put_str(&o, "plain");
    int r = o.rc == L2_OK ? l2_encode_record(&value, &plain, err) : o.rc;
    if (r == L2_OK) {
        depth.data = value.data;
        depth.n = value.len;
        r = l2_cbor_next(&depth, &item, err);
        if (r == L2_OK)
            r = l2_cbor_skip(&depth, &item, err);
    }
    if (r == L2_OK)
        r = l2_fields_set(&rec->other, &rec->arena, FIELD, value.data, value.len, err);
    l2_buf_release(&depth.keys);
    l2_buf_release(&value);
    return r;
}

/* text, an empty line, and what the message has. */
static int put_before(struct l2_record *rec, struct l2_message *m, const char *text,
                      struct l2_err *err)
{
    size_t n = strlen(text);
    char *s = l2_arena_alloc(&rec->arena, n + 2 + m->content.n + 1, 1, err);
    if (!s)
        return L2_MEMORY;
    memcpy(s, text, n);
    memcpy(s + n, "\n\n", 2);
    memcpy(s + n + 2, m->content.s, m->content.n);
    m->content = (struct l2_str){s, n + 2 + m->content.n};
    s[m->content.n] = '\0';
    return L2_OK;
}

static bool is_role(const struct l2_message *m, const char *role)
{
    return strcmp(m->role.s, role) == 0;
}

/* Makes rec's messages those with the text, in an array of their own. */
static int edit_messages(struct l2_record *rec, enum l2_preprompt_place place, const char *text,
                         struct l2_err *err)
{
    bool inserts = place == L2_PREPROMPT_SYSTEM && !is_role(&rec->messages[0], "system");
    size_t n = rec->n_messages, at = 0;
    struct l2_message *m = l2_arena_alloc(&rec->arena, n + 1, sizeof *m, err);
    if (!m)
        return L2_MEMORY;
    memcpy(m + inserts, rec->messages, n * sizeof *m);
    rec->messages = m;
    rec->n_messages = n + inserts;
    if (inserts) {
        m[0] = (struct l2_message){.role = {"system", 6}};
        return l2_record_str(rec, text, strlen(text), &m[0].content, err);
    }
    while (place == L2_PREPROMPT_USER && at < n && !is_role(&m[at], "user"))
        at++;
    if (at == n)
        return l2_err_set(err, L2_FORMAT, "its messages have no user turn");
    return put_before(rec, &m[at], text, err);
}

static int add_message(const struct l2_preprompt_opts *o, const char *text, struct l2_record *rec,
                       struct l2_err *err)
{
    if (rec->n_messages == 0)
        return l2_err_set(err, L2_FORMAT,
                          "it has no messages to put a pre-prompt into (prompts that are texts "
                          "take one with --template none)");
    int r = l2_dialogue_check(o->dialogue, rec, err);
    if (r == L2_OK)
        r = edit_messages(rec, o->place, text, err);
    return r == L2_OK ? l2_dialogue_render(o->dialogue, rec, err) : r;
}

/* Puts the ids of the text behind BOS, where the prompt begins with one. */
static int add_ids(const struct l2_preprompt_opts *o, const char *text, struct l2_record *rec,
                   struct l2_err *err)
{
    const struct l2_u32s old = rec->prompt;
    size_t bos = old.n > 0 && old.v[0] == l2_vocab_bos(l2_encoder_vocab(o->encoder));
    struct l2_ids ids = {0};
    uint32_t *spans = NULL;
    int r = l2_encode(o->encoder, text, strlen(text), 0, &ids, err);
    if (r == L2_OK && ids.n > UINT32_MAX - old.n)
        r = l2_err_set(err, L2_LIMIT, "a prompt of more than %u tokens", UINT32_MAX);
    if (r == L2_OK) {
        rec->prompt.n = old.n + ids.n;
        rec->prompt.v = l2_arena_alloc(&rec->arena, rec->prompt.n, sizeof *old.v, err);
        spans = l2_arena_alloc(&rec->arena, rec->spans.n, sizeof *spans, err);
        r = rec->prompt.v && spans ? L2_OK : L2_MEMORY;
    }
    if (r == L2_OK) {
        if (bos)
            rec->prompt.v[0] = old.v[0];
        if (ids.n > 0)
            memcpy(rec->prompt.v + bos, ids.v, ids.n * sizeof *ids.v);
        if (old.n > bos)
            memcpy(rec->prompt.v + bos + ids.n, old.v + bos, (old.n - bos) * sizeof *old.v);
        for (size_t i = 0; i < rec->spans.n; i++)
            spans[i] = rec->spans.v[i] + (uint32_t)ids.n;
        if (rec->spans.v)
            rec->spans.v = spans;
    }
    l2_ids_release(&ids);
    return r;
}

int l2_preprompt_add(const struct l2_preprompt_opts *o, const struct l2_preprompt *p,
                     struct l2_record *rec, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found;
    int r = l2_fields_find(&rec->other, FIELD, &found, &item, err);
    if (r != L2_OK)
        return r;
    if (found)
        return l2_err_set(err, L2_FORMAT, "it has a pre-prompt already: remove that first");
    if (!rec->prompt.v)
        return l2_err_set(err, L2_FORMAT, "it has no prompt");
    r = mark(rec, NULL, err);
    if (r == L2_OK)
        r = keep_plain(rec, p->name, err);
    if (r != L2_OK)
        return r;
    return o->place == L2_PREPROMPT_START ? add_ids(o, p->text, rec, err)
                                          : add_message(o, p->text, rec, err);
}

/* ---- removing ---- */

static int wrong_field(struct l2_err *err, const char *want)
{
    return l2_err_set(err, L2_CORRUPT, "field " FIELD ": want %s", want);
}

/* Reads the field's value, which c stands before. Passes over what it does not know. */
static int read_kept(struct l2_cbor *c, const struct l2_cbor_item *map, struct l2_str *name,
                     struct l2_record *plain, struct l2_err *err)
{
    struct l2_cbor_seq seq;
    struct l2_cbor_item key, item;
    bool has_plain = false;
    int r;
    l2_cbor_open(c, map, &seq);
    while ((r = l2_cbor_key(c, &seq, &key, err)) == L2_OK) {
        if (key.n == 5 && memcmp(key.bytes, "plain", 5) == 0) {
            has_plain = true;
            r = l2_read_record(c, plain, err);
        } else {
            r = l2_cbor_next(c, &item, err);
            if (r == L2_OK && key.n == 4 && memcmp(key.bytes, "name", 4) == 0 &&
                item.kind == L2_CBOR_TEXT)
                *name = (struct l2_str){(const char *)item.bytes, item.n};
            if (r == L2_OK)
                r = l2_cbor_skip(c, &item, err);
        }
        if (r != L2_OK)
            return r;
    }
    if (r != L2_END)
        return r;
    if (!name->s)
        return wrong_field(err, "a name that is text");
    return has_plain && plain->prompt.v ? L2_OK : wrong_field(err, "a plain record with a prompt");
}

int l2_preprompt_remove(struct l2_record *rec, struct l2_record *scratch, bool *had,
                        struct l2_err *err)
{
    struct l2_cbor c = {.data = rec->other.data, .n = rec->other.len};
    struct l2_cbor_item item;
    struct l2_str name = {0};
    int r = l2_fields_find(&rec->other, FIELD, had, &item, err);
    if (r != L2_OK || !*had)
        return r;
    if (item.kind != L2_CBOR_MAP)
        return wrong_field(err, "a map");
    c.pos = item.at;
    r = l2_cbor_next(&c, &item, err);
    if (r == L2_OK)
        r = read_kept(&c, &item, &name, scratch, err);
    l2_buf_release(&c.keys);
    if (r == L2_OK)
        r = mark(rec, &name, err);
    if (r == L2_OK)
        r = l2_fields_drop(&rec->other, &rec->arena, FIELD, err);
    if (r != L2_OK)
        return r;
    rec->prompt = scratch->prompt;
    rec->messages = scratch->messages;
    rec->n_messages = scratch->n_messages;
    rec->spans = scratch->spans;
    return L2_OK;
}
