/* Fuzz target: items as CBOR, one after the other. What is read is written as CBOR and as JSON, and
 * both are read back as the same. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "stream/codec.h"
#include "stream/json.h"

static void check_record(struct l2_record *rec)
{
    struct l2_buf one = {0}, two = {0}, text = {0};
    struct l2_record back;
    struct l2_err err;
    l2_record_init(&back);
    if (l2_encode_record(&one, rec, &err) == L2_OK) {
        FUZZ_CHECK(l2_decode_record(one.data, one.len, &back, &err) == L2_OK);
        FUZZ_CHECK(l2_encode_record(&two, &back, &err) == L2_OK);
        FUZZ_CHECK(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
        if (l2_record_to_json(&text, rec, &err) == L2_OK) {
            struct l2_json_line line = {.text = (char *)text.data, .n = text.len, .line = 1};
            enum l2_item kind;
            FUZZ_CHECK(l2_json_read_item(&line, &kind, &back, NULL, NULL, &err) == L2_OK);
            /* fields that l2 does not know keep their CBOR form, of which JSON knows nothing */
            two.len = 0;
            FUZZ_CHECK(l2_record_to_json(&two, &back, &err) == L2_OK);
            FUZZ_CHECK(text.len == two.len && memcmp(text.data, two.data, text.len) == 0);
        }
    }
    l2_buf_release(&one);
    l2_buf_release(&two);
    l2_buf_release(&text);
    l2_record_release(&back);
}

static void take_item(const uint8_t *data, size_t n)
{
    struct l2_record rec;
    struct l2_header h;
    struct l2_stream_end end;
    struct l2_err err;
    enum l2_item kind;
    l2_record_init(&rec);
    l2_header_init(&h);
    if (l2_item_kind(data, n, &kind, &err) == L2_OK) {
        if (kind == L2_ITEM_RECORD && l2_decode_record(data, n, &rec, &err) == L2_OK)
            check_record(&rec);
        else if (kind == L2_ITEM_HEADER)
            (void)(l2_decode_header(data, n, &h, &err) == L2_OK);
        else if (kind == L2_ITEM_END)
            (void)(l2_decode_end(data, n, &end, &err) == L2_OK);
    }
    l2_record_release(&rec);
    l2_header_release(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_err err;
    for (size_t at = 0, len; at < n; at += len) {
        if (l2_cbor_item(data + at, n - at, &len, &err) != L2_OK)
            len = n - at; /* no item: what begins like one is refused all the same */
        FUZZ_CHECK(len > 0 && len <= n - at);
        take_item(data + at, len);
    }
    return 0;
}
