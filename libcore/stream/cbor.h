/* CBOR on memory: reading item by item with every rule of l2-stream(5) checked, and writing. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CBOR_H
#define L2_CBOR_H

#include <stdbool.h>
#include "util/buf.h"

#define L2_CBOR_MAX_DEPTH 64
#define L2_CBOR_MAX_KEYS  65536 /* of one map */

/* RFC 8746: typed arrays, little-endian. */
enum l2_cbor_tag { L2_TAG_MATRIX = 40, L2_TAG_U32 = 70, L2_TAG_F32 = 85, L2_TAG_F64 = 86 };

/* ---- reading ---- */

enum l2_cbor_kind {
    L2_CBOR_UINT,
    L2_CBOR_NEGINT, /* stands for -1 - value */
    L2_CBOR_BYTES,
    L2_CBOR_TEXT,
    L2_CBOR_BYTES_CHUNKS, /* the start of a string of indefinite length */
    L2_CBOR_TEXT_CHUNKS,
    L2_CBOR_ARRAY,
    L2_CBOR_MAP,
    L2_CBOR_TAG,
    L2_CBOR_FALSE,
    L2_CBOR_TRUE,
    L2_CBOR_NULL,
    L2_CBOR_UNDEFINED,
    L2_CBOR_F16,
    L2_CBOR_F32,
    L2_CBOR_F64,
    L2_CBOR_BREAK
};

/* One item's head; for strings of definite length the content too. */
struct l2_cbor_item {
    enum l2_cbor_kind kind;
    bool indefinite;      /* ARRAY and MAP */
    uint64_t value;       /* of integers; elements of ARRAY, pairs of MAP; number of TAG */
    double real;          /* of F16, F32 and F64, exactly */
    const uint8_t *bytes; /* of BYTES and TEXT, borrowed from the data */
    size_t n;
    size_t at; /* offset of the head in the data */
};

/* Caller's storage. Zero it, set data, n and pos; release keys afterwards. */
struct l2_cbor {
    const uint8_t *data; /* borrowed */
    size_t n;
    size_t pos;         /* of the next head */
    unsigned level;     /* containers that are open */
    struct l2_buf keys; /* working memory: the keys of the open maps */
};

/* An open map or array. */
struct l2_cbor_seq {
    uint64_t left; /* pairs or elements still to come, where definite */
    bool indefinite;
    size_t keys_base; /* where this map's keys begin in keys */
};

/* Reads one head. Lengths are within the data, text is valid UTF-8, depth within its limit. All
 * failures of reading are L2_CORRUPT, or L2_LIMIT; err.offset is relative to data. */
int l2_cbor_next(struct l2_cbor *c, struct l2_cbor_item *item, struct l2_err *err) L2_MUST_CHECK;

/* Passes over what belongs to item, the head read last, checking all of it. */
int l2_cbor_skip(struct l2_cbor *c, const struct l2_cbor_item *item,
                 struct l2_err *err) L2_MUST_CHECK;

/* Opens item, an ARRAY or MAP. */
void l2_cbor_open(struct l2_cbor *c, const struct l2_cbor_item *item, struct l2_cbor_seq *seq);
/* The next element's head, or L2_END: the array is closed. */
int l2_cbor_element(struct l2_cbor *c, struct l2_cbor_seq *seq, struct l2_cbor_item *item,
                    struct l2_err *err) L2_MUST_CHECK;
/* The next key, which is TEXT, or L2_END: the map is closed and no key occurred twice. */
int l2_cbor_key(struct l2_cbor *c, struct l2_cbor_seq *seq, struct l2_cbor_item *key,
                struct l2_err *err) L2_MUST_CHECK;

/* "array", "text", ... for messages. */
const char *l2_cbor_kind_name(enum l2_cbor_kind kind);

/* ---- writing ---- */

/* Appends items in their shortest form to out. The first failure sticks: later calls do nothing,
 * and rc and *err tell of it. Set out and err, and zero the rest. */
struct l2_cbor_out {
    struct l2_buf *out;
    struct l2_err *err;
    int rc;
};

void l2_cbor_put_uint(struct l2_cbor_out *o, uint64_t v);
void l2_cbor_put_int(struct l2_cbor_out *o, int64_t v);
void l2_cbor_put_bool(struct l2_cbor_out *o, bool v);
void l2_cbor_put_null(struct l2_cbor_out *o);
void l2_cbor_put_f32(struct l2_cbor_out *o, float v);
void l2_cbor_put_f64(struct l2_cbor_out *o, double v);
void l2_cbor_put_bytes(struct l2_cbor_out *o, const void *s, size_t n);
/* Invalid UTF-8 is L2_ARGUMENT. */
void l2_cbor_put_text(struct l2_cbor_out *o, const char *s, size_t n);
void l2_cbor_put_str(struct l2_cbor_out *o, const char *s); /* NUL-terminated */
void l2_cbor_put_array(struct l2_cbor_out *o, size_t n);    /* n elements follow */
void l2_cbor_put_map(struct l2_cbor_out *o, size_t n);      /* n pairs follow */
void l2_cbor_put_tag(struct l2_cbor_out *o, uint64_t tag);
void l2_cbor_put_u32s(struct l2_cbor_out *o, const uint32_t *v, size_t n); /* tag 70 */
void l2_cbor_put_f32s(struct l2_cbor_out *o, const float *v, size_t n);    /* tag 85 */
/* Bytes that are whole items already. */
void l2_cbor_put_raw(struct l2_cbor_out *o, const void *items, size_t n);

#endif
