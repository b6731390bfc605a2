/* Writing a two-dimensional float32 .npy file row by row. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/npy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cli.h"
#include "util/num.h"

/* Magic, version 1.0, length of the rest, then a Python dictionary padded with spaces up to a
 * newline; the size is fixed, so that the number of rows can be put in at the end. */
#define HEADER_BYTES 128

static void make_header(const struct l2_npy *f, char header[HEADER_BYTES])
{
    memset(header, ' ', HEADER_BYTES);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    l2_put_u16le(header + 8, HEADER_BYTES - 10);
    int n = snprintf(header + 10, HEADER_BYTES - 10,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", f->n_rows,
                     f->n_columns);
    header[10 + n] = ' ';
    header[HEADER_BYTES - 1] = '\n';
}

int l2_npy_begin(struct l2_npy *f, int fd, const char *name, size_t n_columns, struct l2_err *err)
{
    char header[HEADER_BYTES];
    *f = (struct l2_npy){.fd = fd, .name = name, .n_columns = n_columns};
    if (lseek(fd, 0, SEEK_CUR) < 0)
        return l2_err_sys(err, errno, name, "an .npy file wants a file that can seek");
    make_header(f, header);
    return l2_cli_write(fd, name, header, sizeof header, err);
}

int l2_npy_rows(struct l2_npy *f, const float *rows, size_t n, struct l2_err *err)
{
    uint8_t bytes[4 * 256];
    size_t left = n * f->n_columns;
    while (left > 0) {
        size_t take = left < 256 ? left : 256;
        l2_put_f32le_array(bytes, rows, take);
        int r = l2_cli_write(f->fd, f->name, bytes, 4 * take, err);
        if (r != L2_OK)
            return r;
        rows += take;
        left -= take;
    }
    f->n_rows += n;
    return L2_OK;
}

int l2_npy_end(struct l2_npy *f, struct l2_err *err)
{
    char header[HEADER_BYTES];
    make_header(f, header);
    if (lseek(f->fd, 0, SEEK_SET) < 0)
        return l2_err_sys(err, errno, f->name, "cannot seek");
    return l2_cli_write(f->fd, f->name, header, sizeof header, err);
}
