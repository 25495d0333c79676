/* SPDX-License-Identifier: MIT */
/* static_program FILE: linked statically; makes the file, so that it can be told whether it ran. */
#include <stdio.h>

int main(int argc, char **argv)
{
    return argc < 2 || fopen(argv[1], "w") == NULL;
}
