/* A library to preload: makes one allocation, read or write of a program fail, or all reads and
 * writes short, as L2_FAULT says: "alloc:N", "read:N", "write:N" (counted from 1, after main has
 * begun), "short". With N too large nothing fails, and L2_FAULT_REPORT names a file that gets how
 * many calls there were. */
/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { NONE, ALLOC, READ, WRITE, SHORT };

static enum kind kind;
static long nth;
static atomic_long calls;
static atomic_bool armed;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_write)(int, const void *, size_t);

/* dlsym itself may allocate before the real functions are known. */
static char early[65536];
static size_t early_used;

static void *early_alloc(size_t n)
{
    void *p = early + early_used;
    n = (n + 15) & ~(size_t)15;
    if (n > sizeof early - early_used)
        abort();
    early_used += n;
    return p;
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

/* ISO C has no way from an object pointer to a function pointer. */
static void find(void *function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(function, &symbol, sizeof symbol);
}

static bool fails(enum kind k)
{
    return kind == k && armed && atomic_fetch_add(&calls, 1) + 1 == nth;
}

/* OpenBLAS's small kernels do not look whether they got memory: what it allocates from caller's
 * place always succeeds. */
static bool alloc_fails(const void *caller)
{
    Dl_info info;
    if (kind != ALLOC || !armed)
        return false;
    if (dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "openblas"))
        return false;
    return fails(ALLOC);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *s = getenv("L2_FAULT");
    find(&real_calloc, "calloc");
    find(&real_realloc, "realloc");
    find(&real_posix_memalign, "posix_memalign");
    find(&real_aligned_alloc, "aligned_alloc");
    find(&real_read, "read");
    find(&real_write, "write");
    find(&real_malloc, "malloc");
    if (!s)
        return;
    kind = strncmp(s, "alloc:", 6) == 0   ? ALLOC
           : strncmp(s, "read:", 5) == 0  ? READ
           : strncmp(s, "write:", 6) == 0 ? WRITE
           : strcmp(s, "short") == 0      ? SHORT
                                          : NONE;
    if (strchr(s, ':'))
        nth = atol(strchr(s, ':') + 1);
}

static int (*real_main)(int, char **, char **);

static int armed_main(int argc, char **argv, char **envp)
{
    armed = true;
    return real_main(argc, argv, envp);
}

int __libc_start_main(int (*main_)(int, char **, char **), int argc, char **argv,
                      void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *end);
int __libc_start_main(int (*main_)(int, char **, char **), int argc, char **argv,
                      void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *end)
{
    int (*start)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                 void (*)(void), void *);
    find(&start, "__libc_start_main");
    real_main = main_;
    return start(armed_main, argc, argv, init, fini, rtld_fini, end);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("L2_FAULT_REPORT");
    armed = false;
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f)
        return;
    fprintf(f, "%ld\n", (long)calls);
    fclose(f);
}

void *malloc(size_t n)
{
    if (!real_malloc)
        return early_alloc(n);
    return alloc_fails(__builtin_return_address(0)) ? errno = ENOMEM, NULL : real_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (!real_malloc)
        return memset(early_alloc(n * size), 0, n * size);
    return alloc_fails(__builtin_return_address(0)) ? errno = ENOMEM, NULL : real_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (alloc_fails(__builtin_return_address(0))) {
        errno = ENOMEM;
        return NULL;
    }
    if (!is_early(p))
        return real_realloc(p, n);
    void *moved = real_malloc(n);
    size_t most = (size_t)(early + sizeof early - (char *)p);
    return moved ? memcpy(moved, p, n < most ? n : most) : NULL;
}

void free(void *p)
{
    static void (*real_free)(void *);
    if (is_early(p))
        return;
    if (!real_free)
        find(&real_free, "free");
    real_free(p);
}

int posix_memalign(void **p, size_t alignment, size_t n)
{
    return alloc_fails(__builtin_return_address(0)) ? ENOMEM : real_posix_memalign(p, alignment, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return alloc_fails(__builtin_return_address(0))        ? errno = ENOMEM,
                                                      NULL : real_aligned_alloc(alignment, n);
}

ssize_t read(int fd, void *data, size_t n)
{
    if (fails(READ)) {
        errno = EIO;
        return -1;
    }
    return real_read(fd, data, kind == SHORT && armed && n > 7 ? 7 : n);
}

/* Standard error is left alone: it has to say what failed. */
ssize_t write(int fd, const void *data, size_t n)
{
    if (fd != STDERR_FILENO && fails(WRITE)) {
        errno = ENOSPC;
        return -1;
    }
    return real_write(fd, data, kind == SHORT && armed && fd != STDERR_FILENO && n > 7 ? 7 : n);
}
