/* l2-gatt make: training data. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "gatt.h"

#include "common/report.h"

static struct gatt_args args = {
    .brief = 0.5, .template_name = "auto", .sampling = SAMPLING_DEFAULTS};

const struct l2_opt gatt_make_options[] = {
    GATT_OPTIONS(&args),
    L2_OPT_TABLE_END,
};

struct making {
    struct gatt gatt;
    uint64_t left_out;
};

static int check_header(void *arg, const struct l2_header *h, struct l2_err *err)
{
    struct making *m = arg;
    return l2_check_vocab(m->gatt.cli, &m->gatt.loaded, h, err);
}

/* A dialogue without an answer is nothing to learn from. */
static int done(void *arg, struct l2_record *rec, bool *write, struct l2_err *err)
{
    struct making *m = arg;
    (void)rec;
    (void)err;
    *write = l2_gatt_taken(m->gatt.worker)->n > 0;
    m->left_out += !*write;
    return L2_OK;
}

int gatt_run_make(struct l2_cli *cli)
{
    struct making m = {.left_out = 0};
    struct l2_pipe *pipe = NULL;
    struct l2_err err;
    int r = gatt_open(&m.gatt, cli, &args, &err);
    if (r == L2_OK)
        r = gatt_start(&m.gatt, true, &err);
    if (r == L2_OK)
        r = l2_pipe_open_rewriting(&pipe, cli, m.gatt.loaded.kernels, &err);
    if (r == L2_OK) {
        struct l2_run run = {.cli = cli,
                             .pipe = pipe,
                             .worker = m.gatt.worker,
                             .header = check_header,
                             .done = done,
                             .arg = &m};
        l2_run_worker(&run);
        gatt_report(&m.gatt);
        if (m.left_out > 0)
            l2_report_count(cli->report, "left_out", m.left_out);
    }
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    gatt_close(&m.gatt);
    return status;
}
