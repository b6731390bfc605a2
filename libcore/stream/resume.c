/* Reading back what an earlier run wrote: records are counted by a hash of id and prompt in an open
 * table. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/resume.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

/* Half of SHA-256, which no two different records of a run share. */
struct key {
    uint64_t v[2];
};

struct slot {
    struct key key;
    uint64_t n; /* 0: free, or all taken */
    bool used;
};

struct l2_resume {
    bool by_prompt;
    struct l2_resume_segment *segments;
    size_t n_segments;
    uint64_t offset;
    struct slot *table; /* of the last segment's records */
    size_t n_used, table_size;
    /* of the frame that is being read: kept once all of it was good */
    struct key *frame_keys;
    size_t n_frame, cap_frame;
    uint64_t frame_tokens;
};

static struct key key_of(const struct l2_resume *r, const struct l2_record *rec)
{
    uint8_t digest[L2_SHA256_SIZE];
    if (r->by_prompt)
        l2_record_hash(rec, digest);
    else
        l2_id_hash(&rec->id, digest);
    return (struct key){{l2_get_u64le(digest), l2_get_u64le(digest + 8)}};
}

/* The slot of the key, or the free one where it belongs. */
static struct slot *find(struct slot *table, size_t size, struct key k)
{
    size_t at = (size_t)k.v[0] & (size - 1);
    while (table[at].used && (table[at].key.v[0] != k.v[0] || table[at].key.v[1] != k.v[1]))
        at = (at + 1) & (size - 1);
    return &table[at];
}

static int grow_table(struct l2_resume *r, struct l2_err *err)
{
    size_t size = r->table_size ? r->table_size * 2 : 256;
    struct slot *table = calloc(size, sizeof *table);
    if (!table)
        return l2_err_memory(err, size * sizeof *table);
    for (size_t i = 0; i < r->table_size; i++)
        if (r->table[i].used)
            *find(table, size, r->table[i].key) = r->table[i];
    free(r->table);
    r->table = table;
    r->table_size = size;
    return L2_OK;
}

static int count_key(struct l2_resume *r, struct key k, struct l2_err *err)
{
    struct slot *s;
    int rc;
    if (r->n_used * 2 >= r->table_size && (rc = grow_table(r, err)) < 0)
        return rc;
    s = find(r->table, r->table_size, k);
    r->n_used += !s->used;
    s->key = k;
    s->used = true;
    s->n++;
    return L2_OK;
}

static int keep_frame(struct l2_resume *r, struct l2_err *err)
{
    int rc = L2_OK;
    if (r->n_frame == 0)
        return L2_OK;
    struct l2_resume_segment *s = &r->segments[r->n_segments - 1];
    for (size_t i = 0; i < r->n_frame && rc == L2_OK; i++)
        rc = count_key(r, r->frame_keys[i], err);
    s->records += r->n_frame;
    s->tokens += r->frame_tokens;
    r->n_frame = 0;
    r->frame_tokens = 0;
    return rc;
}

static int add_segment(struct l2_resume *r, const struct l2_header *h, struct l2_err *err)
{
    struct l2_resume_segment *v = realloc(r->segments, (r->n_segments + 1) * sizeof *v);
    if (!v)
        return l2_err_memory(err, (r->n_segments + 1) * sizeof *v);
    r->segments = v;
    v += r->n_segments++;
    *v = (struct l2_resume_segment){.records = 0};
    l2_header_init(&v->header);
    r->n_used = 0;
    if (r->table)
        memset(r->table, 0, r->table_size * sizeof *r->table);
    return l2_header_copy(&v->header, h, err);
}

static int add_record(struct l2_resume *r, const struct l2_record *rec, struct l2_err *err)
{
    if (r->n_frame == r->cap_frame) {
        size_t cap = r->cap_frame ? r->cap_frame * 2 : 256;
        struct key *v = realloc(r->frame_keys, cap * sizeof *v);
        if (!v)
            return l2_err_memory(err, cap * sizeof *v);
        r->frame_keys = v;
        r->cap_frame = cap;
    }
    r->frame_keys[r->n_frame++] = key_of(r, rec);
    r->frame_tokens += l2_record_tokens(rec);
    return L2_OK;
}

/* Takes one item in. L2_END at an END that says incomplete. */
static int take_item(struct l2_resume *r, struct l2_reader *reader, enum l2_item item,
                     const struct l2_record *rec, struct l2_err *err)
{
    if (item == L2_ITEM_RECORD)
        return add_record(r, rec, err);
    if (item == L2_ITEM_HEADER)
        return add_segment(r, l2_reader_header(reader), err);
    if (!l2_reader_end_item(reader)->complete)
        return L2_END;
    r->segments[r->n_segments - 1].complete = true;
    return L2_OK;
}

/* What a stream that was cut or damaged fails with. */
static bool is_damage(int rc)
{
    return rc == L2_TRUNCATED || rc == L2_CORRUPT || rc == L2_FORMAT;
}

static int scan(struct l2_resume *r, struct l2_reader *reader, struct l2_err *err)
{
    struct l2_record rec;
    enum l2_item item;
    uint64_t frame = 0;
    int rc = L2_OK;
    l2_record_init(&rec);
    while (rc == L2_OK && (rc = l2_reader_next(reader, true, &item, &rec, err)) == L2_OK) {
        if (l2_reader_frame(reader) != frame)
            rc = keep_frame(r, err);
        frame = l2_reader_frame(reader);
        if (rc == L2_OK)
            rc = take_item(r, reader, item, &rec, err);
    }
    l2_record_release(&rec);
    if (rc == L2_FORMAT && r->n_segments == 0)
        return rc;
    if (rc == L2_END || is_damage(rc)) {
        r->offset = l2_reader_frame(reader);
        if (r->offset == frame && is_damage(rc))
            r->n_frame = 0;
        rc = keep_frame(r, err);
    }
    return rc;
}

int l2_resume_scan(struct l2_resume **out, int fd, const char *name, bool by_prompt,
                   const struct l2_stream_limits *limits, struct l2_err *err)
{
    struct l2_reader *reader;
    int rc;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return l2_err_memory(err, sizeof **out);
    (*out)->by_prompt = by_prompt;
    rc = l2_reader_new(&reader, fd, name, limits, err);
    if (rc == L2_OK) {
        rc = scan(*out, reader, err);
        l2_reader_free(reader);
    }
    if (rc < 0) {
        l2_resume_free(*out);
        *out = NULL;
    }
    return rc;
}

void l2_resume_free(struct l2_resume *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_segments; i++)
        l2_header_release(&r->segments[i].header);
    free(r->segments);
    free(r->table);
    free(r->frame_keys);
    free(r);
}

const struct l2_resume_segment *l2_resume_segment(const struct l2_resume *r, size_t i)
{
    return i < r->n_segments ? &r->segments[i] : NULL;
}

uint64_t l2_resume_offset(const struct l2_resume *r)
{
    return r->offset;
}

uint64_t l2_resume_records(const struct l2_resume *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_segments; i++)
        n += r->segments[i].records;
    return n;
}

bool l2_resume_take(struct l2_resume *r, const struct l2_record *rec)
{
    struct slot *s;
    if (r->table_size == 0)
        return false;
    s = find(r->table, r->table_size, key_of(r, rec));
    if (!s->used || s->n == 0)
        return false;
    s->n--;
    return true;
}

uint64_t l2_resume_left(const struct l2_resume *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->table_size; i++)
        n += r->table[i].n;
    return n;
}
