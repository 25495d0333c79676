# SPDX-License-Identifier: MIT
"""Writes, reads and searches a document of 20,000 records, three times."""
import json
import re

records = [{"id": i, "name": f"name {i}", "tags": [f"a{i % 7}", "b"], "value": i * 1.5} for i in range(20000)]
for _ in range(3):
    text = json.dumps(records)
    print(sum(len(record["name"]) for record in json.loads(text)), len(re.findall(r"name (\d+)", text)))
