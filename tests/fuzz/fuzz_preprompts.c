/* Fuzz target: pre-prompts in YAML; records of every category that is taken get one of it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "rlhf/preprompt.h"
#include "stream/fields.h"

/* rec of this category, without a pre-prompt. */
static void make(struct l2_record *rec, int64_t id, const char *category, size_t n)
{
    static uint32_t prompt[] = {1, 2, 3};
    struct l2_buf value = {0};
    struct l2_err err;
    struct l2_cbor_out o = {.out = &value, .err = &err};
    l2_record_reset(rec);
    rec->id.number = id;
    rec->prompt = (struct l2_u32s){prompt, 3};
    rec->has_meta = true;
    l2_cbor_put_text(&o, category, n);
    FUZZ_CHECK(o.rc == L2_OK);
    FUZZ_CHECK(l2_fields_set(&rec->meta, &rec->arena, "category", value.data, value.len, &err) ==
               L2_OK);
    l2_buf_release(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_preprompts *p;
    struct l2_record rec;
    struct l2_err err;
    size_t n_all;
    int r = l2_preprompts_read(&p, (const char *)data, n, "preprompts", &err);
    FUZZ_CHECK(r == L2_OK ? p != NULL : p == NULL && err.text[0] != '\0');
    if (r != L2_OK)
        return 0;
    l2_record_init(&rec);
    const struct l2_preprompt *all = l2_preprompts_all(p, &n_all);
    FUZZ_CHECK(n_all > 0);
    for (size_t i = 0; i < n_all && i < 64; i++) {
        struct l2_preprompt *chosen;
        size_t category = (size_t)(strrchr(all[i].name, '/') - all[i].name);
        bool unknown;
        make(&rec, (int64_t)i, all[i].name, category);
        FUZZ_CHECK(l2_preprompts_choose(p, &rec, "category", i, &chosen, &unknown, &err) == L2_OK);
        FUZZ_CHECK(!unknown && strncmp(chosen->name, all[i].name, category + 1) == 0);
    }
    l2_record_release(&rec);
    l2_preprompts_free(p);
    return 0;
}
