/* Chat templates: the table of them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/template.h"

#include <string.h>

#include "text/template_impl.h"

static const struct l2_header_form llama3 = {.open = "<|start_header_id|>",
                                             .close = "<|end_header_id|>",
                                             .between = "\n\n",
                                             .end = "<|eot_id|>",
                                             .after = "",
                                             .strips = true,
                                             .bos = true};
static const struct l2_header_form chatml = {
    .open = "<|im_start|>", .between = "\n", .end = "<|im_end|>", .after = "\n"};
static const struct l2_header_form zephyr = {.between = "\n", .after = "\n"};

static const struct l2_template templates[] = {
    {"chatml", l2_headed_prompt, l2_headed_completion, &chatml},
    {"llama2", l2_inst_llama2_prompt, l2_inst_llama2_completion, NULL},
    {"llama3", l2_headed_prompt, l2_headed_completion, &llama3},
    {"mistral", l2_inst_mistral_prompt, l2_inst_mistral_completion, NULL},
    {"zephyr", l2_headed_prompt, l2_headed_completion, &zephyr},
};

const struct l2_template *l2_template_find(const char *name)
{
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return NULL;
}

const char *l2_template_name(const struct l2_template *t)
{
    return t->name;
}

const char *l2_template_names(void)
{
    return "chatml, llama2, llama3, mistral, zephyr";
}

int l2_template_prompt(const struct l2_template *t, struct l2_encoder *e,
                       const struct l2_turn *turns, size_t n, struct l2_ids *out,
                       struct l2_ids *spans, struct l2_err *err)
{
    struct l2_render r = {
        .t = t, .v = l2_encoder_vocab(e), .e = e, .out = out, .spans = spans, .base = out->n};
    int code = t->prompt(&r, turns, n, err);
    l2_buf_release(&r.text);
    return code;
}

int l2_template_completion(const struct l2_template *t, struct l2_encoder *e,
                           const struct l2_turn *turns, size_t n, bool with_eos, struct l2_ids *out,
                           struct l2_ids *spans, struct l2_err *err)
{
    struct l2_render r = {
        .t = t, .v = l2_encoder_vocab(e), .e = e, .out = out, .spans = spans, .base = out->n};
    int code = t->completion(&r, turns, n, with_eos, err);
    l2_buf_release(&r.text);
    return code;
}
