# SPDX-License-Identifier: MIT
"""Property: the truth benchmark tries the sites that matter, and its three figures count what they say."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import truth  # noqa: E402

failures = []


def expect(what, got, wanted):
    if got != wanted:
        failures.append(f"{what}: {got!r}, not {wanted!r}")


def site(name, verdict, share, allocations, calls=1):
    return {"id": name, "verdict": verdict, "upper_bound_cpu_share": share, "allocations": allocations, "calls": [0] * calls}


def row(advised, predicted, median, low):
    return {"advised": advised, "predicted_share": predicted,
            "saved_share_against_control": None if median is None else {"median": median, "ci95": [low, median + 0.01]}}


sites = [site("small", "POOL", 0.02, 10), site("large", "CAP", 0.3, 5), site("elsewhere", "POOL", 0.5, 5, calls=0)]
sites += [site(f"tail{n}", "TAIL", 0.01, n) for n in range(5)]
told, rest = truth.pick(sites)
expect("told a pool, costliest first, findable", [each["id"] for each in told], ["large", "small"])
expect("hottest of the rest", [each["id"] for each in rest], ["tail4", "tail3", "tail2"])

found = truth.figures([row(True, 0.10, 0.08, 0.05), row(True, 0.10, 0.02, -0.01), row(True, 0.10, None, None),
                       row(False, 0, 0.02, 0.01), row(False, 0, 0.02, -0.01), row(False, 0, 0.005, 0.001), row(False, 0, -0.1, -0.2)])
expect("confirmed: by the whole interval", found["confirmed"], (0.5, 2))
expect("missed: over a per cent, by the whole interval", found["missed"], (0.25, 4))
expect("error: of the larger of both, in the median", (round(found["error"][0], 6), found["error"][1]), (0.5, 2))
expect("a prediction that is too low counts alike", truth.figures([row(True, 0.05, 0.10, 0.09)])["error"], (0.5, 1))
expect("nothing tried", truth.figures([]), {"error": (None, 0), "confirmed": (None, 0), "missed": (None, 0)})

others = [row(False, 0, 0.02, 0.01) | {"hinted": hinted} for hinted in (True, False)] + [row(False, 0, 0.005, 0.001) | {"hinted": True}]
expect("the hint is counted apart", truth.hinted_line(others), "told with a +: 2 sites, 1 of them among the 2 missed")

said = "\n".join(truth.verdict_lines({"error": (0.3, 2), "confirmed": (0.95, 20), "missed": (None, 0)}))
expect("a budget that is missed is said", "30 %  <= 25 %   2 sites   NOT KEPT" in said, True)
expect("a budget that is kept is said", "95 %  >= 90 %   20 sites   kept" in said, True)

sys.exit("\n".join(failures) or 0)
