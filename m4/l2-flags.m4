# Compiler flags of the project, kept apart from the user's CFLAGS.
# SPDX-License-Identifier: MIT

# L2_COMPILER_FLAGS
# Sets L2_CFLAGS: the language, floating point as written (results must not depend on what the
# compiler contracts), threads, and those warnings that the compiler knows. --enable-werror makes
# warnings errors.
AC_DEFUN([L2_COMPILER_FLAGS], [
  AC_LANG_PUSH([C])
  L2_CFLAGS="-std=c11 -pthread"
  for l2_flag in -ffp-contract=off -Wall -Wextra -Wshadow -Wstrict-prototypes \
      -Wmissing-prototypes -Wvla -Wformat=2
  do
    AS_VAR_PUSHDEF([l2_var], [l2_cv_cflag_$l2_flag])
    AC_CACHE_CHECK([whether $CC takes $l2_flag], [l2_var],
      [l2_save_CFLAGS=$CFLAGS
       CFLAGS="$CFLAGS -Werror $l2_flag"
       AC_COMPILE_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([l2_var], [yes])],
                         [AS_VAR_SET([l2_var], [no])])
       CFLAGS=$l2_save_CFLAGS])
    AS_VAR_IF([l2_var], [yes], [L2_CFLAGS="$L2_CFLAGS $l2_flag"])
    AS_VAR_POPDEF([l2_var])
  done
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make compiler warnings errors])])
  AS_IF([test "x$enable_werror" = xyes], [L2_CFLAGS="$L2_CFLAGS -Werror"])
  AC_SUBST([L2_CFLAGS])
  AC_LANG_POP([C])
])

# L2_SANITIZE
# --enable-sanitize[=LIST] sets SANITIZE_CFLAGS, for compiling and linking.
AC_DEFUN([L2_SANITIZE], [
  AC_ARG_ENABLE([sanitize],
    [AS_HELP_STRING([--enable-sanitize@<:@=LIST@:>@],
       [build with the compiler's sanitizers, address,undefined by default; or thread])],
    [], [enable_sanitize=no])
  AS_CASE([$enable_sanitize],
    [no], [SANITIZE_CFLAGS=],
    [yes], [l2_sanitizers=address,undefined],
    [l2_sanitizers=$enable_sanitize])
  AS_IF([test "$enable_sanitize" != no],
    [SANITIZE_CFLAGS="-fsanitize=$l2_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"
     AC_MSG_CHECKING([whether $CC links with -fsanitize=$l2_sanitizers])
     l2_save_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS $SANITIZE_CFLAGS"
     AC_LINK_IFELSE([AC_LANG_PROGRAM], [AC_MSG_RESULT([yes])],
       [AC_MSG_RESULT([no])
        AC_MSG_ERROR([$CC has no -fsanitize=$l2_sanitizers])])
     CFLAGS=$l2_save_CFLAGS])
  AC_SUBST([SANITIZE_CFLAGS])
])

dnl Fuzz targets with libFuzzer, which clang has; without it they replay files.
AC_DEFUN([L2_FUZZ], [
  AC_ARG_ENABLE([fuzz],
    [AS_HELP_STRING([--enable-fuzz],
       [link the fuzz targets with libFuzzer (wants clang); best with --enable-sanitize])],
    [], [enable_fuzz=no])
  AM_CONDITIONAL([FUZZ], [test "$enable_fuzz" = yes])
  AM_COND_IF([FUZZ], [
    AC_MSG_CHECKING([whether $CC has libFuzzer])
    l2_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -fsanitize=fuzzer"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) { (void)data; (void)n; return 0; }]])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([$CC has no -fsanitize=fuzzer: configure with CC=clang])])
    CFLAGS=$l2_save_CFLAGS
    SANITIZE_CFLAGS="$SANITIZE_CFLAGS -fsanitize=fuzzer-no-link"])
])
