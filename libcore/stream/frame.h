/* The heads of Zstandard frames (RFC 8878, section 3.1.1.1), as far as l2-stream(5) has rules for
 * them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_FRAME_H
#define L2_FRAME_H

#include <stdbool.h>
#include "util/err.h"

#define L2_FRAME_MAGIC_BYTES 4

struct l2_frame {
    bool skippable;
    uint64_t content; /* bytes of content; of a skippable frame: bytes behind its 8-byte head */
    bool has_content; /* the frame says its content's size */
    bool has_checksum;
    bool has_dictionary;
    uint64_t window; /* bytes */
};

/* Reads the head of the frame at p[0..n). L2_OK; L2_AGAIN: these n bytes are the beginning of a
 * head; L2_FORMAT: no frame begins so; L2_CORRUPT: a reserved bit is set. */
int l2_frame_parse(const uint8_t *p, size_t n, struct l2_frame *f) L2_MUST_CHECK;

#endif
