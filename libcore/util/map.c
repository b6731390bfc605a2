/* Read-only views of whole files by mmap. */
/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* madvise */
#include <config.h>

#include "util/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int l2_map_open(struct l2_map *m, const char *path, struct l2_err *err)
{
    struct stat st;
    int r = L2_OK;
    *m = (struct l2_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
    if (fd < 0)
        return l2_err_sys(err, errno, path, "cannot open");
    if (fstat(fd, &st) != 0) {
        r = l2_err_sys(err, errno, path, "cannot stat");
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        r = l2_err_at(err, L2_ARGUMENT, path, -1, "not a regular file");
        goto out;
    }
    m->name = strdup(path);
    if (!m->name) {
        r = l2_err_memory(err, strlen(path) + 1);
        goto out;
    }
    m->size = (size_t)st.st_size;
    if (m->size == 0) {
        m->data = (const uint8_t *)"";
        goto out;
    }
    void *p = mmap(NULL, m->size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        r = l2_err_sys(err, errno, path, "cannot map %zu bytes", m->size);
        m->size = 0;
        l2_map_release(m);
        goto out;
    }
    m->data = p;
out:
    close(fd);
    return r;
}

void l2_map_drop(const void *p, size_t n)
{
#ifdef MADV_DONTNEED
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)p, end = begin + n;
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
#else
    (void)p;
    (void)n;
#endif
}

void l2_map_release(struct l2_map *m)
{
    if (m->size > 0)
        munmap((void *)(uintptr_t)m->data, m->size);
    free(m->name);
    *m = (struct l2_map){0};
}
