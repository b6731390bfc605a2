/* Files for fuzz targets, in memory where the system has a directory there. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char dir[256];

static void remove_all(void)
{
    char path[1024];
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        (void)unlink(path);
    }
    if (d)
        closedir(d);
    (void)rmdir(dir);
}

const char *fuzz_dir(void)
{
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "%s/l2-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        FUZZ_CHECK(mkdtemp(dir));
        FUZZ_CHECK(atexit(remove_all) == 0);
    }
    return dir;
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t n)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FUZZ_CHECK(fd >= 0);
    while (n > 0) {
        ssize_t k = write(fd, data, n);
        FUZZ_CHECK(k > 0);
        data += k;
        n -= (size_t)k;
    }
    FUZZ_CHECK(close(fd) == 0);
    return path;
}
