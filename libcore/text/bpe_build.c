/* Builds the tables of byte-pair merging from a vocabulary's pieces. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "text/piece_index.h"
#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

/* ---- pairs ---- */

static int pairs_init(struct l2_pairs *t, unsigned bits, struct l2_err *err)
{
    size_t bytes = ((size_t)1 << bits) * sizeof *t->slots;
    *t = (struct l2_pairs){.mask = ((size_t)1 << bits) - 1, .shift = 64 - bits};
    t->slots = malloc(bytes);
    if (!t->slots)
        return l2_err_memory(err, bytes);
    memset(t->slots, 0xFF, bytes);
    return L2_OK;
}

static int pairs_put(struct l2_pairs *t, struct l2_pair p, struct l2_err *err)
{
    if (2 * t->n > t->mask) {
        struct l2_pairs larger;
        int r = pairs_init(&larger, 64 - t->shift + 1, err);
        if (r != L2_OK)
            return r;
        for (size_t i = 0; i <= t->mask; i++)
            if (t->slots[i].left != UINT32_MAX)
                *l2_pairs_find(&larger, t->slots[i].left, t->slots[i].right) = t->slots[i];
        larger.n = t->n;
        free(t->slots);
        *t = larger;
    }
    struct l2_pair *slot = l2_pairs_find(t, p.left, p.right);
    if (slot->left == UINT32_MAX)
        t->n++;
    *slot = p;
    return L2_OK;
}

/* ---- characters ---- */

static int set_symbol(struct l2_bpe *b, uint32_t cp, uint32_t symbol, struct l2_err *err)
{
    unsigned page = b->page_of[cp >> 8];
    if (page == 0) {
        size_t n = b->n_pages ? b->n_pages + 1 : 2, bytes;
        if (!l2_mul_size(n, sizeof *b->pages, &bytes))
            return l2_err_memory(err, SIZE_MAX);
        uint32_t(*pages)[256] = realloc(b->pages, bytes);
        if (!pages)
            return l2_err_memory(err, bytes);
        b->pages = pages;
        b->n_pages = n;
        page = (unsigned)(n - 1);
        b->page_of[cp >> 8] = (uint16_t)page;
        for (uint32_t i = 0; i < 256; i++)
            pages[page][i] = L2_SYM_CHAR | (cp & ~(uint32_t)255) | i;
    }
    b->pages[page][cp & 255] = symbol;
    if (cp < 128)
        b->ascii[cp] = symbol;
    return L2_OK;
}

/* Pieces that merging can make. A piece with a space in it cannot be met: spaces become U+2581. */
static bool mergeable(const struct l2_vocab *v, uint32_t id)
{
    enum l2_piece_kind kind = v->pieces[id].kind;
    size_t n;
    const char *s = l2_piece_text(v, id, &n);
    return (kind == L2_PIECE_NORMAL || kind == L2_PIECE_UNUSED) && !memchr(s, ' ', n);
}

static int set_characters(struct l2_bpe *b, const struct l2_vocab *v, struct l2_err *err)
{
    int r = L2_OK;
    for (uint32_t cp = 0; cp < 128; cp++)
        b->ascii[cp] = L2_SYM_CHAR | cp;
    for (uint32_t id = 0; id < v->n && r == L2_OK; id++) {
        size_t n;
        uint32_t cp;
        const char *s = l2_piece_text(v, id, &n);
        if (mergeable(v, id) && l2_utf8_decode(s, n, &cp) == n)
            r = set_symbol(b, cp, id, err);
    }
    b->ascii[' '] = l2_bpe_symbol(b, L2_SPACE_CP);
    return r;
}

/* ---- merges ---- */

struct ranked {
    float score;
    uint32_t id;
};

static int by_score(const void *a, const void *b)
{
    float x = ((const struct ranked *)a)->score, y = ((const struct ranked *)b)->score;
    return x > y ? -1 : x < y;
}

/* rank[id] for all ids: 0 for the highest score, equal for equal scores. Owned. */
static uint32_t *rank_scores(const struct l2_vocab *v, struct l2_err *err)
{
    struct ranked *r = malloc(v->n * sizeof *r);
    uint32_t *rank = malloc(v->n * sizeof *rank);
    if (!r || !rank) {
        (void)l2_err_memory(err, v->n * sizeof *r);
        free(rank);
        rank = NULL;
        goto out;
    }
    for (uint32_t id = 0; id < v->n; id++)
        r[id] = (struct ranked){v->pieces[id].score, id};
    qsort(r, v->n, sizeof *r, by_score);
    for (uint32_t i = 0, n = 0; i < v->n; i++) {
        if (i > 0 && r[i].score < r[i - 1].score)
            n++;
        rank[r[i].id] = n;
    }
out:
    free(r);
    return rank;
}

/* For one piece at a time: hashes[i] of its first i bytes, powers[i] of L2_PIECE_HASH_BASE. */
struct halves {
    uint64_t *hashes, *powers; /* owned */
};

static int halves_init(struct halves *h, const struct l2_vocab *v, struct l2_err *err)
{
    size_t longest = 0;
    for (uint32_t id = 0; id < v->n; id++)
        if (v->pieces[id].text_len > longest)
            longest = v->pieces[id].text_len;
    size_t bytes = (longest + 1) * sizeof *h->hashes;
    h->hashes = malloc(bytes);
    h->powers = malloc(bytes);
    if (!h->hashes || !h->powers)
        return l2_err_memory(err, bytes);
    h->powers[0] = 1;
    for (size_t i = 0; i < longest; i++)
        h->powers[i + 1] = h->powers[i] * L2_PIECE_HASH_BASE;
    return L2_OK;
}

/* The symbol that half a piece is, or L2_NO_ID: a character, or a piece that merging can make. */
static uint32_t half_symbol(const struct l2_bpe *b, const struct l2_piece_index *t, const char *s,
                            size_t n, uint64_t h)
{
    uint32_t cp;
    if (l2_utf8_decode(s, n, &cp) == n)
        return l2_bpe_symbol(b, cp);
    uint32_t id = *l2_piece_index_find(t, s, n, h);
    return id != L2_NO_ID && mergeable(t->v, id) ? id : L2_NO_ID;
}

/* Notes that two characters stand side by side in a piece. */
static int add_join(struct l2_bpe *b, uint32_t left, uint32_t right, struct l2_err *err)
{
    struct l2_pair p = {l2_bpe_symbol(b, left), l2_bpe_symbol(b, right), 0, 0};
    left = left == L2_SPACE_CP ? ' ' : left;
    right = right == L2_SPACE_CP ? ' ' : right;
    if (left < 128 && right < 128) {
        uint64_t bit = (uint64_t)1 << right % 64;
        if (b->ascii_joins[left][right / 64] & bit)
            return L2_OK;
        b->ascii_joins[left][right / 64] |= bit;
    }
    return pairs_put(&b->joins, p, err);
}

/* Every way to make piece id out of two symbols. SentencePiece merges neighbours whenever their
 * concatenation is a piece, whichever halves the trainer merged. */
static int add_merges(struct l2_bpe *b, const struct l2_piece_index *t, struct halves *h,
                      uint32_t id, uint32_t rank, struct l2_err *err)
{
    size_t n;
    const char *s = l2_piece_text(t->v, id, &n);
    uint32_t cp, next;
    int r = L2_OK;
    h->hashes[0] = 0;
    for (size_t i = 0; i < n; i++)
        h->hashes[i + 1] = h->hashes[i] * L2_PIECE_HASH_BASE + (uint8_t)s[i] + 1;
    for (size_t i = l2_utf8_decode(s, n, &cp); i < n && r == L2_OK; cp = next) {
        size_t len = l2_utf8_decode(s + i, n - i, &next);
        uint64_t right_hash = h->hashes[n] - h->hashes[i] * h->powers[n - i];
        uint32_t left = half_symbol(b, t, s, i, h->hashes[i]), right = L2_NO_ID;
        if (left != L2_NO_ID)
            right = half_symbol(b, t, s + i, n - i, right_hash);
        if (right != L2_NO_ID)
            r = pairs_put(&b->merges, (struct l2_pair){left, right, id, rank}, err);
        if (r == L2_OK)
            r = add_join(b, cp, next, err);
        i += len;
    }
    return r;
}

/* The symbol that a piece is when it takes part in a merge. */
static uint32_t piece_symbol(const struct l2_bpe *b, const struct l2_vocab *v, uint32_t id)
{
    size_t n;
    uint32_t cp;
    const char *s = l2_piece_text(v, id, &n);
    return !v->byte_level && l2_utf8_decode(s, n, &cp) == n ? l2_bpe_symbol(b, cp) : id;
}

/* Notes the characters that a merge brings together. */
static int join_halves(struct l2_bpe *b, const struct l2_vocab *v, const struct l2_merge *m,
                       struct l2_err *err)
{
    size_t n;
    uint32_t left, right;
    const char *s = l2_piece_text(v, m->left, &n);
    size_t i = n - 1;
    while (i > 0 && ((uint8_t)s[i] & 0xC0) == 0x80)
        i--;
    (void)l2_utf8_decode(s + i, n - i, &left);
    s = l2_piece_text(v, m->right, &n);
    (void)l2_utf8_decode(s, n, &right);
    return add_join(b, left, right, err);
}

/* The merges as the file lists them, the first of them first. A pair that is listed twice keeps its
 * last place, as in the tables that others make. */
static int add_listed(struct l2_bpe *b, const struct l2_vocab *v, const struct l2_piece_index *t,
                      struct l2_err *err)
{
    struct l2_buf text = {0};
    int r = L2_OK;
    for (size_t i = 0; i < v->n_merges && r == L2_OK; i++) {
        const struct l2_merge *m = &v->merges[i];
        size_t n;
        const char *s = l2_piece_text(v, m->left, &n);
        text.len = 0;
        r = l2_buf_append(&text, s, n, err);
        s = l2_piece_text(v, m->right, &n);
        if (r == L2_OK)
            r = l2_buf_append(&text, s, n, err);
        if (r != L2_OK)
            break;
        struct l2_pair p = {piece_symbol(b, v, m->left), piece_symbol(b, v, m->right),
                            l2_piece_index_get(t, (const char *)text.data, text.len), (uint32_t)i};
        r = pairs_put(&b->merges, p, err);
        if (r == L2_OK && !v->byte_level)
            r = join_halves(b, v, m, err);
    }
    l2_buf_release(&text);
    return r;
}

/* ---- user-defined pieces ---- */

static int by_text(const void *a, const void *b)
{
    const struct l2_user_piece *x = a, *y = b;
    int c = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int gather_user(struct l2_bpe *b, const struct l2_vocab *v, struct l2_err *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < v->n; id++)
        n += v->pieces[id].kind == L2_PIECE_USER_DEFINED;
    if (n == 0)
        return L2_OK;
    b->user = malloc(n * sizeof *b->user);
    if (!b->user)
        return l2_err_memory(err, n * sizeof *b->user);
    for (uint32_t id = 0; id < v->n; id++) {
        if (v->pieces[id].kind != L2_PIECE_USER_DEFINED)
            continue;
        struct l2_user_piece *u = &b->user[b->n_user++];
        u->s = l2_piece_text(v, id, &u->n);
        u->id = id;
    }
    qsort(b->user, b->n_user, sizeof *b->user, by_text);
    return L2_OK;
}

/* Narrows the range of pieces that share the first i bytes with text to those that share one more.
 * Within it, pieces are in order of their byte i, and the one of exactly i bytes comes first. */
size_t l2_bpe_match_user(const struct l2_bpe *b, const char *text, size_t n, uint32_t *id)
{
    size_t lo = 0, hi = b->n_user, found = 0;
    for (size_t i = 0; lo < hi; i++) {
        if (b->user[lo].n == i) {
            found = i;
            *id = b->user[lo++].id;
        }
        if (i == n)
            break;
        uint8_t byte = (uint8_t)text[i];
        size_t end = hi;
        while (lo < end) { /* the first whose byte i is not less */
            size_t mid = lo + (end - lo) / 2;
            if ((uint8_t)b->user[mid].s[i] < byte)
                lo = mid + 1;
            else
                end = mid;
        }
        end = lo;
        while (end < hi) { /* the first whose byte i is greater */
            size_t mid = end + (hi - end) / 2;
            if ((uint8_t)b->user[mid].s[i] <= byte)
                end = mid + 1;
            else
                hi = mid;
        }
    }
    return found;
}

int l2_bpe_build(struct l2_bpe *b, const struct l2_vocab *v, const char *file, struct l2_err *err)
{
    struct l2_piece_index names = {0}, reserved = {0};
    struct halves halves = {0};
    uint32_t *rank = NULL;
    *b = (struct l2_bpe){0};
    int r = l2_piece_index_init(&names, v, err);
    if (r == L2_OK)
        r = l2_piece_index_init(&reserved, v, err);
    for (uint32_t id = 0; id < v->n && r == L2_OK; id++) {
        enum l2_piece_kind kind = v->pieces[id].kind;
        bool special =
            kind == L2_PIECE_UNKNOWN || kind == L2_PIECE_CONTROL || kind == L2_PIECE_BYTE;
        r = l2_piece_index_add(special ? &reserved : &names, id, file, err);
    }
    if (r == L2_OK)
        r = set_characters(b, v, err);
    if (r == L2_OK)
        r = pairs_init(&b->merges, 64 - names.shift + 1, err); /* about two merges a piece */
    if (r == L2_OK)
        r = pairs_init(&b->joins, 10, err);
    if (r == L2_OK && v->listed)
        r = add_listed(b, v, &names, err);
    if (r == L2_OK)
        r = halves_init(&halves, v, err);
    if (r == L2_OK && !v->listed && !(rank = rank_scores(v, err)))
        r = L2_MEMORY;
    for (uint32_t id = 0; id < v->n && !v->listed && r == L2_OK; id++)
        if (mergeable(v, id))
            r = add_merges(b, &names, &halves, id, rank[id], err);
    if (r == L2_OK)
        r = gather_user(b, v, err);
    free(rank);
    free(halves.hashes);
    free(halves.powers);
    l2_piece_index_release(&names);
    l2_piece_index_release(&reserved);
    return r;
}

void l2_bpe_release(struct l2_bpe *b)
{
    free(b->merges.slots);
    free(b->joins.slots);
    free(b->pages);
    free(b->user);
    *b = (struct l2_bpe){0};
}
