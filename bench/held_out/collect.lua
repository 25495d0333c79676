-- SPDX-License-Identifier: MIT
-- Tables and strings by the hundred thousand, for the collector to find.
local kept = {}
for i = 1, 600000 do
  kept[#kept + 1] = {name = ("item%d"):format(i % 9000), number = i, pair = {i, i + 1}}
  if #kept > 5000 then kept = {} end
end
local names = {}
for i = 1, 200000 do names[i] = tostring(i) .. "x" end
table.sort(names)
print(#names)
