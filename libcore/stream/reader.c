/* Reading l2 streams: frames are taken from a file descriptor, checked whole, and given out item by
 * item. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "stream/codec.h"
#include "stream/frame.h"
#include "stream/stream.h"

/* Content buffers that are larger are not kept for the next frame. */
#define KEPT_BYTES ((size_t)8 << 20)

enum state {
    START,  /* no header has been read */
    OPEN,   /* inside a segment */
    BETWEEN /* after an END */
};

struct l2_reader {
    struct l2_input in;
    char *name;
    ZSTD_DCtx *zstd;
    size_t max_record;
    enum state state;

    struct l2_buf content; /* of the current frame */
    struct l2_cbor cbor;   /* reads content */
    int64_t frame_offset;  /* where the current frame begins in the input */
    size_t frame_size;     /* its length there, 0 while unknown */
    bool frame_taken;      /* it has been consumed */
    uint64_t skip;         /* bytes of a skippable frame that are still to come */

    struct l2_header header;
    struct l2_stream_end end;
    uint64_t records, tokens; /* of this segment */

    bool failed; /* error is set, and is returned again until recovery */
    struct l2_err error;
    bool header_waits;  /* what failed is a whole header where none may be */
    bool damaged;       /* recovered inside of this segment: END's numbers cannot hold */
    bool after_failure; /* recovered, and no frame has been good since */
};

int l2_reader_new(struct l2_reader **out, int fd, const char *name,
                  const struct l2_stream_limits *limits, struct l2_err *err)
{
    *out = NULL;
    struct l2_reader *r = calloc(1, sizeof *r);
    if (!r)
        return l2_err_memory(err, sizeof *r);
    r->max_record = limits && limits->max_record > 0 ? limits->max_record : L2_MAX_RECORD;
    r->name = strdup(name);
    r->zstd = ZSTD_createDCtx();
    l2_input_init(&r->in, fd, r->name);
    if (!r->name || !r->zstd) {
        l2_reader_free(r);
        return l2_err_memory(err, strlen(name));
    }
    *out = r;
    return L2_OK;
}

void l2_reader_free(struct l2_reader *r)
{
    if (!r)
        return;
    ZSTD_freeDCtx(r->zstd);
    l2_input_release(&r->in);
    l2_buf_release(&r->content);
    l2_buf_release(&r->cbor.keys);
    l2_header_release(&r->header);
    free(r->name);
    free(r);
}

void l2_reader_set_idle(struct l2_reader *r, const struct l2_idle *idle)
{
    r->in.idle = idle;
}

const struct l2_header *l2_reader_header(const struct l2_reader *r)
{
    return &r->header;
}

const struct l2_stream_end *l2_reader_end_item(const struct l2_reader *r)
{
    return &r->end;
}

uint64_t l2_reader_offset(const struct l2_reader *r)
{
    uint64_t offset = (uint64_t)r->in.offset;
    if (!r->frame_taken || r->cbor.n == 0)
        return offset;
    double left = (double)(r->cbor.n - r->cbor.pos) / (double)r->cbor.n;
    return offset - (uint64_t)((double)r->frame_size * left);
}

uint64_t l2_reader_frame(const struct l2_reader *r)
{
    return (uint64_t)r->frame_offset;
}

/* ---- frames ---- */

/* An error of the current frame. What does not even begin like a stream is something else, not a
 * damaged stream. */
static int frame_error(struct l2_reader *r, enum l2_code code, struct l2_err *err, const char *text)
{
    bool foreign = code == L2_CORRUPT && r->state == START;
    return l2_err_at(err, foreign ? L2_FORMAT : code, r->name, r->frame_offset, "%s%s",
                     foreign ? "not an l2 stream: " : "", text);
}

static int cut_short(struct l2_reader *r, struct l2_err *err)
{
    size_t n;
    (void)l2_input_bytes(&r->in, &n);
    return l2_err_at(err, L2_TRUNCATED, r->name, r->frame_offset,
                     "input ends inside a frame, after %zu bytes of it", n);
}

/* The rules that l2-stream(5) has for a frame before it is unpacked. */
static int check_frame(struct l2_reader *r, const struct l2_frame *f, struct l2_err *err)
{
    size_t limit = r->max_record > L2_MAX_FRAME ? r->max_record : L2_MAX_FRAME;
    if (!f->has_checksum)
        return frame_error(r, L2_CORRUPT, err, "zstd frame without a checksum");
    if (!f->has_content)
        return frame_error(r, L2_CORRUPT, err, "zstd frame without its content's size");
    if (f->has_dictionary)
        return frame_error(r, L2_CORRUPT, err, "zstd frame that needs a dictionary");
    if (f->content == 0)
        return frame_error(r, L2_CORRUPT, err, "zstd frame without content");
    if (f->content > L2_MAX_FRAME && r->state == START)
        return frame_error(r, L2_CORRUPT, err, "zstd frame that is too large for a header");
    if (f->content > limit)
        return l2_err_at(err, L2_LIMIT, r->name, r->frame_offset,
                         "record of %llu bytes: want at most %zu (see --max-record)",
                         (unsigned long long)f->content, limit);
    if (f->window > (uint64_t)1 << L2_MAX_WINDOW_LOG)
        return l2_err_at(err, L2_LIMIT, r->name, r->frame_offset,
                         "zstd window of %llu bytes: want at most %llu",
                         (unsigned long long)f->window, 1ull << L2_MAX_WINDOW_LOG);
    return L2_OK;
}

/* The length of the frame at the front of the input once all of it is there, read as needed. */
static int frame_length(struct l2_reader *r, const struct l2_frame *f, bool wait, size_t *size,
                        struct l2_err *err)
{
    uint64_t limit = 2 * f->content + 65536;
    for (;;) {
        size_t n;
        const uint8_t *p = l2_input_bytes(&r->in, &n);
        *size = ZSTD_findFrameCompressedSize(p, n);
        if (!ZSTD_isError(*size))
            return *size <= limit ? L2_OK
                                  : frame_error(r, L2_CORRUPT, err, "zstd frame is too long");
        if (ZSTD_getErrorCode(*size) != ZSTD_error_srcSize_wrong)
            return frame_error(r, L2_CORRUPT, err, "damaged zstd block");
        if (n > limit)
            return frame_error(r, L2_CORRUPT, err, "zstd frame is too long");
        int rc = l2_input_fill(&r->in, wait, err);
        if (rc == L2_END)
            return cut_short(r, err);
        if (rc != L2_OK)
            return rc;
    }
}

/* Unpacks the frame of size bytes at the front of the input into content. */
static int unpack(struct l2_reader *r, const struct l2_frame *f, size_t size, struct l2_err *err)
{
    size_t n;
    const uint8_t *p = l2_input_bytes(&r->in, &n);
    r->content.len = 0;
    if (r->content.cap > KEPT_BYTES && f->content <= L2_MAX_FRAME)
        l2_buf_release(&r->content);
    int rc = l2_buf_reserve(&r->content, (size_t)f->content, err);
    if (rc != L2_OK)
        return rc;
    size_t got = ZSTD_decompressDCtx(r->zstd, r->content.data, (size_t)f->content, p, size);
    if (ZSTD_isError(got))
        return l2_err_at(err, L2_CORRUPT, r->name, r->frame_offset, "damaged zstd frame: %s",
                         ZSTD_getErrorName(got));
    if (got != f->content)
        return frame_error(r, L2_CORRUPT, err, "zstd frame with less content than it says");
    r->content.len = got;
    r->cbor.data = r->content.data;
    r->cbor.n = got;
    r->cbor.pos = 0;
    r->cbor.level = 0;
    r->cbor.keys.len = 0;
    return L2_OK;
}

/* Passes over what is left of a skippable frame. */
static int skip_rest(struct l2_reader *r, bool wait, struct l2_err *err)
{
    while (r->skip > 0) {
        size_t n;
        (void)l2_input_bytes(&r->in, &n);
        if (n == 0) {
            int rc = l2_input_fill(&r->in, wait, err);
            if (rc == L2_END)
                return l2_err_at(err, L2_TRUNCATED, r->name, r->frame_offset,
                                 "input ends inside a skippable frame");
            if (rc != L2_OK)
                return rc;
            continue;
        }
        n = n < r->skip ? n : (size_t)r->skip;
        l2_input_consume(&r->in, n);
        r->skip -= n;
    }
    return L2_OK;
}

/* Parses the head at the front of the input, read as needed. L2_END: the input ended before it. */
static int frame_head(struct l2_reader *r, bool wait, struct l2_frame *f, struct l2_err *err)
{
    for (;;) {
        size_t n;
        const uint8_t *p = l2_input_bytes(&r->in, &n);
        int rc = l2_frame_parse(p, n, f);
        if (rc == L2_OK)
            return L2_OK;
        if (rc == L2_FORMAT)
            return frame_error(r, L2_CORRUPT, err, "no zstd frame begins here");
        if (rc == L2_CORRUPT)
            return frame_error(r, L2_CORRUPT, err, "damaged zstd frame: a reserved bit is set");
        rc = l2_input_fill(&r->in, wait, err);
        if (rc == L2_END)
            return n == 0 ? L2_END : cut_short(r, err);
        if (rc != L2_OK)
            return rc;
    }
}

/* Takes the next frame of content. L2_END: there is none. */
static int next_frame(struct l2_reader *r, bool wait, struct l2_err *err)
{
    struct l2_frame f;
    for (;;) {
        int rc = skip_rest(r, wait, err);
        if (rc != L2_OK)
            return rc;
        r->frame_offset = r->in.offset;
        r->frame_size = 0;
        r->frame_taken = false;
        if ((rc = frame_head(r, wait, &f, err)) != L2_OK)
            return rc;
        if (!f.skippable)
            break;
        l2_input_consume(&r->in, 8);
        r->skip = f.content;
    }
    size_t size;
    int rc = check_frame(r, &f, err);
    if (rc == L2_OK)
        rc = frame_length(r, &f, wait, &size, err);
    if (rc != L2_OK)
        return rc;
    r->frame_size = size;
    rc = unpack(r, &f, size, err);
    if (rc == L2_OK) {
        l2_input_consume(&r->in, size);
        r->frame_taken = true;
    }
    return rc;
}

/* ---- items ---- */

/* Says where in the input the item is whose error has an offset in the frame's content. */
static int place_error(struct l2_reader *r, struct l2_err *err)
{
    if (err->file[0] == '\0') {
        size_t len = strlen(err->text);
        if (err->offset >= 0)
            snprintf(err->text + len, sizeof err->text - len, " (byte %lld of the frame's content)",
                     (long long)err->offset);
        err->offset = r->frame_offset;
        (void)l2_err_in_file(err, r->name);
    }
    return (int)err->code;
}

static int out_of_place(struct l2_reader *r, struct l2_err *err, const char *text)
{
    return l2_err_at(err, L2_CORRUPT, r->name, r->frame_offset, "%s", text);
}

/* Headers and ENDs are alone in frames of 1 MiB at most. */
static int check_alone(struct l2_reader *r, struct l2_err *err)
{
    if (r->cbor.pos != r->cbor.n)
        return out_of_place(r, err, "header or END is not alone in its frame");
    if (r->cbor.n > L2_MAX_FRAME)
        return out_of_place(r, err, "header or END is larger than 1 MiB");
    return L2_OK;
}

static int take_header(struct l2_reader *r, struct l2_err *err)
{
    if (r->state == OPEN) {
        r->header_waits = true;
        return out_of_place(r, err, "header inside an open segment: its END is missing");
    }
    int rc = l2_read_header(&r->cbor, &r->header, err);
    if (rc != L2_OK)
        return place_error(r, err);
    if ((rc = check_alone(r, err)) != L2_OK)
        return rc;
    r->state = OPEN;
    r->records = r->tokens = 0;
    r->damaged = false;
    return L2_OK;
}

static int take_end(struct l2_reader *r, struct l2_err *err)
{
    if (r->state != OPEN)
        return out_of_place(r, err, "END outside of a segment");
    int rc = l2_read_end(&r->cbor, &r->end, err);
    if (rc != L2_OK)
        return place_error(r, err);
    if ((rc = check_alone(r, err)) != L2_OK)
        return rc;
    r->state = BETWEEN;
    if (!r->damaged && (r->end.records != r->records || r->end.tokens != r->tokens))
        return l2_err_at(err, L2_CORRUPT, r->name, r->frame_offset,
                         "END counts %llu records with %llu tokens, read %llu with %llu",
                         (unsigned long long)r->end.records, (unsigned long long)r->end.tokens,
                         (unsigned long long)r->records, (unsigned long long)r->tokens);
    return L2_OK;
}

static int take_record(struct l2_reader *r, struct l2_record *rec, struct l2_err *err)
{
    size_t begin = r->cbor.pos;
    uint32_t bad;
    char id[64];
    if (r->state != OPEN)
        return out_of_place(r, err,
                            r->state == START ? "record before any header"
                                              : "record after END, without a header");
    int rc = l2_read_record(&r->cbor, rec, err);
    if (rc != L2_OK)
        return place_error(r, err);
    size_t size = r->cbor.pos - begin;
    if (size > r->max_record)
        return l2_err_at(err, L2_LIMIT, r->name, r->frame_offset,
                         "record of %zu bytes: want at most %zu (see --max-record)", size,
                         r->max_record);
    if (r->cbor.n > L2_MAX_FRAME && size != r->cbor.n)
        return out_of_place(r, err, "frame of several records is larger than 1 MiB");
    if (r->header.has_vocab && !l2_record_ids_below(rec, r->header.vocab_size, &bad)) {
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_at(err, L2_CORRUPT, r->name, r->frame_offset,
                         "record %s: token %u is not below %u, the vocabulary's size", id,
                         (unsigned)bad, (unsigned)r->header.vocab_size);
    }
    r->records++;
    r->tokens += l2_record_tokens(rec);
    return L2_OK;
}

/* What the end of the input means here. */
static int at_end(struct l2_reader *r, struct l2_err *err)
{
    if (r->state == BETWEEN)
        return L2_END;
    if (r->state == START)
        return l2_err_at(err, L2_TRUNCATED, r->name, r->in.offset,
                         r->in.offset == 0 ? "empty input: want a stream, which has a header"
                                           : "input ends before any header");
    return l2_err_at(err, L2_TRUNCATED, r->name, r->in.offset,
                     "input ends after %llu records without END", (unsigned long long)r->records);
}

static int next_item(struct l2_reader *r, bool wait, enum l2_item *item, struct l2_record *rec,
                     struct l2_err *err)
{
    if (r->cbor.pos == r->cbor.n) {
        int rc = next_frame(r, wait, err);
        if (rc == L2_END)
            return at_end(r, err);
        if (rc != L2_OK)
            return rc;
    }
    bool first = r->cbor.pos == 0;
    int rc = l2_item_kind(r->cbor.data + r->cbor.pos, r->cbor.n - r->cbor.pos, item, err);
    if (rc != L2_OK && r->state == START)
        return frame_error(r, L2_CORRUPT, err, "zstd frame with something else in it");
    if (rc != L2_OK) {
        err->offset += (int64_t)r->cbor.pos; /* of the frame's content, not of the item */
        return place_error(r, err);
    }
    if (*item != L2_ITEM_RECORD && !first)
        return out_of_place(r, err, "header or END is not alone in its frame");
    rc = *item == L2_ITEM_RECORD   ? take_record(r, rec, err)
         : *item == L2_ITEM_HEADER ? take_header(r, err)
                                   : take_end(r, err);
    if (rc == L2_OK)
        r->after_failure = false;
    return rc;
}

int l2_reader_next(struct l2_reader *r, bool wait, enum l2_item *item, struct l2_record *rec,
                   struct l2_err *err)
{
    struct l2_err own;
    if (!err)
        err = &own;
    l2_record_reset(rec);
    if (r->failed) {
        *err = r->error;
        return (int)err->code;
    }
    int rc = next_item(r, wait, item, rec, err);
    if (rc < 0) {
        r->failed = true;
        r->error = *err;
    }
    return rc;
}

/* ---- recovery ---- */

/* True when a frame begins at byte n of the input, or the input ends there. */
static bool frame_follows(struct l2_reader *r, size_t at, struct l2_err *err)
{
    for (;;) {
        struct l2_frame f;
        size_t n;
        const uint8_t *p = l2_input_bytes(&r->in, &n);
        int rc = l2_frame_parse(p + at, n - at, &f);
        if (rc != L2_AGAIN)
            return rc == L2_OK;
        if (l2_input_fill(&r->in, true, err) != L2_OK)
            return n == at;
    }
}

/* Reads the frame at the front of the input, if it is one of 1 MiB at most. L2_OK: content has it,
 * *size is its length. L2_FORMAT: there is none. Other failures are those of reading. */
static int try_frame(struct l2_reader *r, size_t *size, struct l2_err *err)
{
    struct l2_frame f;
    r->frame_offset = r->in.offset;
    int rc = frame_head(r, true, &f, err);
    if (rc == L2_OK && (f.skippable || f.content > L2_MAX_FRAME))
        return L2_FORMAT;
    if (rc == L2_OK)
        rc = check_frame(r, &f, err);
    if (rc == L2_OK)
        rc = frame_length(r, &f, true, size, err);
    if (rc == L2_OK)
        rc = unpack(r, &f, *size, err);
    return rc == L2_OK || rc == L2_SYSTEM || rc == L2_MEMORY ? rc : L2_FORMAT;
}

static bool holds_header(struct l2_reader *r, struct l2_err *err)
{
    enum l2_item kind;
    bool good = l2_item_kind(r->cbor.data, r->cbor.n, &kind, err) == L2_OK &&
                kind == L2_ITEM_HEADER && l2_read_header(&r->cbor, &r->header, err) == L2_OK &&
                check_alone(r, err) == L2_OK;
    r->cbor.pos = 0;
    r->cbor.level = 0;
    r->cbor.keys.len = 0;
    return good;
}

/* Consumes input up to the first byte at which a frame may begin. L2_END: there is none. */
static int find_magic(struct l2_reader *r, struct l2_err *err)
{
    static const uint8_t magic[L2_FRAME_MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
    for (;;) {
        size_t n, i = 0;
        const uint8_t *p = l2_input_bytes(&r->in, &n);
        while (n - i >= sizeof magic && memcmp(p + i, magic, sizeof magic) != 0) {
            const uint8_t *next = memchr(p + i + 1, magic[0], n - i - 1);
            i = next ? (size_t)(next - p) : n;
        }
        l2_input_consume(&r->in, i);
        if (n - i >= sizeof magic)
            return L2_OK;
        int rc = l2_input_fill(&r->in, true, err);
        if (rc == L2_END)
            l2_input_consume(&r->in, n - i);
        if (rc != L2_OK)
            return rc;
    }
}

/* Goes to the next frame that holds a valid header, which is then in content. */
static int find_header(struct l2_reader *r, struct l2_err *err)
{
    for (;;) {
        size_t size;
        int rc = find_magic(r, err);
        if (rc == L2_OK)
            rc = try_frame(r, &size, err);
        if (rc == L2_FORMAT) {
            l2_input_consume(&r->in, 1);
            continue;
        }
        if (rc != L2_OK)
            return rc;
        if (holds_header(r, err))
            return L2_OK; /* consumed when it is delivered */
        l2_input_consume(&r->in, size);
    }
}

int l2_reader_recover(struct l2_reader *r, uint64_t *skipped, struct l2_err *err)
{
    struct l2_err own;
    if (!err)
        err = &own;
    int64_t begin = r->frame_offset;
    *skipped = 0;
    if (!r->failed)
        return L2_OK;
    r->failed = false;
    if (r->header_waits) {
        r->header_waits = false;
        r->state = BETWEEN;
        r->cbor.pos = 0;
        return L2_OK;
    }
    r->cbor.pos = r->cbor.n = 0;
    r->skip = 0;
    /* What is left of the damaged frame. A cut frame takes what follows it for its own, so its
     * length is believed only where it leads to another frame. */
    size_t rest = r->frame_taken ? 0 : r->frame_size;
    bool go_on =
        r->state == OPEN && r->frame_size > 0 && !r->after_failure && frame_follows(r, rest, err);
    r->damaged = true;
    r->after_failure = true;
    int rc = L2_OK;
    if (go_on) {
        l2_input_consume(&r->in, rest);
    } else {
        size_t n;
        (void)l2_input_bytes(&r->in, &n);
        if (n > 0 && !r->frame_taken)
            l2_input_consume(&r->in, 1);
        rc = find_header(r, err);
        r->state = BETWEEN;
        r->cbor.pos = r->cbor.n = 0;
    }
    *skipped = (uint64_t)(r->in.offset - begin);
    return rc;
}
