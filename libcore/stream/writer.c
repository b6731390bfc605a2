/* Writing l2 streams: items are gathered into frames, frames go to a file descriptor. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "stream/codec.h"
#include "stream/stream.h"
#include "util/utf8.h"

#define FLUSH_MS 50

struct l2_writer {
    int fd;
    char *name;
    ZSTD_CCtx *zstd;
    struct l2_buf frame;   /* content of the open frame */
    struct l2_buf packed;  /* the frame as zstd wrote it */
    struct timespec since; /* when the open frame got its first record */
    size_t max_record;
    bool in_segment;
    bool has_vocab;
    uint32_t vocab_size;
    uint64_t records, tokens;                 /* of this segment */
    uint64_t earlier_records, earlier_tokens; /* of those before */
};

static int set_parameter(struct l2_writer *w, ZSTD_cParameter p, int v, struct l2_err *err)
{
    size_t r = ZSTD_CCtx_setParameter(w->zstd, p, v);
    if (ZSTD_isError(r))
        return l2_err_at(err, L2_ARGUMENT, w->name, -1, "zstd: %s", ZSTD_getErrorName(r));
    return L2_OK;
}

static int set_up(struct l2_writer *w, int level, struct l2_err *err)
{
    int r = L2_OK;
    if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel())
        return l2_err_set(err, L2_ARGUMENT, "compression level %d: want %d to %d", level,
                          ZSTD_minCLevel(), ZSTD_maxCLevel());
    if ((r = set_parameter(w, ZSTD_c_compressionLevel, level, err)) != L2_OK ||
        (r = set_parameter(w, ZSTD_c_checksumFlag, 1, err)) != L2_OK ||
        (r = set_parameter(w, ZSTD_c_contentSizeFlag, 1, err)) != L2_OK)
        return r;
    if (level > 19) /* those levels have larger windows of their own */
        r = set_parameter(w, ZSTD_c_windowLog, L2_MAX_WINDOW_LOG, err);
    return r;
}

int l2_writer_new(struct l2_writer **out, int fd, const char *name, int level, struct l2_err *err)
{
    *out = NULL;
    struct l2_writer *w = calloc(1, sizeof *w);
    if (!w)
        return l2_err_memory(err, sizeof *w);
    w->fd = fd;
    w->max_record = L2_MAX_RECORD;
    w->name = strdup(name);
    w->zstd = ZSTD_createCCtx();
    int r = w->name && w->zstd ? set_up(w, level, err) : l2_err_memory(err, strlen(name));
    if (r != L2_OK) {
        l2_writer_free(w);
        return r;
    }
    *out = w;
    return L2_OK;
}

void l2_writer_free(struct l2_writer *w)
{
    if (!w)
        return;
    ZSTD_freeCCtx(w->zstd);
    l2_buf_release(&w->frame);
    l2_buf_release(&w->packed);
    free(w->name);
    free(w);
}

void l2_writer_set_max_record(struct l2_writer *w, size_t max_record)
{
    w->max_record = max_record;
}

static int write_all(struct l2_writer *w, const uint8_t *p, size_t n, struct l2_err *err)
{
    while (n > 0) {
        ssize_t done = write(w->fd, p, n);
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd pfd = {.fd = w->fd, .events = POLLOUT};
            if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
                return l2_err_sys(err, errno, w->name, "cannot poll");
        } else if (done < 0 && errno != EINTR) {
            return l2_err_sys(err, errno, w->name, "cannot write");
        } else if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return L2_OK;
}

/* Writes the first n bytes of the open frame as a frame and drops them. */
static int write_frame(struct l2_writer *w, size_t n, struct l2_err *err)
{
    w->packed.len = 0;
    int r = l2_buf_reserve(&w->packed, ZSTD_compressBound(n), err);
    if (r != L2_OK)
        return r;
    size_t size = ZSTD_compress2(w->zstd, w->packed.data, w->packed.cap, w->frame.data, n);
    if (ZSTD_isError(size))
        return l2_err_at(err, L2_MEMORY, w->name, -1, "zstd: %s", ZSTD_getErrorName(size));
    l2_buf_consume(&w->frame, n);
    return write_all(w, w->packed.data, size, err);
}

int l2_writer_flush(struct l2_writer *w, struct l2_err *err)
{
    return w->frame.len > 0 ? write_frame(w, w->frame.len, err) : L2_OK;
}

void l2_writer_resume(struct l2_writer *w, const struct l2_header *h, uint64_t records,
                      uint64_t tokens)
{
    assert(!w->in_segment);
    w->in_segment = true;
    w->has_vocab = h->has_vocab;
    w->vocab_size = h->vocab_size;
    l2_writer_count_earlier(w, w->records, w->tokens);
    w->records = records;
    w->tokens = tokens;
}

void l2_writer_count_earlier(struct l2_writer *w, uint64_t records, uint64_t tokens)
{
    w->earlier_records += records;
    w->earlier_tokens += tokens;
}

int l2_writer_header(struct l2_writer *w, const struct l2_header *h, struct l2_err *err)
{
    assert(!w->in_segment);
    int r = l2_encode_header(&w->frame, h, err);
    if (r != L2_OK)
        return r;
    l2_writer_resume(w, h, 0, 0);
    return l2_writer_flush(w, err);
}

int l2_writer_record(struct l2_writer *w, const struct l2_record *rec, struct l2_err *err)
{
    size_t before = w->frame.len;
    uint32_t bad;
    char id[64];
    assert(w->in_segment);
    if (w->has_vocab && !l2_record_ids_below(rec, w->vocab_size, &bad)) {
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_set(err, L2_ARGUMENT,
                          "record %s: token %u is not below %u, the vocabulary's size", id,
                          (unsigned)bad, (unsigned)w->vocab_size);
    }
    int r = l2_encode_record(&w->frame, rec, err);
    if (r != L2_OK)
        return r;
    size_t size = w->frame.len - before;
    if (size > w->max_record) {
        w->frame.len = before;
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_set(err, L2_LIMIT, "record %s of %zu bytes: want at most %zu", id, size,
                          w->max_record);
    }
    w->records++;
    w->tokens += l2_record_tokens(rec);
    if (before == 0)
        clock_gettime(CLOCK_MONOTONIC, &w->since);
    else if (w->frame.len > L2_MAX_FRAME && (r = write_frame(w, before, err)) != L2_OK)
        return r;
    return w->frame.len >= L2_MAX_FRAME ? l2_writer_flush(w, err) : L2_OK;
}

int l2_writer_due(const struct l2_writer *w)
{
    struct timespec now;
    if (w->frame.len == 0)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long age = (long long)(now.tv_sec - w->since.tv_sec) * 1000 +
                    (now.tv_nsec - w->since.tv_nsec) / 1000000;
    return age >= FLUSH_MS ? 0 : (int)(FLUSH_MS - age);
}

/* Copies what fits of s, with '?' for bytes that are not UTF-8. */
static void copy_text(char *out, size_t size, const char *s)
{
    size_t n = strlen(s), len = 0;
    for (size_t i = 0; i < n;) {
        size_t k = l2_utf8_length(s + i, n - i);
        if (len + (k > 0 ? k : 1) >= size)
            break;
        if (k > 0)
            memcpy(out + len, s + i, k);
        else
            out[len] = '?';
        k = k > 0 ? k : 1;
        len += k;
        i += k;
    }
    out[len] = '\0';
}

int l2_writer_end(struct l2_writer *w, bool complete, const char *error, struct l2_err *err)
{
    struct l2_stream_end end = {complete, w->records, w->tokens, ""};
    assert(w->in_segment);
    int r = l2_writer_flush(w, err);
    if (r != L2_OK)
        return r;
    if (!complete && error)
        copy_text(end.error, sizeof end.error, error);
    if ((r = l2_encode_end(&w->frame, &end, err)) != L2_OK)
        return r;
    w->in_segment = false;
    return l2_writer_flush(w, err);
}

bool l2_writer_in_segment(const struct l2_writer *w)
{
    return w->in_segment;
}

uint64_t l2_writer_records(const struct l2_writer *w)
{
    return w->earlier_records + w->records;
}

uint64_t l2_writer_tokens(const struct l2_writer *w)
{
    return w->earlier_tokens + w->tokens;
}
