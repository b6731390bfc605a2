/* Scratch directories and files for unit tests. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what, const char *path)
{
    printf("Bail out! cannot %s %s\n", what, path);
    exit(99);
}

void scratch_make(char out[SCRATCH_PATH])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(out, SCRATCH_PATH, "%s/l2-test-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(out))
        die("create", out);
}

void scratch_remove(const char *dir)
{
    struct stat st;
    const struct dirent *e;
    DIR *d = opendir(dir);
    if (!d)
        return;
    while ((e = readdir(d))) {
        char path[2 * SCRATCH_PATH];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            scratch_remove(path);
        else
            unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

char scratch[SCRATCH_PATH];

int scratch_setup(void **state)
{
    (void)state;
    scratch_make(scratch);
    return 0;
}

int scratch_teardown(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

const char *scratch_path(const char *dir, const char *name)
{
    static char paths[2][2 * SCRATCH_PATH];
    static unsigned turn;
    char *out = paths[turn++ % 2];
    snprintf(out, sizeof paths[0], "%s/%s", dir, name);
    return out;
}

void scratch_write(const char *dir, const char *name, const void *data, size_t n)
{
    const char *path = scratch_path(dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        die("write", path);
}

void scratch_write_str(const char *dir, const char *name, const char *text)
{
    scratch_write(dir, name, text, strlen(text));
}

char *scratch_read(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0)
        die("open", path);
    char *data = malloc((size_t)st.st_size + 1);
    *n = (size_t)st.st_size;
    if (!data || fread(data, 1, *n, f) != *n)
        die("read", path);
    data[*n] = '\0';
    fclose(f);
    return data;
}

const char *source_path(const char *name)
{
    static char path[SCRATCH_PATH];
    const char *src = getenv("L2_SRC");
    snprintf(path, sizeof path, "%s/%s", src && src[0] ? src : ".", name);
    return path;
}

const char *shared_path(const char *name)
{
    static char path[SCRATCH_PATH];
    const char *shared = getenv("L2_SHARED");
    if (!shared || !shared[0])
        return NULL;
    snprintf(path, sizeof path, "%s/%s", shared, name);
    return path;
}
