# SPDX-License-Identifier: MIT
# Splits, reverses and joins, and keeps up to 2000 characters of it under each of 5000 keys.
use strict;
my %kept;
for my $i (1 .. 800000) {
    my @words = split / /, "alpha beta gamma $i delta";
    my $key = $words[3] % 5000;
    $kept{$key} .= join('-', reverse @words);
    $kept{$key} = '' if length $kept{$key} > 2000;
}
my @order = sort { $kept{$a} cmp $kept{$b} } keys %kept;
print scalar(@order), "\n";
