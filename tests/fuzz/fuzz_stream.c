/* Fuzz target: a stream, read to its end, and again by recovery. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"
#include "stream/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_stream_limits limits = {.max_record = (size_t)1 << 22};
    struct l2_reader *r;
    struct l2_record rec;
    struct l2_err err;
    enum l2_item item;
    uint64_t skipped;
    int rc, fd = open(fuzz_file("stream", data, n), O_RDONLY);
    FUZZ_CHECK(fd >= 0);
    l2_record_init(&rec);
    FUZZ_CHECK(l2_reader_new(&r, fd, "input", &limits, &err) == L2_OK);
    do {
        while ((rc = l2_reader_next(r, true, &item, &rec, &err)) == L2_OK) {
            FUZZ_CHECK(l2_reader_frame(r) < n);
            FUZZ_CHECK(l2_reader_offset(r) <= n);
        }
        FUZZ_CHECK(rc == L2_END || (rc < 0 && err.text[0] != '\0'));
    } while (rc < 0 && l2_reader_recover(r, &skipped, &err) == L2_OK);
    l2_reader_free(r);
    l2_record_release(&rec);
    close(fd);
    return 0;
}
