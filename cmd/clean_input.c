/* Documents out of text, lines, paragraphs, JSONL and text-only streams. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clean.h"
#include "stream/json.h"

int clean_source_open(struct cleaning *c, struct clean_source *s, struct l2_err *err)
{
    struct l2_stream_limits limits = {.max_record = (size_t)c->cli->max_record};
    struct stat st;
    l2_record_init(&s->rec);
    int r = l2_cli_open_input(c->cli, s->path, &s->fd, &s->name, err);
    if (r != L2_OK)
        return r;
    if (!c->cli->output &&
        (r = l2_cli_refuse_same_file(s->fd, s->name, STDOUT_FILENO, err)) != L2_OK)
        return r;
    s->size = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (s->form != CLEAN_STREAM) {
        l2_input_init(&s->in, s->fd, s->name);
        return L2_OK;
    }
    return l2_reader_new(&s->reader, s->fd, s->name, &limits, err);
}

void clean_source_close(struct clean_source *s)
{
    json_decref(s->json);
    s->json = NULL;
    l2_reader_free(s->reader);
    s->reader = NULL;
    l2_record_release(&s->rec);
    l2_buf_release(&s->text);
    l2_input_release(&s->in);
    if (s->fd >= 0)
        l2_cli_close_input(s->fd);
    s->fd = -1;
    if (s->spool)
        fclose(s->spool);
    s->spool = NULL;
}

double clean_source_share(const struct clean_source *s)
{
    uint64_t at = s->reader ? l2_reader_offset(s->reader) : (uint64_t)s->in.offset;
    if (s->at_end)
        return 2;
    return s->size > 0 ? (double)at / (double)s->size : -1;
}

/* The next number, or with --id-prefix the prefix and the number. */
static int number_doc(struct cleaning *c, struct l2_id *id, struct l2_err *err)
{
    uint64_t number = c->counter++;
    if (!c->cli->id_prefix) {
        *id = (struct l2_id){.number = (int64_t)number};
        return L2_OK;
    }
    c->id.len = 0;
    int r = l2_buf_printf(&c->id, err, "%s%llu", c->cli->id_prefix, (unsigned long long)number);
    *id = (struct l2_id){.is_text = true, .text = {(char *)c->id.data, c->id.len}};
    return r;
}

static void place(const struct clean_source *s, int64_t line, struct clean_doc *doc)
{
    snprintf(doc->place, sizeof doc->place, "%.250s:%lld", s->name, (long long)line);
}

/* ---- text ---- */

static int next_text(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                     struct l2_err *err)
{
    size_t n;
    int r = L2_OK;
    if (s->line > 0)
        return L2_END;
    while (r == L2_OK) {
        (void)l2_input_bytes(&s->in, &n);
        if (n > c->max_text)
            return l2_err_at(err, L2_LIMIT, s->name, -1, "text of more than %zu bytes",
                             c->max_text);
        r = l2_input_fill(&s->in, true, err);
    }
    if (r != L2_END)
        return r;
    s->line = 1;
    doc->text = (const char *)l2_input_bytes(&s->in, &doc->n);
    l2_input_consume(&s->in, doc->n);
    snprintf(doc->place, sizeof doc->place, "%.290s", s->name);
    return number_doc(c, &doc->id, err);
}

static int next_line(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                     struct l2_err *err)
{
    bool terminated;
    int r = l2_input_line(&s->in, true, c->max_text, &doc->text, &doc->n, &terminated, err);
    if (r != L2_OK)
        return r;
    if (doc->n > 0 && doc->text[doc->n - 1] == '\r')
        doc->n--;
    place(s, ++s->line, doc);
    return number_doc(c, &doc->id, err);
}

/* Lines up to an empty one. */
static int next_paragraph(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                          struct l2_err *err)
{
    const char *line;
    size_t n;
    bool terminated;
    int r;
    s->text.len = 0;
    while ((r = l2_input_line(&s->in, true, c->max_text, &line, &n, &terminated, err)) == L2_OK) {
        s->line++;
        if (l2_line_is_blank(line, n)) {
            if (s->text.len > 0)
                break;
            continue;
        }
        if (s->text.len == 0)
            place(s, s->line, doc);
        else if ((r = l2_buf_append_byte(&s->text, '\n', err)) != L2_OK)
            return r;
        r = l2_buf_append(&s->text, line, n, err);
        if (r != L2_OK)
            return r;
        if (s->text.len > c->max_text)
            return l2_err_at_line(err, L2_LIMIT, s->name, s->line, 0,
                                  "paragraph of more than %zu bytes", c->max_text);
    }
    if (r != L2_OK && !(r == L2_END && s->text.len > 0))
        return r;
    doc->text = (const char *)s->text.data;
    doc->n = s->text.len;
    return number_doc(c, &doc->id, err);
}

/* ---- JSONL ---- */

static int row_id(struct cleaning *c, const json_t *row, struct l2_id *id, struct l2_err *err)
{
    const json_t *own = json_object_get(row, "id");
    int r = number_doc(c, id, err); /* counts rows with an id of their own, too */
    if (json_is_string(own))
        *id = (struct l2_id){.is_text = true,
                             .text = {json_string_value(own), json_string_length(own)}};
    else if (json_is_integer(own))
        *id = (struct l2_id){.number = json_integer_value(own)};
    else if (own)
        return l2_err_set(err, L2_FORMAT, "id: want a string or an integer");
    return r;
}

static int next_row(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                    struct l2_err *err)
{
    bool terminated;
    int r;
    do {
        r = l2_input_line(&s->in, true, c->max_text, &doc->row, &doc->row_n, &terminated, err);
        if (r != L2_OK)
            return r;
        s->line++;
    } while (l2_line_is_blank(doc->row, doc->row_n));
    if (doc->row[doc->row_n - 1] == '\r')
        doc->row_n--;
    json_decref(s->json);
    s->json = NULL;
    r = l2_json_parse(doc->row, doc->row_n, s->name, s->line, &s->json, err);
    if (r != L2_OK)
        return r;
    const json_t *text = json_object_get(s->json, "text");
    if (!json_is_string(text))
        return l2_err_at_line(err, L2_FORMAT, s->name, s->line, 1,
                              "want an object with a string \"text\"%s",
                              json_is_object(s->json) ? ", got one without" : "");
    doc->json = s->json;
    doc->text = json_string_value(text);
    doc->n = json_string_length(text);
    place(s, s->line, doc);
    r = row_id(c, s->json, &doc->id, err);
    return r < 0 && err->code == L2_FORMAT
               ? l2_err_at_line(err, L2_FORMAT, s->name, s->line, 1, "%s", err->text)
               : r;
}

/* ---- streams ---- */

static int next_record(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                       struct l2_err *err)
{
    enum l2_item item;
    int r;
    while ((r = l2_reader_next(s->reader, true, &item, &s->rec, err)) == L2_OK) {
        const struct l2_stream_end *end = l2_reader_end_item(s->reader);
        if (item == L2_ITEM_HEADER && l2_reader_header(s->reader)->has_vocab)
            return l2_err_at(err, L2_FORMAT, s->name, -1,
                             "the stream holds token ids: text is cleaned before it is tokenised");
        if (item == L2_ITEM_HEADER && c->pipe &&
            (r = l2_pipe_join_history(c->pipe, l2_reader_header(s->reader), err)) != L2_OK)
            return r;
        if (item == L2_ITEM_END && !end->complete)
            return l2_err_at(err, L2_TRUNCATED, s->name, -1, "the stream is marked incomplete: %s",
                             end->error);
        if (item == L2_ITEM_RECORD)
            break;
    }
    if (r != L2_OK)
        return r;
    s->line++;
    l2_id_format(&s->rec.id, doc->place, sizeof doc->place);
    if (s->rec.n_completions != 1 || !s->rec.completions[0].text.s)
        return l2_err_at(err, L2_FORMAT, s->name, -1,
                         "record %s: want one completion with text, as in a text-only stream",
                         doc->place);
    doc->rec = &s->rec;
    doc->id = s->rec.id;
    doc->text = s->rec.completions[0].text.s;
    doc->n = s->rec.completions[0].text.n;
    return L2_OK;
}

int clean_source_next(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                      struct l2_err *err)
{
    int r = L2_END;
    doc->row = NULL;
    doc->json = NULL;
    doc->rec = NULL;
    doc->text = "";
    doc->n = 0;
    switch (s->form) {
    case CLEAN_STREAM:
        r = next_record(c, s, doc, err);
        break;
    case CLEAN_TEXT:
        r = next_text(c, s, doc, err);
        break;
    case CLEAN_LINES:
        r = next_line(c, s, doc, err);
        break;
    case CLEAN_PARAGRAPHS:
        r = next_paragraph(c, s, doc, err);
        break;
    case CLEAN_JSONL:
        r = next_row(c, s, doc, err);
        break;
    }
    if (r != L2_OK)
        s->at_end = true;
    return r < 0 ? l2_err_in_file(err, s->name) : r;
}
