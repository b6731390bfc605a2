/* l2-model show. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <unistd.h>

#include "common/modelshow.h"
#include "model_options.h"
#include "text/template.h"

static struct {
    bool json;
    bool template_text;
    struct model_count batch, positions;
    int kv_type; /* that memory is told for */
} opts = {.kv_type = L2_KV_BF16};

const struct l2_opt model_show_options[] = {
    {.name = "json", .kind = L2_OPT_FLAG, .target = &opts.json, .help = "print one JSON object"},
    {.name = "template",
     .kind = L2_OPT_FLAG,
     .target = &opts.template_text,
     .help = "print the text of the chat template, and nothing else"},
    OPT_COUNT("positions", positions, INT32_MAX,
              "positions of each sequence that the memory is for; the context by default"),
    OPT_COUNT("batch", batch, INT32_MAX, "sequences that the memory is for; 1 by default"),
    OPT_KV_TYPE(kv_type, "how their keys and values are kept: f32, bf16 or q8"),
    L2_OPT_TABLE_END,
};

/* The chat template of the model: its text, and its name, NULL where there is none. */
static int find_template(struct l2_buf *text, const char **name, const struct l2_model *m,
                         struct l2_err *err)
{
    bool found;
    *name = NULL;
    int r = l2_template_text(text, &found, m->vocab_path ? m->vocab_path : m->path, err);
    if (r == L2_OK && found) {
        const struct l2_template *t = l2_template_recognise((const char *)text->data, text->len);
        *name = t ? l2_template_name(t) : "unrecognised";
    }
    return r;
}

int model_run_show(struct l2_cli *cli)
{
    struct l2_model *m = NULL;
    struct l2_vocab *vocab = NULL;
    struct l2_buf out = {0}, chat = {0};
    struct l2_err err;
    const char *path = model_operand(cli, "model"), *template = NULL;
    const struct l2_modelshow_load load = {
        .kv_type = (enum l2_kv_type)opts.kv_type,
        .positions = opts.positions.given ? (uint32_t)opts.positions.value : 0,
        .batch = opts.batch.given ? (uint32_t)opts.batch.value : 1};
    if (!path)
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK && m->vocab_path)
        r = l2_vocab_open(&vocab, m->vocab_path, &err);
    if (r == L2_OK)
        r = find_template(&chat, &template, m, &err);
    if (r == L2_OK && opts.template_text && !template)
        r = l2_err_at(&err, L2_ARGUMENT, path, -1, "has no chat template");
    if (r == L2_OK && !opts.template_text)
        r = opts.json ? l2_modelshow_json(&out, m, vocab, template, &load, &err)
                      : l2_modelshow_text(&out, m, vocab, template, &load, &err);
    const struct l2_buf *shown = opts.template_text ? &chat : &out;
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", shown->data, shown->len, &err);
    l2_buf_release(&chat);
    l2_buf_release(&out);
    l2_vocab_free(vocab);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}
