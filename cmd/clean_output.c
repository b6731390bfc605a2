/* What l2-clean writes: lines, paragraphs, JSONL or a stream, and the copies of sources with a
 * weight above one. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "clean.h"
#include "data/shape.h"
#include "stream/json.h"
#include "util/num.h"

/* Written when this much is there. */
#define ENOUGH ((size_t)256 << 10)

/* A text-only stream has no vocabulary; its history is those of the streams that are read, as far
 * as they are known, and this run. */
static int open_stream(struct cleaning *c, struct l2_err *err)
{
    struct l2_header h;
    l2_header_init(&h);
    int r = l2_pipe_open_output(&c->pipe, c->cli, &h, NULL, err);
    for (size_t i = 0; i < c->n_sources && r == L2_OK; i++)
        if (c->sources[i].form == CLEAN_STREAM)
            r = l2_pipe_join_ahead(c->pipe, c->sources[i].path, err);
    l2_header_release(&h);
    return r;
}

int clean_output_open(struct cleaning *c, struct l2_err *err)
{
    c->fd = -1;
    if (c->to == CLEAN_STREAM)
        return open_stream(c, err);
    return l2_cli_open_output(c->cli, false, &c->fd, &c->out_name, err);
}

static int flush(struct cleaning *c, struct l2_err *err)
{
    int r = c->out.len > 0 ? l2_cli_write(c->fd, c->out_name, c->out.data, c->out.len, err) : L2_OK;
    c->out.len = 0;
    return r;
}

/* ---- forms ---- */

/* The byte behind the string that begins at row[begin]. */
static size_t string_end(const char *row, size_t n, size_t begin)
{
    size_t i = begin + 1;
    while (i < n && row[i] != '"')
        i += row[i] == '\\' ? 2 : 1;
    return i < n ? i + 1 : n;
}

/* Where character `column` (from 1) of the row begins. */
static size_t byte_of_column(const char *row, size_t n, int64_t column)
{
    size_t i = 0;
    while (i < n) {
        if (((unsigned char)row[i] & 0xc0) != 0x80 && --column == 0)
            return i;
        i++;
    }
    return n;
}

/* The row as it was, but for its text. */
static int put_row(const struct clean_doc *doc, const struct l2_cleaned *text, struct l2_buf *out,
                   struct l2_err *err)
{
    static const struct l2_json_step steps[] = {{.key = "text"}};
    if (!text->changed)
        return l2_buf_append(out, doc->row, doc->row_n, err);
    int64_t column = l2_json_column(doc->row, doc->row_n, steps, 1);
    size_t begin = byte_of_column(doc->row, doc->row_n, column);
    size_t end = string_end(doc->row, doc->row_n, begin);
    int r = l2_buf_append(out, doc->row, begin, err);
    if (r == L2_OK)
        r = l2_json_put_str(out, text->text, text->n, err);
    return r == L2_OK ? l2_buf_append(out, doc->row + end, doc->row_n - end, err) : r;
}

static int put_new_row(const struct clean_doc *doc, const struct l2_cleaned *text,
                       struct l2_buf *out, struct l2_err *err)
{
    int r = l2_buf_append_str(out, "{\"id\":", err);
    if (r == L2_OK)
        r = l2_json_put_id(out, &doc->id, err);
    if (r == L2_OK)
        r = l2_buf_append_str(out, ",\"text\":", err);
    if (r == L2_OK)
        r = l2_json_put_str(out, text->text, text->n, err);
    return r == L2_OK ? l2_buf_append_byte(out, '}', err) : r;
}

/* Every field of the row but id and text as meta, or its own object of that name. */
static int row_meta(struct l2_record *rec, const json_t *row, struct l2_err *err)
{
    static const char *const taken[] = {"id", "text"};
    const json_t *own = json_object_get(row, "meta");
    if (json_is_object(own) && json_object_size(row) <= 3 - !json_object_get(row, "id"))
        return l2_json_to_meta(own, NULL, 0, rec, err);
    return l2_json_to_meta(row, taken, 2, rec, err);
}

/* A record of one completion that is text. */
static int make_record(struct cleaning *c, const struct clean_source *s,
                       const struct clean_doc *doc, const struct l2_cleaned *text,
                       struct l2_err *err)
{
    static const char *const shapes[] = {[CLEAN_LINES] = "lines", [CLEAN_JSONL] = "text"};
    const char *shape = s->form == CLEAN_LINES ? shapes[CLEAN_LINES] : "text";
    struct l2_record *rec = &c->rec;
    l2_record_reset(rec);
    rec->id = doc->id;
    struct l2_completion *one = l2_record_add_completion(rec, err);
    if (!one)
        return L2_MEMORY;
    int r = l2_record_str(rec, shape, strlen(shape), &rec->shape, err);
    if (r == L2_OK)
        r = l2_record_str(rec, text->text, text->n, &one->text, err);
    if (r == L2_OK && doc->json)
        r = row_meta(rec, doc->json, err);
    return r;
}

/* *rec is the document as a record: its own, or one that is made. */
static int to_record(struct cleaning *c, const struct clean_source *s, const struct clean_doc *doc,
                     const struct l2_cleaned *text, const struct l2_record **rec,
                     struct l2_err *err)
{
    *rec = doc->rec;
    if (doc->rec) {
        doc->rec->completions[0].text = (struct l2_str){text->text, text->n};
        return L2_OK;
    }
    *rec = &c->rec;
    return make_record(c, s, doc, text, err);
}

/* Appends the document in the form of the output, or of a stream's spool. */
static int put_text(struct cleaning *c, const struct clean_source *s, const struct clean_doc *doc,
                    const struct l2_cleaned *text, struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    if (c->to == CLEAN_LINES && memchr(text->text, '\n', text->n))
        return l2_err_set(err, L2_FORMAT, "%s: a text with line feeds is no line: say --to jsonl",
                          doc->place);
    if (c->to == CLEAN_LINES || c->to == CLEAN_PARAGRAPHS)
        r = l2_buf_append(out, text->text, text->n, err);
    else if (doc->row)
        r = put_row(doc, text, out, err);
    else if (doc->rec) {
        const struct l2_record *rec;
        r = to_record(c, s, doc, text, &rec, err);
        if (r == L2_OK)
            r = l2_shape_to_json(NULL, rec, out, err);
    } else
        r = put_new_row(doc, text, out, err);
    if (r == L2_OK && c->to == CLEAN_PARAGRAPHS &&
        !(text->n > 0 && text->text[text->n - 1] == '\n'))
        r = l2_buf_append_byte(out, '\n', err);
    return r == L2_OK ? l2_buf_append_byte(out, '\n', err) : r;
}

/* ---- copies ---- */

/* An entry of the spool: length and copies that are left as 4 bytes each, and the bytes. */
static int spool_put(struct clean_source *s, const void *data, size_t n, uint32_t copies,
                     struct l2_err *err)
{
    uint8_t head[8];
    if (n > UINT32_MAX)
        return l2_err_set(err, L2_LIMIT, "document of more than 4 GiB");
    if (!s->spool && !(s->spool = tmpfile()))
        return l2_err_sys(err, errno, NULL, "cannot make a temporary file for copies");
    l2_put_u32le(head, (uint32_t)n);
    l2_put_u32le(head + 4, copies);
    if (fwrite(head, sizeof head, 1, s->spool) != 1 || (n > 0 && fwrite(data, n, 1, s->spool) != 1))
        return l2_err_sys(err, errno, NULL, "cannot write the temporary file of copies");
    s->spool_size += sizeof head + n;
    return L2_OK;
}

static int spool_get(struct clean_source *s, struct l2_buf *to, uint32_t *copies,
                     struct l2_err *err)
{
    uint8_t head[8];
    to->len = 0;
    if (fread(head, sizeof head, 1, s->spool) != 1)
        return ferror(s->spool) ? l2_err_sys(err, errno, NULL, "cannot read the temporary file")
                                : L2_END;
    size_t n = l2_get_u32le(head);
    *copies = l2_get_u32le(head + 4);
    int r = l2_buf_reserve(to, n + 1, err);
    if (r == L2_OK && n > 0 && fread(to->data, n, 1, s->spool) != 1)
        r = l2_err_sys(err, errno, NULL, "cannot read the temporary file");
    to->len = r == L2_OK ? n : 0;
    s->spool_read += sizeof head + n;
    return r;
}

static int put_spooled(struct cleaning *c, const struct l2_buf *entry, struct l2_err *err)
{
    enum l2_item kind;
    if (c->to != CLEAN_STREAM) {
        int r = l2_buf_append(&c->out, entry->data, entry->len, err);
        return r == L2_OK && c->out.len >= ENOUGH ? flush(c, err) : r;
    }
    struct l2_json_line line = {.text = (const char *)entry->data, .n = entry->len, .line = 1};
    int r = l2_json_read_item(&line, &kind, &c->rec, NULL, NULL, err);
    return r == L2_OK ? l2_pipe_put(c->pipe, &c->rec, err) : r;
}

int clean_output_put(struct cleaning *c, struct clean_source *s, const struct clean_doc *doc,
                     const struct l2_cleaned *text, uint32_t copies, struct l2_err *err)
{
    const struct l2_record *rec;
    struct l2_buf json = {0};
    int r = L2_OK;
    if (copies == 0)
        return L2_OK;
    s->n_written += copies;
    s->bytes_written += text->n * (uint64_t)copies;
    if (c->to == CLEAN_STREAM) {
        r = to_record(c, s, doc, text, &rec, err);
        if (r == L2_OK)
            r = l2_pipe_put(c->pipe, rec, err);
        if (r == L2_OK && copies > 1 && (r = l2_record_to_json(&json, rec, err)) == L2_OK)
            r = spool_put(s, json.data, json.len, copies - 1, err);
        l2_buf_release(&json);
        return r;
    }
    size_t begin = c->out.len;
    r = put_text(c, s, doc, text, &c->out, err);
    if (r == L2_OK && copies > 1)
        r = spool_put(s, c->out.data + begin, c->out.len - begin, copies - 1, err);
    return r == L2_OK && c->out.len >= ENOUGH ? flush(c, err) : r;
}

static double spool_share(const struct clean_source *s)
{
    if (!s->spool || s->spool_read >= s->spool_size)
        return 2;
    return (double)s->spool_read / (double)s->spool_size;
}

size_t clean_pick(const struct cleaning *c, bool interleave,
                  double (*share)(const struct clean_source *s))
{
    size_t best = c->n_sources;
    double least = 1.5;
    for (size_t i = 0; i < c->n_sources; i++) {
        double behind = share(&c->sources[i]);
        if (behind >= least)
            continue;
        best = i;
        least = behind;
        if (!interleave || behind < 0)
            break;
    }
    return best;
}

/* One round writes one more copy of all documents that have as many. */
int clean_output_copies(struct cleaning *c, bool interleave, struct l2_err *err)
{
    struct l2_buf entry = {0};
    bool more = true;
    int r = L2_OK;
    for (uint32_t round = 1; more && r == L2_OK; round++) {
        size_t i;
        more = false;
        for (i = 0; i < c->n_sources; i++) {
            struct clean_source *s = &c->sources[i];
            s->spool_read = 0;
            if (s->spool && fseek(s->spool, 0, SEEK_SET) != 0)
                r = l2_err_sys(err, errno, NULL, "cannot go back in the temporary file");
        }
        while (r == L2_OK && (i = clean_pick(c, interleave, spool_share)) < c->n_sources) {
            uint32_t copies = 0;
            r = spool_get(&c->sources[i], &entry, &copies, err);
            if (r == L2_OK && copies >= round)
                r = put_spooled(c, &entry, err);
            more = more || copies > round;
            if (r == L2_END)
                r = l2_err_set(err, L2_TRUNCATED, "the temporary file of copies was cut");
        }
    }
    l2_buf_release(&entry);
    return r;
}

void clean_output_close(struct cleaning *c, const struct l2_err *failed)
{
    struct l2_err err;
    bool broken = failed && failed->code == L2_SYSTEM && failed->sys_errno == EPIPE;
    if (c->to == CLEAN_STREAM) {
        if (failed && c->pipe)
            l2_pipe_fail(c->pipe, failed);
        else if (failed)
            (void)l2_cli_error(c->cli, failed);
        (void)l2_pipe_close(c->pipe);
        return;
    }
    if (failed)
        (void)l2_cli_error(c->cli, failed);
    if (c->fd < 0)
        return;
    if (!broken && flush(c, &err) != L2_OK && !failed)
        (void)l2_cli_error(c->cli, &err);
    if (l2_cli_close_output(c->cli, c->fd, c->out_name, &err) != L2_OK && !failed)
        (void)l2_cli_error(c->cli, &err);
}
