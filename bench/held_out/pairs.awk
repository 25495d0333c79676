# SPDX-License-Identifier: MIT
# Counts pairs of words, and grows and drops strings.
BEGIN {
  for (i = 0; i < 400000; i++) {
    pair = "word" (i * 7919 % 331) " word" (i * 104729 % 401)
    count[pair]++
    line = line substr(pair, 5, 3)
    if (length(line) > 5000) line = ""
  }
  for (pair in count) total++
  print total
}
