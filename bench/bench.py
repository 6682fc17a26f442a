"""Runs benchmarks and prints their table."""
import argparse
import os
import platform
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests" / "integration"))

import figures  # noqa: E402
import git, logs, orders, rpc, sandbox, web  # noqa: E402,E401,F401 - they register themselves
from setting import Setting  # noqa: E402

HEAD = ["figure; reference", "AWO", "reference", "ratio", "wanted", "holds"]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {platform.release()}, as "
            f"{'root' if os.geteuid() == 0 else 'an ordinary user'}; load before {os.getloadavg()[0]:.1f}")


def processors():
    """Ticks of all processors: those that passed, and those that the host gave to others while they were wanted here."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks), ticks[7]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures AWO against references of the same run.")
    parser.add_argument("name", nargs="*", help="which ones; default all")
    parser.add_argument("--rounds", type=int, default=7, help="how often each side is measured, by turns (default 7)")
    parser.add_argument("--output", help="write the table to this file too")
    parser.add_argument("--list", action="store_true", help="say which there are")
    args = parser.parse_args()
    if args.list:
        for name, (help, _) in figures.BENCHMARKS.items():
            print(f"{name:14}{help}")
        return 0
    unknown = [n for n in args.name if n not in figures.BENCHMARKS]
    if unknown or args.rounds < 1:
        parser.error(f"no such benchmark: {', '.join(unknown)}; see --list" if unknown else "--rounds takes a number from 1")
    lines = []

    def say(text):
        lines.append(text)
        print(text, flush=True)

    say(f"{machine()}; {args.rounds} rounds, medians (least to most), {time.strftime('%Y-%m-%d')}\n")
    say("| " + " | ".join(HEAD) + " |")
    say("|" + "---|" * len(HEAD))
    failed, (passed, stolen) = [], processors()
    for name in args.name or figures.BENCHMARKS:
        setting = Setting(os.environ["AWO_BUILD_DIR"], args.rounds)
        try:
            for row in figures.BENCHMARKS[name][1](setting):
                say("| " + " | ".join(row.cells()) + " |")
        except figures.Skipped as e:
            say(f"| SKIPPED {name}: {e} |" + " |" * (len(HEAD) - 1))
            print(f"SKIPPED {name}: {e}", file=sys.stderr)
        except Exception as e:  # one that cannot run must not hide the others
            failed.append(f"{name}: {type(e).__name__}: {e}")
        finally:
            setting.close()
    passed, stolen = processors()[0] - passed, processors()[1] - stolen
    say(f"\nMeanwhile the host took {100 * stolen / max(passed, 1):.1f} % of the processors' time for its other guests.")
    for text in failed:
        print(f"FAILED {text}", file=sys.stderr)
    if args.output:
        Path(args.output).write_text("\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
