"""Prints the line coverage of each room from gcov's files: coverage.py SOURCE BUILD PERCENT [--lines]; exit 1 below PERCENT."""
import collections
import json
import subprocess
import sys
from pathlib import Path

# the longest that fits
ROOMS = ("awod", "awo-worker", "awo-worker/git", "awo-worker/forge", "awo-worker/agents", "awo-worker/demo", "awo-gateway",
         "awoctl", "proto", "common")
WORST = 12


def read(source, build):
    """{file: {line: count}} of all objects together, each file relative to the source."""
    counted = collections.defaultdict(dict)
    # what no program ran has no .gcda, and its lines count, too
    notes = [str(path) for path in build.rglob("*.gcno")]
    for at in range(0, len(notes), 20):
        out = subprocess.run(["gcov", "--json-format", "--stdout", *notes[at:at + 20]], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, cwd=build, check=True).stdout
        for text in out.splitlines():
            answer = json.loads(text)
            for file in answer["files"]:
                path = Path(answer["current_working_directory"], file["file"]).resolve()
                if not path.is_relative_to(source):
                    continue
                lines = counted[str(path.relative_to(source))]
                for line in file["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, 0) + line["count"]
    return counted


def room_of(name):
    return max((room for room in ROOMS if name.startswith(room + "/")), key=len, default=None)


def ranges(numbers):
    """"3-5 9" of [3, 4, 5, 9]."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in found)


def main():
    source, build, wanted = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), float(sys.argv[3])
    # tables are no code, though their lines are in functions
    files = {name: lines for name, lines in read(source, build).items() if room_of(name) and not name.endswith(".def")}
    rooms = {room: [0, 0] for room in ROOMS}
    missing = {}
    for name, lines in files.items():
        missing[name] = sorted(number for number, count in lines.items() if not count)
        rooms[room_of(name)][0] += len(lines)
        rooms[room_of(name)][1] += len(lines) - len(missing[name])
    rooms["in all"] = [sum(column) for column in zip(*rooms.values())]
    print(f"{'room':<20} {'lines':>6} {'reached':>8} {'%':>6}")
    for room, (total, reached) in rooms.items():
        print(f"{room:<20} {total:>6} {reached:>8} {100 * reached / max(total, 1):>6.1f}")
    print(f"\nmost lines not reached:\n{'file':<36} {'lines':>6} {'missing':>8} {'%':>6}")
    for name in sorted(missing, key=lambda name: -len(missing[name]))[:WORST]:
        total = len(files[name])
        print(f"{name:<36} {total:>6} {len(missing[name]):>8} {100 - 100 * len(missing[name]) / total:>6.1f}")
    if "--lines" in sys.argv[4:]:
        print("\nnot reached:")
        for name in sorted(missing):
            if missing[name]:
                print(f"{name}: {ranges(missing[name])}")
    print("\nNot counted: a process that had no descriptor left when it started.")
    total, reached = rooms["in all"]
    if 100 * reached < wanted * total:
        print(f"below {wanted:g} %")
        return 1
    return 0


sys.exit(main())
