/* A stream that a test writes into an unnamed file and reads again. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_STREAM_FILE_H
#define L2_TEST_STREAM_FILE_H

#include "stream/stream.h"

struct stream_file {
    int fd;
    struct l2_writer *w;
    struct l2_header h;
    struct l2_record rec; /* to fill and write */
};

/* An open file without a name. */
int unnamed_file(void);
/* Writes the header. */
void stream_begin(struct stream_file *s);
/* Writes END and releases all but the file, which is rewound and returned. */
int stream_finish(struct stream_file *s);

#endif
