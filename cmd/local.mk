# The programs, and what they share: cmd/common is the only code that prints or exits.
# SPDX-License-Identifier: MIT
#
# A program is four lines (one that loads a model links $(l2_model_libs)):
#   bin_PROGRAMS += cmd/l2-cat
#   cmd_l2_cat_SOURCES = %D%/l2-cat.c
#   cmd_l2_cat_LDADD = $(l2_libs)

noinst_LIBRARIES += cmd/libcommon.a
cmd_libcommon_a_SOURCES = \
	%D%/common/cli.h \
	%D%/common/modelopt.h \
	%D%/common/opt.h \
	%D%/common/pipe.h \
	%D%/common/run.h
