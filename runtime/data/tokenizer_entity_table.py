#!/usr/bin/python3
"""Writes tokenizer_entity_table.c: the named character references of the HTML standard, which
Python carries as html.entities.html5. Run: tokenizer_entity_table.py > tokenizer_entity_table.c"""
from html.entities import html5

HEAD = """/* The HTML standard's named character references: name, whether it is also known without a
 * semicolon, one or two code points. Written by tokenizer_entity_table.py. */
#include "runtime/data/tokenizer_text.h"

// clang-format off
const pl_entity pl_entity_table[] = {"""
TAIL = """};
// clang-format on

const size_t pl_entity_count = sizeof pl_entity_table / sizeof pl_entity_table[0];"""

print(HEAD)
line = ""
for name in sorted(name[:-1] for name in html5 if name.endswith(";")):
    value = ",".join("0x%X" % ord(c) for c in html5[name + ";"])
    row = '{"%s",%d,{%s}},' % (name, name in html5, value)
    if len(line + row) > 100:
        print(line)
        line = ""
    line += row
print(line)
print(TAIL)
