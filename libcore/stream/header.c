/* Headers in memory: vocabulary and history. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "stream/cbor.h"
#include "stream/stream.h"
#include "util/num.h"
#include "util/utf8.h"

void l2_header_init(struct l2_header *h)
{
    *h = (struct l2_header){0};
}

void l2_header_release(struct l2_header *h)
{
    l2_arena_release(&h->arena);
    l2_header_init(h);
}

void l2_header_reset(struct l2_header *h)
{
    struct l2_arena arena = h->arena;
    l2_arena_reset(&arena);
    l2_header_init(h);
    h->arena = arena;
}

/* Appends n pairs or items of len bytes to f. */
static int extend(struct l2_header *h, struct l2_fields *f, const uint8_t *data, size_t len,
                  size_t n, struct l2_err *err)
{
    size_t all;
    if (!l2_add_size(f->len, len, &all))
        return l2_err_memory(err, len);
    uint8_t *v = l2_arena_grow(&h->arena, f->data, f->len, all, 1, err);
    if (!v)
        return L2_MEMORY;
    if (len > 0)
        memcpy(v + f->len, data, len);
    *f = (struct l2_fields){v, all, f->n + n};
    return L2_OK;
}

int l2_header_copy(struct l2_header *to, const struct l2_header *from, struct l2_err *err)
{
    l2_header_reset(to);
    to->has_vocab = from->has_vocab;
    to->vocab_size = from->vocab_size;
    memcpy(to->vocab_hash, from->vocab_hash, sizeof to->vocab_hash);
    int r = l2_header_join_history(to, from, err);
    if (r != L2_OK)
        return r;
    return extend(to, &to->other, from->other.data, from->other.len, from->other.n, err);
}

/* Puts s with U+FFFD for every byte that is not UTF-8: arguments may be file names in any encoding.
 */
static void put_argument(struct l2_cbor_out *o, const char *s)
{
    struct l2_buf clean = {0};
    size_t n = strlen(s);
    for (size_t i = 0; i < n && o->rc == L2_OK;) {
        size_t len = l2_utf8_length(s + i, n - i);
        o->rc = len > 0 ? l2_buf_append(&clean, s + i, len, o->err)
                        : l2_buf_append_str(&clean, "\xEF\xBF\xBD", o->err);
        i += len > 0 ? len : 1;
    }
    l2_cbor_put_text(o, clean.len > 0 ? (const char *)clean.data : "", clean.len);
    l2_buf_release(&clean);
}

int l2_header_add_history(struct l2_header *h, const struct l2_history_entry *e, struct l2_err *err)
{
    const struct {
        const char *key, *value;
    } more[] = {{"settings", e->settings}, {"model", e->model}, {"kernels", e->kernels}};
    struct l2_buf entry = {0};
    struct l2_cbor_out o = {&entry, err, L2_OK};
    l2_cbor_put_map(&o, 3 + !!e->settings + !!e->model + !!e->kernels);
    l2_cbor_put_str(&o, "program");
    l2_cbor_put_str(&o, e->program);
    l2_cbor_put_str(&o, "version");
    l2_cbor_put_str(&o, e->version);
    l2_cbor_put_str(&o, "arguments");
    l2_cbor_put_array(&o, e->n_arguments);
    for (size_t i = 0; i < e->n_arguments; i++)
        put_argument(&o, e->arguments[i]);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        if (!more[i].value)
            continue;
        l2_cbor_put_str(&o, more[i].key);
        l2_cbor_put_str(&o, more[i].value);
    }
    int r = o.rc;
    if (r == L2_OK)
        r = extend(h, &h->history, entry.data, entry.len, 1, err);
    l2_buf_release(&entry);
    return r;
}

int l2_header_join_history(struct l2_header *h, const struct l2_header *from, struct l2_err *err)
{
    return extend(h, &h->history, from->history.data, from->history.len, from->history.n, err);
}

int l2_header_check_vocab(const struct l2_header *h, const struct l2_header *from, const char *name,
                          struct l2_err *err)
{
    char want[65], got[65];
    if (!h->has_vocab && !from->has_vocab)
        return L2_OK;
    if (h->has_vocab != from->has_vocab)
        return l2_err_at(err, L2_ARGUMENT, name, -1, "vocabularies differ: want %s, got %s",
                         h->has_vocab ? "one" : "none", from->has_vocab ? "one" : "none");
    if (h->vocab_size == from->vocab_size &&
        memcmp(h->vocab_hash, from->vocab_hash, sizeof h->vocab_hash) == 0)
        return L2_OK;
    l2_sha256_hex(h->vocab_hash, want);
    l2_sha256_hex(from->vocab_hash, got);
    return l2_err_at(err, L2_ARGUMENT, name, -1,
                     "vocabularies differ: want %u pieces (%.12s), got %u pieces (%.12s)",
                     (unsigned)h->vocab_size, want, (unsigned)from->vocab_size, got);
}
