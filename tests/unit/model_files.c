/* Small checkpoints for unit tests of the readers. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"
#include "scratch.h"

char *model_golden(const char *name, size_t *n)
{
    char path[SCRATCH_PATH];
    snprintf(path, sizeof path, "tests/golden/checkpoint/%s", name);
    return scratch_read(source_path(path), n);
}

void model_copy(const char *to, const char *dir, const char *name)
{
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *data = model_golden(path, &n);
    scratch_write(to, name, data, n);
    free(data);
}

int model_try(const char *path, struct l2_err *err)
{
    struct l2_model *m;
    int r = l2_model_open(&m, path, err);
    assert_int_equal(r == L2_OK, m != NULL);
    l2_model_close(m);
    return r;
}

void assert_model_fails(const char *path, int code, const char *text)
{
    struct l2_err err;
    char line[1024];
    int r = model_try(path, &err);
    if (r == L2_OK)
        fail_msg("%s: opened, want \"%s\"", path, text);
    l2_err_format(&err, line, sizeof line);
    if (r != code || !strstr(line, text))
        fail_msg("want code %d and \"%s\", got %d: %s", code, text, r, line);
}

static const char base_config[] =
    "\"hidden_size\": 8, \"intermediate_size\": 6, "
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
    "\"vocab_size\": 10, \"max_position_embeddings\": 12, \"rms_norm_eps\": 1e-5";

void model_write_config(const char *dir, const char *more)
{
    char text[2048];
    const char *arch =
        strstr(more, "\"architectures\"")
            ? ""
            : "\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", ";
    snprintf(text, sizeof text, "{%s%s%s%s}", arch, base_config, more[0] ? ", " : "", more);
    scratch_write_str(dir, "config.json", text);
}
