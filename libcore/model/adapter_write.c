/* Writing adapters as PEFT reads them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/adapter_state.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "model/newdir.h"
#include "model/safetensors.h"
#include "util/num.h"

#define COPY ((size_t)4096) /* values at a time */

/* One tensor of the file. */
struct piece {
    char name[192];
    const float *values;
    uint32_t rows, cols;
};

/* Calls fn for all tensors in the order of the file, until one fails. */
static int each_piece(const struct l2_hparams *hp, const struct l2_adapter_source *s,
                      int (*fn)(void *, const struct piece *, struct l2_err *), void *arg,
                      struct l2_err *err)
{
    struct piece p;
    int r = L2_OK;
    for (uint32_t layer = 0; layer < hp->n_layers; layer++)
        for (int i = 0; i < L2_N_ROLES && r == L2_OK; i++) {
            enum l2_role role = (enum l2_role)i;
            const float *ab[2];
            uint32_t rows, cols;
            if (!l2_adapter_role(role) || !s->at(s->arg, role, layer, &ab[0], &ab[1]))
                continue;
            l2_role_shape(hp, role, &rows, &cols);
            for (int k = 0; k < 2 && r == L2_OK; k++) {
                l2_adapter_name(role, layer, "AB"[k], p.name, sizeof p.name);
                p.values = ab[k];
                p.rows = k == 0 ? s->rank : rows;
                p.cols = k == 0 ? cols : s->rank;
                r = fn(arg, &p, err);
            }
        }
    if (r != L2_OK || !s->score)
        return r;
    p = (struct piece){.name = L2_ADAPTER_PREFIX "score.weight",
                       .values = s->score,
                       .rows = hp->n_labels,
                       .cols = hp->dim};
    return fn(arg, &p, err);
}

static int add_header(void *arg, const struct piece *p, struct l2_err *err)
{
    return l2_st_write_add(arg, p->name, "F32", p->rows, p->cols,
                           (uint64_t)p->rows * p->cols * sizeof(float), err);
}

static int write_values(void *arg, const struct piece *p, struct l2_err *err)
{
    uint8_t bytes[4 * COPY];
    size_t n = (size_t)p->rows * p->cols;
    int r = L2_OK;
    for (size_t at = 0; at < n && r == L2_OK; at += COPY) {
        size_t part = n - at < COPY ? n - at : COPY;
        l2_put_f32le_array(bytes, p->values + at, part);
        r = l2_newfile_write(arg, bytes, 4 * part, err);
    }
    return r;
}

static int write_tensors(const struct l2_newdir *d, const struct l2_hparams *hp,
                         const struct l2_adapter_source *s, struct l2_err *err)
{
    struct l2_buf head = {.len = 0};
    struct l2_st_writer w;
    struct l2_newfile f;
    int r = l2_newdir_file(&f, d, L2_ADAPTER_FILE, err);
    if (r != L2_OK)
        return r;
    r = l2_st_write_begin(&w, &head, err);
    if (r == L2_OK)
        r = each_piece(hp, s, add_header, &w, err);
    if (r == L2_OK)
        r = l2_st_write_end(&w, err);
    if (r == L2_OK)
        r = l2_newfile_write(&f, head.data, head.len, err);
    if (r == L2_OK)
        r = each_piece(hp, s, write_values, &f, err);
    l2_buf_release(&head);
    return l2_newfile_close(&f, r, err);
}

/* "q_proj" for "model.layers.0.self_attn.q_proj.weight". */
static json_t *target_modules(const struct l2_adapter_source *s)
{
    json_t *list = json_array();
    for (int i = 0; i < L2_N_ROLES; i++) {
        enum l2_role role = (enum l2_role)i;
        const float *a, *b;
        char name[128];
        if (!l2_adapter_role(role) || !s->at(s->arg, role, 0, &a, &b))
            continue;
        l2_tensor_name(role, 0, name, sizeof name);
        *strrchr(name, '.') = '\0';
        json_array_append_new(list, json_string(strrchr(name, '.') + 1));
    }
    return list;
}

static json_t *make_config(const struct l2_hparams *hp, const struct l2_adapter_source *s)
{
    json_t *j = json_object();
    json_object_set_new(j, "peft_type", json_string("LORA"));
    json_object_set_new(j, "task_type",
                        json_string(hp->head == L2_HEAD_LABELS ? "SEQ_CLS" : "CAUSAL_LM"));
    json_object_set_new(j, "base_model_name_or_path", json_string(s->base));
    json_object_set_new(j, "r", json_integer(s->rank));
    json_object_set_new(j, "lora_alpha", json_real(s->alpha));
    json_object_set_new(j, "lora_dropout", json_real(0));
    json_object_set_new(j, "bias", json_string("none"));
    json_object_set_new(j, "fan_in_fan_out", json_false());
    json_object_set_new(j, "inference_mode", json_true());
    json_object_set_new(j, "target_modules", target_modules(s));
    json_object_set_new(j, "modules_to_save", s->score ? json_pack("[s]", "score") : json_null());
    return j;
}

static int write_config(const struct l2_newdir *d, const struct l2_hparams *hp,
                        const struct l2_adapter_source *s, struct l2_err *err)
{
    struct l2_newfile f;
    json_t *j = make_config(hp, s);
    char *text = json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    if (!text)
        return l2_err_memory(err, 1);
    int r = l2_newdir_file(&f, d, L2_ADAPTER_CONFIG, err);
    if (r == L2_OK) {
        r = l2_newfile_write(&f, text, strlen(text), err);
        if (r == L2_OK)
            r = l2_newfile_write(&f, "\n", 1, err);
        r = l2_newfile_close(&f, r, err);
    }
    free(text);
    return r;
}

int l2_adapter_write(const char *dir, const struct l2_hparams *hp,
                     const struct l2_adapter_source *source, bool replace, struct l2_err *err)
{
    struct l2_newdir d = {0};
    int r = l2_newdir_begin(&d, dir, replace, L2_ADAPTER_CONFIG, err);
    if (r == L2_OK)
        r = write_tensors(&d, hp, source, err);
    if (r == L2_OK)
        r = write_config(&d, hp, source, err);
    if (r == L2_OK)
        r = l2_newdir_commit(&d, err);
    l2_newdir_release(&d);
    return r;
}
