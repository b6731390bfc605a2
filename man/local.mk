# Manual pages, in mdoc.
# SPDX-License-Identifier: MIT

dist_man_MANS +=
