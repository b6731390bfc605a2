/* Unit tests of the JSON form: values, exact round trips, errors and where they are. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/json.h"
#include "stream_samples.h"
#include "util/num.h"

static int parse_item(const char *text, struct l2_record *r, struct l2_err *err)
{
    struct l2_json_line line = {text, strlen(text), "in.jsonl", 12, NULL};
    enum l2_item kind;
    int rc = l2_json_read_item(&line, &kind, r, NULL, NULL, err);
    if (rc == L2_OK)
        assert_int_equal(kind, L2_ITEM_RECORD);
    return rc;
}

/* Everything in a record survives record -> JSON -> record. What JSON does not tell apart (the
 * width of a float, definite or indefinite) is not in the sample. */
static void test_record_round_trip(void **state)
{
    struct l2_record a, b;
    struct l2_buf first = {0}, second = {0}, text = {0};
    struct l2_err err;
    (void)state;
    l2_record_init(&a);
    l2_record_init(&b);
    sample_record(&a);
    assert_int_equal(l2_encode_record(&first, &a, &err), L2_OK);
    assert_int_equal(l2_record_to_json(&text, &a, &err), L2_OK);
    assert_null(memchr(text.data, '\n', text.len));
    assert_int_equal(l2_buf_append_byte(&text, 0, NULL), L2_OK);
    if (parse_item((char *)text.data, &b, &err) != L2_OK)
        fail_msg("%s in %s", err.text, (char *)text.data);
    assert_int_equal(l2_encode_record(&second, &b, &err), L2_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    l2_record_release(&a);
    l2_record_release(&b);
    l2_buf_release(&first);
    l2_buf_release(&second);
    l2_buf_release(&text);
}

/* The text itself, for a part of the sample that shows each rule. */
static void test_golden(void **state)
{
    static const char *const parts[] = {
        "{\"id\":\"row "
        "1\",\"prompt\":[1,29871,31000],\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"name\":\"B\"}],\"completions\":[{\"tokens\":["
        "31999,0,7,2],",
        "\"finish\":\"eos\",\"scores\":{\"helpful\":-0.1,\"s\xc3\xa4"
        "fe\":1e+300},\"labels\":{\"safe\":true},"
        "\"gen\":{\"k\":3,\"seed\":{\"$cbor\":\"1bffffffffffffffff\"},\"temperature\":0.7,"
        "\"model\":\"chat\","
        "\"round\":-9223372036854775808,\"x\":null},",
        "\"spans\":[1,4],\"text\":\"line\\nand \\\"quotes\\\" \\\\ \\u0001 \xf0\x9f\x98\x80\","
        "\"b\":{\"$cbor\":\"4200ff\"},\"u\":{\"$cbor\":\"1bffffffffffffffff\"},"
        "\"n\":{\"$cbor\":\"3bffffffffffffffff\"},\"nan\":{\"$cbor\":\"f97e00\"},\"t\":{\"$cbor\":"
        "\"c100\"}},"
        "{\"tokens\":[],\"logprobs\":[],\"finish\":\"stop\",",
        "\"spans\":[0,1,1,3],\"margin\":-0.0,\"shape\":\"chosen+rejected\",\"meta\":{\"big\":"
        "9223372036854775807,"
        "\"list\":[1.5,[],{}],\"$cbor\":\"00\",\"e\":{\"$cbor\":\"a1652463626f7201\"}},"
        "\"embedding\":[[",
        "\"a\":1,\"b\":{\"$cbor\":\"f7\"}}",
    };
    struct l2_record r;
    struct l2_buf text = {0};
    struct l2_err err;
    (void)state;
    l2_record_init(&r);
    sample_record(&r);
    assert_int_equal(l2_record_to_json(&text, &r, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&text, 0, NULL), L2_OK);
    const char *at = (char *)text.data;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *found = strstr(at, parts[i]);
        if (!found)
            fail_msg("part %zu is not in %s", i, (char *)text.data);
        at = found + strlen(parts[i]);
    }
    assert_int_equal(*at, 0);
    l2_record_release(&r);
    l2_buf_release(&text);
}

static void test_header_and_end(void **state)
{
    struct l2_header a, b;
    struct l2_stream_end end = {false, 3, 1ull << 63, "caf\xc3\xa9 \"x\""}, back;
    struct l2_record r;
    struct l2_buf first = {0}, second = {0}, text = {0};
    struct l2_err err;
    enum l2_item kind;
    (void)state;
    l2_header_init(&a);
    l2_header_init(&b);
    l2_record_init(&r);
    sample_header(&a);
    assert_int_equal(l2_header_to_json(&text, &a, &err), L2_OK);
    struct l2_json_line line = {(char *)text.data, text.len, "x", 1, NULL};
    assert_int_equal(l2_json_read_item(&line, &kind, &r, &b, &back, &err), L2_OK);
    assert_int_equal(kind, L2_ITEM_HEADER);
    assert_int_equal(l2_encode_header(&first, &a, &err), L2_OK);
    assert_int_equal(l2_encode_header(&second, &b, &err), L2_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    /* the bytes of an argument that are not UTF-8 have been replaced */
    assert_int_equal(l2_buf_append_byte(&text, 0, NULL), L2_OK);
    assert_non_null(strstr((char *)text.data, "\"na\xef\xbf\xbdve.l2s\""));

    text.len = 0;
    assert_int_equal(l2_stream_end_to_json(&text, &end, &err), L2_OK);
    line = (struct l2_json_line){(char *)text.data, text.len, "x", 1, NULL};
    assert_int_equal(l2_json_read_item(&line, &kind, &r, &b, &back, &err), L2_OK);
    assert_int_equal(kind, L2_ITEM_END);
    assert_true(back.tokens == 1ull << 63 && back.records == 3 && !back.complete);
    assert_string_equal(back.error, end.error);
    /* a history that holds something else than maps */
    const char *odd = "{\"magic\":\"l2s\",\"version\":1,\"vocabulary\":null,"
                      "\"history\":[{\"$cbor\":\"00\"}]}";
    struct l2_json_line odd_line = {odd, strlen(odd), "x", 1, NULL};
    assert_int_equal(l2_json_read_item(&odd_line, &kind, &r, &b, &back, &err), L2_FORMAT);
    /* where they are not expected */
    assert_int_equal(l2_json_read_item(&line, &kind, &r, NULL, NULL, &err), L2_FORMAT);
    l2_header_release(&a);
    l2_header_release(&b);
    l2_record_release(&r);
    l2_buf_release(&first);
    l2_buf_release(&second);
    l2_buf_release(&text);
}

/* Floats of both widths with every kind of bits come back as they were, through a double. */
static void test_floats(void **state)
{
    struct l2_buf out = {0};
    uint64_t x = 88172645463325252u;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint8_t bits[8];
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        l2_put_u64le(bits, x);
        float f = l2_get_f32le(bits);
        double d = l2_get_f64le(bits);
        if (f - f == 0) {
            out.len = 0;
            assert_int_equal(l2_json_put_f32(&out, f, NULL), L2_OK);
            assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
            float back = (float)strtod((char *)out.data, NULL);
            assert_memory_equal(&back, &f, sizeof f);
        }
        if (d - d == 0) {
            out.len = 0;
            assert_int_equal(l2_json_put_f64(&out, d, NULL), L2_OK);
            assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
            double back = strtod((char *)out.data, NULL);
            assert_memory_equal(&back, &d, sizeof d);
        }
    }
    l2_buf_release(&out);
}

static const struct {
    const char *line;
    int code, column;
    const char *text; /* part of the message */
} bad[] = {
    {"", L2_FORMAT, 1, ""},
    {"nul", L2_FORMAT, 3, ""},
    {"{\"id\":1,}", L2_FORMAT, 9, ""},
    {"{\"id\":1} x", L2_FORMAT, 10, "end of file expected"},
    {"{\"id\":1,\"id\":2}", L2_FORMAT, -1, "duplicate"},
    {"{\"id\":NaN}", L2_FORMAT, -1, "invalid token"},
    {"{\"id\":1,\"x\":1e999}", L2_FORMAT, -1, "real number overflow"},
    {"{\"id\":9223372036854775808}", L2_FORMAT, -1, "too big integer"},
    {"{\"id\":\"\\ud800\"}", L2_FORMAT, -1, "\\uD800"},
    {"{\"id\":\"\xff\"}", L2_FORMAT, -1, "unable to decode byte 0xff"},
    {"[1]", L2_FORMAT, 1, "want an object, got an array"},
    {"{}", L2_FORMAT, 1, "without an id"},
    {"{\"prompt\":[]}", L2_FORMAT, 1, "without an id"},
    {"{\"id\":1.5}", L2_FORMAT, 7, "id: want a string or an integer, got a real"},
    {"{\"id\":1,\"prompt\":7}", L2_FORMAT, 18, "prompt: want an array of ids, got an integer"},
    {"{\"id\":1,\"prompt\":[1, 2,-3]}", L2_FORMAT, 24, "prompt[2]: want an integer from 0"},
    {"{\"id\":1,\"prompt\":[4294967296]}", L2_FORMAT, 19, "prompt[0]"},
    {"{\"id\":1,\"prompt\":[1.0]}", L2_FORMAT, 19, "prompt[0]: want an integer, got a real"},
    {"{\"id\":\"\xc3\xa4\xc3\xa4\",\"completions\":[{}, {\"tokens\": [\"x\"]}]}", L2_FORMAT, 43,
     "completions[1].tokens[0]: want an integer, got a string"},
    {"{\"id\":1,\"completions\":[{\"tokens\":[1],\"logprobs\":[]}]}", L2_FORMAT, 49,
     "logprobs: want as many numbers as tokens"},
    {"{\"id\":1,\"completions\":[{\"tokens\":[1],\"logprobs\":[1e39]}]}", L2_FORMAT, 50,
     "out of the range of f32"},
    {"{\"id\":1,\"completions\":[{\"finish\":\"end\"}]}", L2_FORMAT, 34, "want \"eos\""},
    {"{\"id\":1,\"completions\":[{\"scores\":{\"a\":\"1\"}}]}", L2_FORMAT, 39,
     "scores.a: want a number"},
    {"{\"id\":1,\"completions\":[{\"scores\":{}}]}", L2_FORMAT, 34, "one score at least"},
    {"{\"id\":1,\"completions\":[{\"gen\":{\"k\":-1}}]}", L2_FORMAT, 36, "gen.k: want an unsigned"},
    {"{\"id\":1,\"completions\":[{\"embedding\":[[1],[1,2]]}]}", L2_FORMAT, 42,
     "rows of equal length"},
    {"{\"id\":1,\"completions\":[{\"embedding\":[[]]}]}", L2_FORMAT, 38, "rows of equal length"},
    {"{\"id\":1,\"messages\":[{\"role\":\"user\"}]}", L2_FORMAT, 21, "role and content"},
    {"{\"id\":1,\"prompt\":[1],\"spans\":[0,2]}", L2_FORMAT, 30, "spans: want pairs"},
    {"{\"id\":1,\"spans\":[0,1]}", L2_FORMAT, 17, "spans: want pairs"},
    {"{\"id\":1,\"meta\":[]}", L2_FORMAT, 16, "meta: want an object"},
    {"{\"id\":1,\"meta\":{\"a\":{\"$cbor\":\"0\"}}}", L2_FORMAT, 21, "hexadecimal"},
    {"{\"id\":1,\"meta\":{\"a\":{\"$cbor\":\"0g\"}}}", L2_FORMAT, 21, "hexadecimal"},
    {"{\"id\":1,\"meta\":{\"a\":{\"$cbor\":\"\"}}}", L2_FORMAT, 21, "hexadecimal"},
    {"{\"id\":1,\"meta\":{\"a\":{\"$cbor\":\"0000\"}}}", L2_FORMAT, 21, "more than one"},
    {"{\"id\":1,\"meta\":{\"a\":{\"$cbor\":\"9bffffffffffffffff\"}}}", L2_FORMAT, 21,
     "not a CBOR item"},
    {"{\"id\":1,\"meta\":{\"a\":{\"$cbor\":\"61ff\"}}}", L2_FORMAT, 21, "not a CBOR item"},
    {"{\"id\":1,\"prompt\":null}", L2_FORMAT, 18, "got null"},
};

static void test_errors(void **state)
{
    struct l2_record r;
    struct l2_err err;
    (void)state;
    l2_record_init(&r);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rc = parse_item(bad[i].line, &r, &err);
        if (rc != bad[i].code || !strstr(err.text, bad[i].text) || err.line != 12 ||
            strcmp(err.file, "in.jsonl") != 0)
            fail_msg("%s: got %d, line %d: %s", bad[i].line, rc, (int)err.line, err.text);
        if (bad[i].column > 0 ? err.column != bad[i].column : err.column < 1)
            fail_msg("%s: want column %d, got %d", bad[i].line, bad[i].column, (int)err.column);
    }
    l2_record_release(&r);
}

/* {"id":0,"meta":{"a":[[...]]}} with n arrays. */
static int parse_nested(size_t n)
{
    struct l2_buf b = {0};
    struct l2_record r;
    struct l2_buf item = {0};
    struct l2_err err;
    l2_record_init(&r);
    assert_int_equal(l2_buf_append_str(&b, "{\"id\":0,\"meta\":{\"a\":", NULL), L2_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(l2_buf_append_byte(&b, '[', NULL), L2_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(l2_buf_append_byte(&b, ']', NULL), L2_OK);
    assert_int_equal(l2_buf_append(&b, "}}", 3, NULL), L2_OK);
    int rc = parse_item((char *)b.data, &r, &err);
    if (rc == L2_OK) { /* what JSON lets in, the stream does too */
        assert_int_equal(l2_encode_record(&item, &r, &err), L2_OK);
        assert_int_equal(l2_decode_record(item.data, item.len, &r, &err), L2_OK);
    }
    l2_record_release(&r);
    l2_buf_release(&b);
    l2_buf_release(&item);
    return rc;
}

static void test_depth(void **state)
{
    (void)state;
    assert_int_equal(parse_nested(62), L2_OK);
    assert_int_equal(parse_nested(63), L2_LIMIT);
    assert_int_equal(parse_nested(1000), L2_LIMIT);
    assert_int_equal(parse_nested(100000), L2_FORMAT); /* the parser's own limit */
}

/* Values that JSON readers often lose. */
static void test_values(void **state)
{
    static const char line[] = "{\"id\":-9223372036854775808,\"completions\":[{\"text\":"
                               "\"a\\u0000b\\ud83d\\ude00\",\"scores\":"
                               "{\"i\":2,\"tiny\":5e-324}}],\"margin\":3,\"meta\":{\"i\":"
                               "9007199254740993,\"r\":1.0,\"z\":-0.0}}";
    static const char want[] =
        "{\"id\":-9223372036854775808,\"completions\":[{\"scores\":{\"i\":2.0,\"tiny\":5e-324},"
        "\"text\":\"a\\u0000b\xf0\x9f\x98\x80\"}],\"margin\":3.0,"
        "\"meta\":{\"i\":9007199254740993,\"r\":1.0,\"z\":-0.0}}";
    struct l2_record r;
    struct l2_buf out = {0};
    struct l2_err err;
    (void)state;
    l2_record_init(&r);
    assert_int_equal(parse_item(line, &r, &err), L2_OK);
    assert_int_equal(r.completions[0].text.n, 7);
    assert_int_equal(l2_record_to_json(&out, &r, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
    assert_string_equal((char *)out.data, want);
    l2_record_release(&r);
    l2_buf_release(&out);
}

/* Chunks of text are one string in JSON. */
static void test_chunks(void **state)
{
    struct l2_buf b = {0}, out = {0};
    struct l2_fields f;
    bool first = true;
    (void)state;
    bytes_from_hex(&b, "6161 7f6178617960ff 6162 9fbf61635f4100ffffff");
    f = (struct l2_fields){b.data, b.len, 2};
    assert_int_equal(l2_json_put_fields(&out, &f, &first, NULL), L2_OK);
    assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
    assert_string_equal((char *)out.data, "\"a\":\"xy\",\"b\":[{\"c\":{\"$cbor\":\"5f4100ff\"}}]");
    l2_buf_release(&b);
    l2_buf_release(&out);
}

static void test_column(void **state)
{
    static const char text[] = " {\"a\" : [ 1,{\"\\u0062\":[true,\"]}\\\"\", -3.5e1]} ], \"c\":{}}";
    struct l2_json_step steps[] = {{"a", 0}, {NULL, 1}, {"b", 0}, {NULL, 2}};
    struct l2_json_step c[] = {{"c", 0}}, none[] = {{"d", 0}}, far[] = {{"a", 0}, {NULL, 2}};
    (void)state;
    assert_int_equal(l2_json_column(text, strlen(text), NULL, 0), 2);
    assert_int_equal(l2_json_column(text, strlen(text), steps, 4), strstr(text, "-3.5") - text + 1);
    assert_int_equal(l2_json_column(text, strlen(text), c, 1), strstr(text, "{}") - text + 1);
    assert_int_equal(l2_json_column(text, strlen(text), none, 1), 0);
    assert_int_equal(l2_json_column(text, strlen(text), far, 2), 0);
    assert_int_equal(l2_json_column("{\"a\"", 4, steps, 1), 0);
    assert_int_equal(l2_json_column("{\"", 2, steps, 1), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_round_trip),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_header_and_end),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_column),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
