/* The split patterns of GPT-2 and Llama 3 by hand where the text is ASCII. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SPLIT_ASCII_H
#define L2_SPLIT_ASCII_H

#include <stddef.h>

/* The end of the match at pos < n of text[0..n), or 0 where a character that decides is not ASCII.
 * Equal to what the pattern matches. */
size_t l2_split_ascii_llama3(const char *text, size_t n, size_t pos);
size_t l2_split_ascii_gpt2(const char *text, size_t n, size_t pos);

#endif
