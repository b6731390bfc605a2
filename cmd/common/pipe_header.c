/* A pipe's headers: an input segment's goes to the output, or into the one header of a merge. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/pipe_state.h"

int l2_pipe_begin_header(struct l2_pipe *p, const struct l2_header *from, struct l2_err *err)
{
    int r = l2_header_copy(&p->header, from, err);
    p->has_own_history = false;
    if (r == L2_OK)
        p->has_header = p->header_pending = true;
    return r;
}

/* Joins from's history, once: the parts of one run in several files have equal histories. */
static int join_once(struct l2_pipe *p, const struct l2_header *from, bool join, struct l2_err *err)
{
    struct l2_sha256 s;
    uint8_t hash[L2_SHA256_SIZE];
    l2_sha256_init(&s);
    l2_sha256_update(&s, from->history.data, from->history.len);
    l2_sha256_final(&s, hash);
    for (size_t i = 0; i < p->n_joined; i++)
        if (memcmp(p->joined[i], hash, sizeof hash) == 0)
            return L2_OK;
    void *v = realloc(p->joined, (p->n_joined + 1) * sizeof *p->joined);
    if (!v)
        return l2_err_memory(err, (p->n_joined + 1) * sizeof *p->joined);
    p->joined = v;
    memcpy(p->joined[p->n_joined++], hash, sizeof hash);
    return join ? l2_header_join_history(&p->header, from, err) : L2_OK;
}

int l2_pipe_join_history(struct l2_pipe *p, const struct l2_header *from, struct l2_err *err)
{
    return p->header_pending ? join_once(p, from, true, err) : L2_OK;
}

int l2_pipe_join_ahead(struct l2_pipe *p, const char *path, struct l2_err *err)
{
    struct stat st;
    const char *name;
    struct l2_reader *reader = NULL;
    struct l2_record rec;
    enum l2_item item;
    int fd, r = L2_OK;

    if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        l2_cli_open_input(p->cli, path, &fd, &name, err) < 0)
        return L2_OK;
    l2_record_init(&rec);
    r = l2_reader_new(&reader, fd, name, NULL, err);
    if (r == L2_OK)
        r = l2_reader_next(reader, true, &item, &rec, err);
    if (r == L2_OK)
        r = join_once(p, l2_reader_header(reader), true, err);
    else if (r != L2_SYSTEM && r != L2_MEMORY)
        r = L2_OK;
    l2_record_release(&rec);
    l2_reader_free(reader);
    l2_cli_close_input(fd);
    return r;
}

/* The output segment of a merge takes the first header; histories of the others are joined as far
 * as they are known before it is written: those of files are read ahead. */
static int merge_header(struct l2_pipe *p, const struct l2_header *h, struct l2_err *err)
{
    int r;
    if (p->has_header) {
        r = l2_header_check_vocab(&p->header, h, p->in_name, err);
        return r == L2_OK ? l2_pipe_join_history(p, h, err) : r;
    }
    r = l2_pipe_begin_header(p, h, err);
    if (r == L2_OK)
        r = join_once(p, h, false, err);
    for (size_t i = p->next_operand; i < p->cli->operands.n && r == L2_OK; i++)
        r = l2_pipe_join_ahead(p, p->cli->operands.v[i], err);
    return r;
}

int l2_pipe_take_header(struct l2_pipe *p, struct l2_err *err)
{
    const struct l2_header *h = l2_reader_header(p->reader);
    p->in_segment = true;
    if (!p->writer)
        return L2_OK;
    if (p->merge)
        return merge_header(p, h, err);
    int r = l2_pipe_begin_header(p, h, err);
    return r == L2_OK ? l2_pipe_resume_segment(p, err) : r;
}
