/* Fuzz target: a line of JSON as l2-cat --from-json and as l2-tokenize read it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "data/shape.h"
#include "fuzz.h"
#include "stream/codec.h"
#include "stream/json.h"

static struct l2_shaper *shapers[2]; /* without and with a template */
static struct l2_vocab *vocab;

static void set_up(void)
{
    static struct l2_encoder *encoder;
    struct l2_err err;
    char path[1024];
    const char *src = getenv("L2_SRC");
    snprintf(path, sizeof path, "%s/tests/golden/small.model", src ? src : ".");
    FUZZ_CHECK(l2_vocab_open(&vocab, path, &err) == L2_OK);
    FUZZ_CHECK(l2_encoder_new(&encoder, vocab, &err) == L2_OK);
    for (int i = 0; i < 2; i++) {
        struct l2_shape_opts o = {.encoder = encoder, .bos = true, .eos = true};
        o.dialogues = i ? l2_template_find("llama2") : NULL;
        FUZZ_CHECK(l2_shaper_new(&shapers[i], &o, &err) == L2_OK);
    }
}

static void shape(const json_t *row, struct l2_record *rec)
{
    struct l2_buf out = {0};
    struct l2_err err;
    const struct l2_id id = {.number = 1};
    for (int i = 0; i < 2; i++) {
        out.len = 0;
        if (l2_shape_from_json(shapers[i], row, &id, rec, &err) != L2_OK)
            continue;
        if (l2_encode_record(&out, rec, &err) == L2_OK) {
            out.len = 0;
            (void)(l2_shape_to_json(vocab, rec, &out, &err) == L2_OK);
        }
    }
    l2_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_json_line line = {.text = (const char *)data, .n = n, .line = 1};
    struct l2_record rec;
    struct l2_header h;
    struct l2_stream_end end;
    struct l2_buf out = {0};
    struct l2_err err;
    enum l2_item kind;
    json_t *row;
    if (!vocab)
        set_up();
    l2_record_init(&rec);
    l2_header_init(&h);
    if (l2_json_read_item(&line, &kind, &rec, &h, &end, &err) == L2_OK && kind == L2_ITEM_RECORD)
        (void)(l2_encode_record(&out, &rec, &err) == L2_OK);
    if (l2_json_parse((const char *)data, n, "input", 1, &row, &err) == L2_OK) {
        if (json_is_object(row))
            shape(row, &rec);
        json_decref(row);
    }
    l2_buf_release(&out);
    l2_record_release(&rec);
    l2_header_release(&h);
    return 0;
}
