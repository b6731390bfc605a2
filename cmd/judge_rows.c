/* l2-eval: rows of judgements from JSONL and from streams, and their fields. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <math.h>
#include <string.h>

#include "common/report.h"
#include "stream/json.h"
#include "util/str.h"

bool judge_is_jsonl(const struct judge_in *in, const char *path)
{
    return in->jsonl || l2_ends_in(path, ".jsonl");
}

/* bytes: of the present input. */
static void progress(struct judge_in *in, uint64_t bytes)
{
    if (!in->has_total) {
        in->has_total = true;
        in->total = l2_cli_operand_bytes(in->cli);
    }
    double share = in->total > 0 ? fmin(1, (double)(in->bytes + bytes) / (double)in->total) : -1;
    l2_cli_progress_share(in->cli, share, in->rows, "rows");
}

static int take_line(const char *line, size_t n, const char *name, int64_t number, judge_take *take,
                     void *arg, struct l2_err *err)
{
    json_t *row = NULL;
    int r = l2_json_parse(line, n, name, number, &row, err);
    if (r == L2_OK)
        r = json_is_object(row) ? take(arg, row, err)
                                : l2_err_set(err, L2_FORMAT, "want an object in each line");
    json_decref(row);
    return r;
}

static int read_lines(struct judge_in *in, int fd, const char *name, judge_take *take, void *arg,
                      struct l2_err *err)
{
    struct l2_input input;
    const char *line;
    size_t n;
    bool terminated;
    int r = L2_OK;
    l2_input_init(&input, fd, name);
    for (int64_t number = 1; r == L2_OK; number++) {
        r = l2_input_line(&input, true, L2_MAX_RECORD, &line, &n, &terminated, err);
        if (r != L2_OK || l2_line_is_blank(line, n))
            continue;
        in->rows++;
        r = take_line(line, n, name, number, take, arg, err);
        r = l2_cli_bad_data(in->cli, in->skip_bad, &in->bad, r, name, number, err);
        if (in->cli->progress)
            progress(in, (uint64_t)input.offset);
    }
    in->bytes += (uint64_t)input.offset;
    l2_input_release(&input);
    return r == L2_END ? L2_OK : r;
}

/* What is wrong with a record is told with its id. */
static int take_record(struct judge_in *in, const char *name, const struct l2_record *rec,
                       judge_take_record *take, void *arg, struct l2_err *err)
{
    int r = l2_record_fault(rec, take(arg, rec, err), err);
    return l2_cli_bad_data(in->cli, in->skip_bad, &in->bad, r, name, 0, err);
}

static int check_header(const struct judge_in *in, const struct l2_header *h, const char *name,
                        struct l2_err *err)
{
    if (in->vocab && h->has_vocab &&
        memcmp(h->vocab_hash, l2_vocab_hash(in->vocab), sizeof h->vocab_hash) != 0)
        return l2_err_at(err, L2_CORRUPT, name, -1,
                         "the stream's vocabulary is another one than the one given");
    return L2_OK;
}

int judge_read_records(struct judge_in *in, int fd, const char *name, judge_take_record *take,
                       void *arg, struct l2_err *err)
{
    struct l2_stream_limits limits = {.max_record = (size_t)in->cli->max_record};
    struct l2_reader *reader;
    struct l2_record rec;
    enum l2_item item;
    l2_record_init(&rec);
    int r = l2_reader_new(&reader, fd, name, &limits, err);
    while (r == L2_OK && (r = l2_reader_next(reader, true, &item, &rec, err)) == L2_OK) {
        if (item == L2_ITEM_HEADER) {
            r = check_header(in, l2_reader_header(reader), name, err);
        } else if (item == L2_ITEM_RECORD) {
            in->rows++;
            r = take_record(in, name, &rec, take, arg, err);
            if (in->cli->progress)
                progress(in, l2_reader_offset(reader));
        } else if (item == L2_ITEM_END && !l2_reader_end_item(reader)->complete &&
                   !in->cli->partial) {
            r = l2_err_at(err, L2_TRUNCATED, name, -1, "the stream is not complete: %.300s",
                          l2_reader_end_item(reader)->error);
        }
    }
    if (r == L2_END)
        in->bytes += l2_reader_offset(reader);
    l2_reader_free(reader);
    l2_record_release(&rec);
    return r == L2_END ? L2_OK : r;
}

struct as_json {
    judge_take *take;
    void *arg;
    struct l2_buf text;
};

static int take_as_json(void *arg, const struct l2_record *rec, struct l2_err *err)
{
    struct as_json *a = arg;
    json_t *row = NULL;
    a->text.len = 0;
    int r = l2_record_to_json(&a->text, rec, err);
    if (r == L2_OK)
        r = l2_json_parse((const char *)a->text.data, a->text.len, NULL, 1, &row, err);
    if (r == L2_OK)
        r = a->take(a->arg, row, err);
    json_decref(row);
    return r;
}

int judge_read(struct judge_in *in, const char *path, judge_take *take, void *arg,
               struct l2_err *err)
{
    struct as_json a = {.take = take, .arg = arg};
    const char *name;
    int fd, r = l2_cli_open_input(in->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    r = l2_cli_refuse_terminal(fd, err);
    if (r == L2_OK && judge_is_jsonl(in, path))
        r = read_lines(in, fd, name, take, arg, err);
    else if (r == L2_OK)
        r = judge_read_records(in, fd, name, take_as_json, &a, err);
    l2_buf_release(&a.text);
    l2_cli_close_input(fd);
    return r;
}

int judge_read_operands(struct judge_in *in, judge_take *take, void *arg, struct l2_err *err)
{
    const struct l2_strings *operands = &in->cli->operands;
    int r = operands->n == 0 ? judge_read(in, "-", take, arg, err) : L2_OK;
    for (size_t i = 0; i < operands->n && r == L2_OK; i++)
        r = judge_read(in, operands->v[i], take, arg, err);
    return r;
}

int judge_done(struct judge_in *in, struct l2_err *err)
{
    if (in->cli->progress)
        l2_cli_progress_share(in->cli, 1, in->rows, "rows");
    l2_cli_progress_done(in->cli);
    l2_report_count(in->cli->report, "rows", in->rows);
    l2_report_count(in->cli->report, "bad", in->bad);
    if (in->rows == in->bad)
        return l2_err_set(err, L2_CORRUPT, "the input is empty: nothing to measure");
    return L2_OK;
}

int judge_finish(struct judge_in *in, judge_report *report, void *arg, const json_t *rows,
                 bool as_json, struct l2_err *err)
{
    int r = judge_done(in, err);
    if (r == L2_OK)
        r = report(arg, err);
    return r == L2_OK ? judge_write(in->cli, rows, as_json, err) : r;
}

/* ---- fields ---- */

const json_t *judge_field(const json_t *row, const json_t *answer, const char *name)
{
    const json_t *places[] = {json_object_get(answer, "labels"), answer, row,
                              json_object_get(row, "meta")};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const json_t *v = json_object_get(places[i], name);
        if (v && !json_is_null(v))
            return v;
    }
    return NULL;
}

int judge_number(const json_t *v, const char *name, double *out, struct l2_err *err)
{
    if (!json_is_number(v))
        return l2_err_set(err, L2_FORMAT, "%.64s: want a number", name);
    *out = json_number_value(v);
    return L2_OK;
}

int judge_bool(const json_t *v, const char *name, bool *out, struct l2_err *err)
{
    if (!json_is_boolean(v))
        return l2_err_set(err, L2_FORMAT, "%.64s: want true or false", name);
    *out = json_is_true(v);
    return L2_OK;
}

int judge_score(const json_t *row, const json_t *answer, const char *name, bool *has, double *out,
                struct l2_err *err)
{
    const json_t *v = json_object_get(json_object_get(answer, "scores"), name);
    if (!v)
        v = judge_field(row, answer, name);
    *has = v != NULL;
    *out = NAN;
    return v ? judge_number(v, name, out, err) : L2_OK;
}

int judge_each_score(const json_t *row, const json_t *completions, const char *name,
                     int (*take)(void *arg, double score, struct l2_err *err), void *arg,
                     struct l2_err *err)
{
    const json_t *c;
    size_t i;
    json_array_foreach(completions, i, c)
    {
        bool has;
        double v;
        int r = judge_score(row, c, name, &has, &v, err);
        if (r == L2_OK && !has)
            r = l2_err_set(err, L2_CORRUPT, "completion %zu has no score %.64s", i + 1, name);
        if (r == L2_OK)
            r = take(arg, v, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

int judge_label(const json_t *v, const char *name, char out[256], struct l2_err *err)
{
    if (!v)
        snprintf(out, 256, "-");
    else if (json_is_string(v) && json_string_length(v) < 256 &&
             strlen(json_string_value(v)) == json_string_length(v))
        snprintf(out, 256, "%s", json_string_value(v));
    else if (json_is_integer(v))
        snprintf(out, 256, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, 256, "%.9g", json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(out, 256, "%s", json_is_true(v) ? "true" : "false");
    else
        return l2_err_set(err, L2_FORMAT,
                          "%.64s: want a text of at most 255 bytes, a number, true or false", name);
    return L2_OK;
}
