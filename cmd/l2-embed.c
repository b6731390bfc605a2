/* l2-embed: pooled hidden states of records, into the records or as an .npy matrix. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/modelopt.h"
#include "common/npy.h"
#include "common/run.h"
#include "sample/embed.h"
#include "stream/json.h"

static const char *const poolings[] = {"last", "mean", "none", NULL};

static struct {
    int pooling;
    int64_t layer;
    bool normalize;
    const char *npy;
    const char *ids;
} opts;

static const struct l2_opt options[] = {
    {.name = "pooling",
     .kind = L2_OPT_CHOICE,
     .arg = "HOW",
     .help = "last: the last token's hidden state; mean: the mean over all tokens of prompt and "
             "completion; none: one for every token",
     .choices = poolings,
     .target = &opts.pooling},
    {.name = "layer",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help =
         "take the output of layer N, counted from 1; 0: of the last layer, after the final norm",
     .target = &opts.layer,
     .min = 0,
     .max = 65535},
    {.name = "normalize",
     .kind = L2_OPT_FLAG,
     .help = "scale each vector to length 1",
     .target = &opts.normalize},
    {.name = "npy",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "write the vectors as the rows of a float32 matrix to FILE, and no records",
     .is_path = true,
     .target = &opts.npy},
    {.name = "ids",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "with --npy: write a line of JSON for each row that says what it belongs to",
     .is_path = true,
     .target = &opts.ids},
    L2_OPT_TABLE_END,
};

struct embedding {
    struct l2_cli *cli;
    struct l2_loaded loaded;
    struct l2_npy npy;
    int npy_fd, ids_fd; /* -1 without --npy */
};

static int check_header(void *arg, const struct l2_header *h, struct l2_err *err)
{
    struct embedding *e = arg;
    return l2_check_vocab(e->cli, &e->loaded, h, err);
}

/* {"id": ..., "completion": c, "position": p}, as far as they say something. */
static int put_id_line(struct l2_buf *line, const struct l2_record *rec, size_t completion,
                       bool has_position, size_t position, struct l2_err *err)
{
    int r = l2_buf_append_str(line, "{\"id\":", err);
    if (r == L2_OK)
        r = l2_json_put_id(line, &rec->id, err);
    if (r == L2_OK && rec->n_completions > 0)
        r = l2_buf_printf(line, err, ",\"completion\":%zu", completion);
    if (r == L2_OK && has_position)
        r = l2_buf_printf(line, err, ",\"position\":%zu", position);
    return r == L2_OK ? l2_buf_append_str(line, "}\n", err) : r;
}

static int write_rows(struct embedding *e, const struct l2_record *rec, size_t completion,
                      const struct l2_f32s *embedding, size_t rows, struct l2_err *err)
{
    struct l2_buf lines = {0};
    size_t n = rows > 0 ? rows : 1;
    if (!embedding->v)
        return L2_OK;
    int r = l2_npy_rows(&e->npy, embedding->v, n, err);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = put_id_line(&lines, rec, completion, rows > 0, i, err);
    if (r == L2_OK)
        r = l2_cli_write(e->ids_fd, opts.ids, lines.data, lines.len, err);
    l2_buf_release(&lines);
    return r;
}

static int take_record(void *arg, struct l2_record *rec, bool *write, struct l2_err *err)
{
    struct embedding *e = arg;
    int r = L2_OK;
    if (e->npy_fd < 0)
        return L2_OK;
    *write = false;
    if (rec->n_completions == 0)
        return write_rows(e, rec, 0, &rec->embedding, rec->embedding_rows, err);
    for (size_t c = 0; c < rec->n_completions && r == L2_OK; c++)
        r = write_rows(e, rec, c, &rec->completions[c].embedding,
                       rec->completions[c].embedding_rows, err);
    return r;
}

static int open_npy(struct embedding *e, struct l2_err *err)
{
    int r = l2_cli_create(e->cli, opts.npy, true, &e->npy_fd, err);
    if (r == L2_OK)
        r = l2_npy_begin(&e->npy, e->npy_fd, opts.npy, e->loaded.model->hp.dim, err);
    if (r == L2_OK)
        r = l2_cli_create(e->cli, opts.ids, false, &e->ids_fd, err);
    return r;
}

static int close_npy(struct embedding *e, struct l2_err *err)
{
    int r = l2_npy_end(&e->npy, err);
    int closed = l2_cli_close_output(e->cli, e->npy_fd, opts.npy, err);
    if (r == L2_OK)
        r = closed;
    closed = l2_cli_close_output(e->cli, e->ids_fd, opts.ids, err);
    if (r == L2_OK)
        json_object_set_new(e->cli->report, "rows", json_integer((json_int_t)e->npy.n_rows));
    return r == L2_OK ? closed : r;
}

static int embed_streams(struct embedding *e, struct l2_err *err)
{
    struct l2_worker *worker = NULL;
    struct l2_pipe *pipe = NULL;
    struct l2_embed_opts eo = {
        .pooling = (enum l2_pooling)opts.pooling,
        .normalize = opts.normalize,
        .overlong = (enum l2_overlong)e->cli->model.overlong,
    };
    int r = l2_embedder_new(&worker, e->loaded.engine, &eo, err);
    if (r == L2_OK && opts.npy)
        r = open_npy(e, err);
    if (r == L2_OK)
        r = opts.npy ? l2_pipe_open_input(&pipe, e->cli, err)
                     : l2_pipe_open(&pipe, e->cli, false, e->loaded.kernels, err);
    if (r == L2_OK) {
        struct l2_run run = {.cli = e->cli,
                             .pipe = pipe,
                             .worker = worker,
                             .header = check_header,
                             .done = take_record,
                             .arg = e};
        l2_run_worker(&run);
        if (opts.npy)
            r = close_npy(e, err);
    }
    if (worker)
        worker->ops->free(worker);
    return r;
}

static int run(struct l2_cli *cli)
{
    struct embedding e = {.cli = cli, .npy_fd = -1, .ids_fd = -1};
    struct l2_err err;
    if (!opts.npy != !opts.ids)
        return l2_cli_usage(cli, "--npy and --ids go together");
    if (opts.npy && cli->output)
        return l2_cli_usage(cli, "--npy writes no records: it does not go with -o");
    if (opts.npy && cli->resume)
        return l2_cli_usage(cli, "--resume goes on with records: it does not go with --npy");
    int r = l2_load(&e.loaded, cli, &cli->model, (uint32_t)cli->model.batch, (uint32_t)opts.layer,
                    &err);
    if (r == L2_OK)
        r = embed_streams(&e, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    l2_unload(&e.loaded);
    return status;
}

static const char *const usage[] = {"-m MODEL [OPTION]... [FILE]...",
                                    "-m MODEL --npy FILE --ids FILE [OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-embed",
        .usage = usage,
        .summary = "Add the pooled hidden states of a model to records, or write them as a matrix.",
        .options = options,
        .rows = L2_ROWS_FILTER | L2_ROWS_RESUME | L2_ROWS_THREADS | L2_ROWS_MODEL,
        .backends = l2_model_backends,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
