/* The index of a stream by frame, made in one pass, and reading frames by it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/corpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "stream/codec.h"
#include "stream/frame.h"
#include "util/num.h"

#define COPY_BYTES 65536

/* ---- a pipe ---- */

static int write_all(int fd, const uint8_t *p, size_t n, const char *path, struct l2_err *err)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return l2_err_sys(err, errno, path, "cannot keep the input");
        p += put;
        n -= (size_t)put;
    }
    return L2_OK;
}

/* Copies all of from to the file fd. */
static int copy(int from, const char *name, int fd, const char *path, struct l2_err *err)
{
    uint8_t bytes[COPY_BYTES];
    for (;;) {
        ssize_t n = read(from, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return l2_err_sys(err, errno, name, "cannot read");
        if (n == 0)
            return L2_OK;
        int rc = write_all(fd, bytes, (size_t)n, path, err);
        if (rc != L2_OK)
            return rc;
    }
}

static int spool(struct l2_corpus *c, int from, struct l2_err *err)
{
    char path[4096];
    const char *dir = c->opts->tmpdir ? c->opts->tmpdir : "/tmp";
    if ((size_t)snprintf(path, sizeof path, "%s/l2-train-XXXXXX", dir) >= sizeof path)
        return l2_err_set(err, L2_ARGUMENT,
                          "name of the directory for temporary files is too long");
    int fd = mkstemp(path);
    if (fd < 0)
        return l2_err_sys(err, errno, path, "cannot create a temporary file");
    c->fd = fd;
    c->spooled = true;
    if (unlink(path) != 0)
        return l2_err_sys(err, errno, path, "cannot remove the name of a temporary file");
    int rc = copy(from, c->name, fd, path, err);
    if (rc == L2_OK && lseek(fd, 0, SEEK_SET) < 0)
        return l2_err_sys(err, errno, path, "cannot go to the beginning");
    return rc;
}

/* ---- the index ---- */

static int begin_frame(struct l2_corpus *c, uint64_t offset, struct l2_err *err)
{
    if (c->n_frames == c->cap_frames) {
        size_t cap = c->cap_frames ? c->cap_frames * 2 : 64, bytes;
        if (!l2_mul_size(cap, sizeof *c->frames, &bytes))
            return l2_err_memory(err, SIZE_MAX);
        struct l2_corpus_frame *v = realloc(c->frames, bytes);
        if (!v)
            return l2_err_memory(err, bytes);
        c->frames = v;
        c->cap_frames = cap;
    }
    c->frames[c->n_frames++] = (struct l2_corpus_frame){.offset = offset};
    return L2_OK;
}

static void count_answers(struct l2_corpus *c)
{
    c->n_answers += c->rec.n_completions;
    for (size_t i = 0; i < c->rec.n_completions; i++) {
        const struct l2_u32s *a = &c->rec.completions[i].tokens;
        c->n_eos += a->n > 0 && a->v[a->n - 1] == c->opts->eos;
    }
}

static int index_record(struct l2_corpus *c, uint64_t offset, struct l2_err *err)
{
    const struct l2_record *rec = &c->rec;
    int rc = l2_example_check(rec, c->opts, err);
    if (rc != L2_OK) {
        if (rc != L2_MEMORY && err && err->offset < 0)
            err->offset = (int64_t)offset;
        return rc;
    }
    if ((c->n_frames == 0 || c->frames[c->n_frames - 1].end > 0) &&
        (rc = begin_frame(c, offset, err)) != L2_OK)
        return rc;
    struct l2_corpus_frame *f = &c->frames[c->n_frames - 1];
    struct l2_example_size size = l2_example_size(rec);
    bool held = l2_record_is_held(rec, c->opts->held_out);
    struct l2_corpus_part *part = &c->part[held];
    f->n++;
    count_answers(c);
    f->n_held += held;
    f->n_answers += (uint32_t)size.answers;
    f->ids += size.ids;
    f->bytes += size.bytes;
    part->records++;
    part->tokens += l2_record_tokens(rec);
    part->units += l2_record_units(rec, c->opts->kind);
    return L2_OK;
}

static int index_header(struct l2_corpus *c, const struct l2_header *h, bool first,
                        struct l2_err *err)
{
    if (first)
        return l2_header_copy(&c->header, h, err);
    int rc = l2_header_check_vocab(&c->header, h, c->name, err);
    return rc == L2_OK ? l2_header_join_history(&c->header, h, err) : rc;
}

static int index_end(const struct l2_corpus *c, const struct l2_stream_end *end, struct l2_err *err)
{
    if (end->complete || c->opts->partial)
        return L2_OK;
    return l2_err_set(err, L2_TRUNCATED, "incomplete stream (see --partial): %s",
                      end->error[0] ? end->error : "its writer failed");
}

/* The open frame, if there is one, ends at offset. */
static void end_frame(struct l2_corpus *c, uint64_t offset)
{
    struct l2_corpus_frame *f = c->n_frames ? &c->frames[c->n_frames - 1] : NULL;
    if (f && f->end == 0 && f->offset != offset)
        f->end = offset;
}

static int make_index(struct l2_corpus *c, struct l2_reader *reader, struct l2_err *err)
{
    enum l2_item item;
    bool first = true;
    int rc;
    while ((rc = l2_reader_next(reader, true, &item, &c->rec, err)) == L2_OK) {
        uint64_t offset = l2_reader_frame(reader);
        end_frame(c, offset);
        if (item == L2_ITEM_RECORD)
            rc = index_record(c, offset, err);
        else if (item == L2_ITEM_HEADER)
            rc = index_header(c, l2_reader_header(reader), first, err);
        else
            rc = index_end(c, l2_reader_end_item(reader), err);
        if (rc != L2_OK)
            return rc;
        first = false;
    }
    end_frame(c, l2_reader_frame(reader));
    if (rc == L2_TRUNCATED && c->opts->partial && !first)
        return L2_OK;
    return rc == L2_END ? L2_OK : rc;
}

int l2_corpus_open(struct l2_corpus *c, const struct l2_data_input *in,
                   const struct l2_data_opts *opts, struct l2_err *err)
{
    struct l2_reader *reader = NULL;
    struct stat st;
    *c = (struct l2_corpus){.name = in->name, .opts = opts, .fd = in->fd};
    l2_header_init(&c->header);
    l2_record_init(&c->rec);
    c->zstd = ZSTD_createDCtx();
    if (!c->zstd)
        return l2_err_memory(err, sizeof(void *));
    if (fstat(in->fd, &st) != 0)
        return l2_err_sys(err, errno, in->name, "cannot look at it");
    int rc = S_ISREG(st.st_mode) ? L2_OK : spool(c, in->fd, err);
    if (rc == L2_OK && lseek(c->fd, 0, SEEK_SET) < 0)
        rc = l2_err_sys(err, errno, in->name, "cannot go to the beginning");
    if (rc == L2_OK)
        rc = l2_reader_new(&reader, c->fd, in->name, &opts->limits, err);
    if (rc == L2_OK)
        rc = make_index(c, reader, err);
    l2_reader_free(reader);
    if (rc < 0 && rc != L2_MEMORY && err)
        (void)l2_err_in_file(err, in->name);
    return rc;
}

void l2_corpus_release(struct l2_corpus *c)
{
    if (c->spooled)
        close(c->fd);
    free(c->frames);
    ZSTD_freeDCtx(c->zstd);
    l2_buf_release(&c->raw);
    l2_buf_release(&c->content);
    l2_header_release(&c->header);
    l2_record_release(&c->rec);
    *c = (struct l2_corpus){.fd = -1};
}

void l2_corpus_hash(const struct l2_corpus *c, struct l2_sha256 *s)
{
    uint8_t bytes[32];
    for (size_t i = 0; i < c->n_frames; i++) {
        const struct l2_corpus_frame *f = &c->frames[i];
        l2_put_u64le(bytes, f->offset);
        l2_put_u64le(bytes + 8, f->end);
        l2_put_u64le(bytes + 16, f->ids);
        l2_put_u32le(bytes + 24, f->n);
        l2_put_u32le(bytes + 28, f->n_held);
        l2_sha256_update(s, bytes, sizeof bytes);
    }
}

/* ---- reading by it ---- */

static int changed(const struct l2_corpus *c, const struct l2_corpus_frame *f, struct l2_err *err)
{
    return l2_err_at(err, L2_CORRUPT, c->name, (int64_t)f->offset,
                     "not what was read at first: the file was changed meanwhile");
}

static int read_raw(struct l2_corpus *c, const struct l2_corpus_frame *f, struct l2_err *err)
{
    size_t n = (size_t)(f->end - f->offset);
    c->raw.len = 0;
    int rc = l2_buf_reserve(&c->raw, n, err);
    while (rc == L2_OK && c->raw.len < n) {
        ssize_t got =
            pread(c->fd, c->raw.data + c->raw.len, n - c->raw.len, (off_t)(f->offset + c->raw.len));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return l2_err_sys(err, errno, c->name, "cannot read");
        if (got == 0)
            return changed(c, f, err);
        c->raw.len += (size_t)got;
    }
    return rc;
}

static int unpack(struct l2_corpus *c, const struct l2_corpus_frame *f, struct l2_err *err)
{
    struct l2_frame head;
    size_t limit = c->opts->limits.max_record ? c->opts->limits.max_record : L2_MAX_RECORD;
    if (l2_frame_parse(c->raw.data, c->raw.len, &head) != L2_OK || head.skippable ||
        !head.has_content || (head.content > limit && head.content > L2_MAX_FRAME))
        return changed(c, f, err);
    size_t size = ZSTD_findFrameCompressedSize(c->raw.data, c->raw.len);
    if (ZSTD_isError(size))
        return changed(c, f, err);
    c->content.len = 0;
    int rc = l2_buf_reserve(&c->content, (size_t)head.content, err);
    if (rc != L2_OK)
        return rc;
    size_t got =
        ZSTD_decompressDCtx(c->zstd, c->content.data, (size_t)head.content, c->raw.data, size);
    if (ZSTD_isError(got) || got != head.content)
        return changed(c, f, err);
    c->content.len = got;
    return L2_OK;
}

static int take_record(struct l2_corpus *c, bool held, struct l2_examples *out, struct l2_err *err)
{
    uint32_t bad;
    if (!l2_record_ids_below(&c->rec, c->opts->vocab_size, &bad))
        return L2_CORRUPT;
    if (l2_record_is_held(&c->rec, c->opts->held_out) != held)
        return L2_OK;
    return l2_examples_add(out, &c->rec, err);
}

int l2_corpus_read(struct l2_corpus *c, size_t i, bool held, struct l2_examples *out,
                   struct l2_err *err)
{
    const struct l2_corpus_frame *f = &c->frames[i];
    struct l2_cbor cbor = {.data = NULL};
    uint32_t n = 0;
    if ((held ? f->n_held : f->n - f->n_held) == 0)
        return L2_OK;
    int rc = read_raw(c, f, err);
    if (rc == L2_OK)
        rc = unpack(c, f, err);
    if (rc != L2_OK)
        return rc;
    cbor.data = c->content.data;
    cbor.n = c->content.len;
    while (rc == L2_OK && cbor.pos < cbor.n) {
        n++;
        l2_record_reset(&c->rec);
        rc = l2_read_record(&cbor, &c->rec, err);
        if (rc == L2_OK)
            rc = take_record(c, held, out, err);
    }
    l2_buf_release(&cbor.keys);
    if (rc == L2_MEMORY)
        return rc;
    return rc == L2_OK && n == f->n ? L2_OK : changed(c, f, err);
}
